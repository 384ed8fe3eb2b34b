//! A live job with a worker that is starved for a while: it has a small part of a processor, and is never lost.
//!
//! Whatever the worker does for the job (it receives what clients push and would read all of it, receives what others
//! read, or owns the partition that reads), the job is not dragged along: batches are late by a few intervals while weights follow, and no more
//! after that; and the worker gets back what it lost.

use super::receiving::Receiving;
use super::*;
use crate::source::Source;
use crate::source::receive::{PushSource, ReceivedBlock};

/// How long it takes to read a batch, in milliseconds.
pub(super) const READ_MS: u64 = 320;
/// Received blocks per interval.
pub(super) const BLOCKS: u64 = 16;
const INTERVAL: u64 = 1000;
/// The number of batches.
const BATCHES: u64 = 260;
/// When the worker is starved, in milliseconds.
const STARVED: std::ops::Range<u64> = 10_000..60_000;
/// Intervals of starvation after which batches are on time again.
const FOLLOWS: u64 = 16;
/// The delay, in intervals, that counts as on time.
const ON_TIME: u64 = 3;
/// No batch is later than this many intervals.
const LATEST: u64 = 10;

/// What one worker receives and another one has copies of.
pub(super) struct Pushed {
    pub(super) source: PushSource,
    receiver: WorkerId,
    copy: WorkerId,
    bytes: u64,
    last: u64,
}

impl Pushed {
    fn new(receiver: WorkerId, copy: WorkerId, bytes: u64) -> Self {
        let source = PushSource::open("tcp://0.0.0.0:1", SourceId(0)).expect("the URL is good");
        Self { source, receiver, copy, bytes, last: 0 }
    }

    /// What has come in an interval is part of a batch.
    pub(super) fn cut(&mut self) -> Vec<Vec<Range>> {
        for _ in 0..BLOCKS {
            self.last += 1;
            let (receiver, number, bytes) = (self.receiver, self.last, self.bytes);
            let received_block =
                ReceivedBlock { receiver, number, copy: Some(self.copy), bytes, client: None };
            self.source.register(received_block, 1).expect("it is numbered");
        }
        let cut = self.source.cut(8).expect("it is cut");
        cut.inputs.into_iter().map(|input| input.ranges).collect()
    }
}

/// What a live source brings, in the partitions that are to read it.
pub(super) fn followed(master: &MasterCore, batch: BatchSeq, ranges: usize) -> Vec<Vec<Range>> {
    let places = master.readers(batch, ranges);
    let mut inputs = vec![Vec::new(); places.last().map_or(0, |last| last + 1)];
    for place in places {
        inputs[place].push(range(batch, Partition(place as u32)));
    }
    inputs
}

impl World {
    /// One in which a worker receives, and there is hardly anything else to do.
    pub(super) fn received(number: u64) -> Self {
        let mut world = World::starved(number);
        let starved = world.spells[0].worker;
        world.feed = Feed::Received(Receiving::new(starved));
        world.merge_ms = 0;
        world.after(0, Event::Beat);
        world
    }

    fn starved(number: u64) -> Self {
        let mut world = World::new(word_count(), number, BATCHES, true);
        let (plan, live) = (world.reference.plan, vec![true]);
        world.master = MasterCore::new(plan, MasterConfig { live, ..config(plan, 4, true) });
        let starved = world.seed.below(u64::from(WORKERS)) as u32;
        let other = (starved + 1) % WORKERS;
        let (receiver, copy) = match world.seed.one_in(4) {
            // What it receives is not the matter.
            true => (other, (other + 1) % WORKERS),
            false => (starved, other),
        };
        let bytes = [8 << 10, 40 << 10, 200 << 10][world.seed.below(3) as usize];
        world.feed = match world.seed.one_in(2) {
            true => Feed::Followed(1 << world.seed.below(4)),
            false => Feed::Pushed(Pushed::new(WorkerId(receiver), WorkerId(copy), bytes)),
        };
        // A partition is much to do, or nearly nothing.
        world.merge_ms = [4, 60][world.seed.below(2) as usize];
        // Between a tenth and a fourth of what others have.
        let times = 4 + world.seed.below(7);
        world.spells.push(slow(starved, STARVED.start, STARVED.end, times));
        world
    }

    /// How many milliseconds after its end each batch was published.
    fn lags(&self) -> Vec<(u64, u64)> {
        let since = |batch: &BatchSeq| match &self.feed {
            // Records that their clients could not send are late.
            Feed::Received(of) => of.oldest.get(batch).map(|sent| sent + INTERVAL),
            _ => None,
        };
        let since = |batch: &BatchSeq| since(batch).unwrap_or(u64::MAX).min(self.ends[batch]);
        let lag = |(batch, at): &(BatchSeq, u64)| (batch.0, at.saturating_sub(since(batch)));
        self.published.iter().map(lag).collect()
    }
}

/// A world in which a worker is starved for a while.
///
/// # Panics
/// When the job is dragged along, or the worker does not get back what it lost.
pub(in crate::sched::simulation) fn bounded(number: u64) {
    let mut world = match number % 5 {
        4 => World::received(number),
        _ => World::starved(number),
    };
    world.run();
    assert_eq!(world.outcome, Some(Outcome::Done), "seed {number}");
    let lags = world.lags();
    assert_eq!(lags.len() as u64, BATCHES, "seed {number}");
    for (batch, lag) in &lags {
        let follows = STARVED.start / INTERVAL..STARVED.start / INTERVAL + FOLLOWS;
        let most = if follows.contains(batch) { LATEST } else { ON_TIME };
        assert!(*lag <= most * INTERVAL, "seed {number}, {batch}: {lag} ms late of {lags:?}");
    }
    let worker = world.spells[0].worker;
    let lowest = world.said.iter().filter(|(of, ..)| *of == worker).map(|(_, f, _)| *f).max();
    assert!(lowest.is_none_or(|factor| factor >= 1600), "seed {number}: {:?}", world.said);
    let last = world.said.iter().rfind(|(of, ..)| *of == worker).map(|(_, factor, _)| *factor);
    assert!(last.is_none_or(|factor| factor == 1000), "seed {number}: {:?}", world.said);
    let others = world.said.iter().filter(|(of, ..)| *of != worker).count();
    assert_eq!(others, 0, "seed {number}: {:?}", world.said);
}

#[test]
fn a_starved_worker_does_not_drag_the_job_along() {
    let numbers = crate::sched::simulation::numbers(80);
    let fails = |number: &u64| std::panic::catch_unwind(|| bounded(*number)).is_err();
    let failed: Vec<u64> = numbers.filter(fails).collect();
    assert!(failed.is_empty(), "seeds {failed:?}");
}
