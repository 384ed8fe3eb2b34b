//! Which partitions get the inputs of a batch when there are fewer inputs than partitions.
//!
//! Those of a live source go to the partitions that the core names, so that workers read in proportion to their
//! weights. What a bounded source brings lies where its batch says:
//!
//! Input i would belong to partition i. A batch of one input would then always be read by the owner of
//! partition 0, and the other workers would wait for it, however many batches are in flight. So the
//! inputs of a bounded source move on by a partition with every batch. They stay in their order, and
//! where they are depends on nothing but the batch and the number of partitions: the results of a job
//! are the same on any number of workers.

use std::sync::Arc;

use crate::id::BatchSeq;
use crate::source::receive::receiver_of;
use crate::source::{Input, Piece, ReadRange, SourceError};

/// An input moves at most so far: every partition before it costs a task that reads nothing.
const FAR: usize = 15;

/// Moves the inputs of a batch.
pub(super) fn spread(mut inputs: Vec<Input>, batch: BatchSeq, partitions: usize) -> Vec<Input> {
    if inputs.is_empty() {
        return inputs;
    }
    let places = partitions.saturating_sub(inputs.len()).min(FAR) as u64 + 1;
    let before = batch.0.saturating_sub(1) % places;
    inputs.splice(0..0, (0..before).map(|_| nothing()));
    inputs
}

/// Gives the inputs of a live source to the partitions that `places` names for their number, in their order. What
/// workers hold stays with them.
pub(super) fn deal(inputs: Vec<Input>, places: impl FnOnce(usize) -> Vec<usize>) -> Vec<Input> {
    let is_held =
        |input: &Input| input.ranges.iter().any(|range| receiver_of(&range.split).is_some());
    if inputs.iter().any(is_held) {
        return inputs;
    }
    let places = places(inputs.len());
    if places.len() != inputs.len() {
        return inputs;
    }
    let mut dealt = Vec::with_capacity(places.last().map_or(0, |last| last + 1));
    for (input, place) in inputs.into_iter().zip(places) {
        dealt.resize_with(place, nothing);
        dealt.push(input);
    }
    dealt
}

/// An input without records.
pub(in crate::driver) fn nothing() -> Input {
    Input { ranges: Vec::new(), data: Arc::new(Nothing) }
}

struct Nothing;

impl ReadRange for Nothing {
    fn read(&self, _: &mut dyn FnMut(Piece<'_>)) -> Result<(), SourceError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Range;

    fn inputs(count: u64) -> Vec<Input> {
        let range = |start| Range { split: "s".into(), start, end: start + 1 };
        (0..count).map(|n| Input { ranges: vec![range(n)], ..nothing() }).collect()
    }

    /// Partition and first record of every input that is one.
    fn places(count: u64, batch: u64, partitions: usize) -> Vec<(usize, u64)> {
        let spread = spread(inputs(count), BatchSeq(batch), partitions);
        let place = |(at, input): (usize, &Input)| Some((at, input.ranges.first()?.start));
        spread.iter().enumerate().filter_map(place).collect()
    }

    #[test]
    fn inputs_move_on_with_every_batch_and_stay_in_order() {
        assert_eq!(places(2, 1, 4), [(0, 0), (1, 1)]);
        assert_eq!(places(2, 2, 4), [(1, 0), (2, 1)]);
        assert_eq!(places(2, 3, 4), [(2, 0), (3, 1)]);
        assert_eq!(places(2, 4, 4), [(0, 0), (1, 1)]);
        let first: Vec<usize> = (1..=9).map(|batch| places(1, batch, 8)[0].0).collect();
        assert_eq!(first, [0, 1, 2, 3, 4, 5, 6, 7, 0]);
    }

    #[test]
    fn inputs_of_a_live_source_go_where_the_core_says_and_what_workers_hold_stays() {
        let at = |inputs: Vec<Input>| {
            let place = |(at, input): (usize, &Input)| Some((at, input.ranges.first()?.start));
            inputs.iter().enumerate().filter_map(place).collect::<Vec<_>>()
        };
        assert_eq!(at(deal(inputs(2), |_| vec![1, 4])), [(1, 0), (4, 1)]);
        assert_eq!(deal(inputs(2), |_| vec![1, 4]).len(), 5);
        // No placement holds.
        assert_eq!(at(deal(inputs(2), |_| Vec::new())), [(0, 0), (1, 1)]);
        let mut held = inputs(1);
        held[0].ranges[0].split = "received:1:0".into();
        assert_eq!(at(deal(held, |_| vec![3])), [(0, 0)]);
    }

    #[test]
    fn there_is_never_an_input_too_much() {
        for partitions in 1..40 {
            for count in 0..=partitions {
                for batch in 1..40 {
                    let spread = spread(inputs(count), BatchSeq(batch), partitions as usize);
                    assert!(spread.len() <= partitions as usize);
                    assert!(spread.len() <= count as usize + FAR);
                    assert_eq!(spread.is_empty(), count == 0);
                }
            }
        }
    }
}
