//! The watermark of event-timed streams: no record with an earlier time is to be waited for.
//!
//! A pure function of the inputs of all batches so far: per input the least, over its active splits, of the greatest
//! time seen, less the slack; of several inputs the least. It never goes back.
//!
//! * A split without records for [`IDLE_MS`] of batch time is not active. The last ones that were keep their value.
//! * An input that has had no record is waited for as long; one that is read to its end as long as that lasts.
//! * While a source that is read to its end has splits that were not begun, nothing is known: their times may be
//!   earlier than all others. The same holds for all the time in which it is read, where times are said in a later
//!   stage: which split a record came from is not known there.
//! * An input whose sources have all ended holds nothing back.

use std::collections::BTreeMap;

use super::{TaskContext, blocks};
use crate::block::{Block, BlockDecoder, BufferPool, RowsBuilder};
use crate::exec::event_time::{ENDED, UNKNOWN};
use crate::exec::stage::Head;
use crate::exec::state::{Keep, Step};
use crate::exec::tail::Mark;
use crate::exec::task::{SavedState, TaskError};
use crate::id::SourceId;
use crate::source::Reach;
use crate::time;

/// See [`time::IDLE_MS`].
const IDLE_MS: i64 = time::IDLE_MS as i64;

/// An input of the watermark.
#[derive(Debug, Clone)]
pub struct Marked {
    /// How far out of order its records come, in milliseconds.
    pub slack: i64,
    /// The sources that its records come from.
    pub sources: Vec<SourceId>,
    /// Whether their times are said in the stage that reads the source, where the splits are known.
    pub by_split: bool,
}

/// Emits the watermark of each batch.
#[derive(Debug)]
pub struct Watermark {
    pub(crate) inputs: Vec<Marked>,
}

/// What is known of one split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Split {
    greatest: i64,
    /// The time of the last batch that had records of it.
    seen: i64,
}

/// The splits of all inputs, and the watermark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    splits: BTreeMap<(u64, String), Split>,
    watermark: i64,
    /// The time of the first batch.
    begun: Option<i64>,
}

impl Default for Progress {
    fn default() -> Self {
        Self { splits: BTreeMap::new(), watermark: UNKNOWN, begun: None }
    }
}

impl Progress {
    fn see(&mut self, input: u64, split: &str, greatest: i64, now: i64) {
        let mark = self.splits.entry((input, split.to_owned()));
        let mark = mark.or_insert(Split { greatest, seen: now });
        *mark = Split { greatest: greatest.max(mark.greatest), seen: now };
    }

    /// What an input says; none if it is not waited for.
    fn of(&self, input: u64, marked: &Marked, reach: Reach, now: i64) -> Option<i64> {
        match reach {
            Reach::Ended => return Some(ENDED),
            Reach::Waiting => return Some(UNKNOWN),
            Reach::Reading if !marked.by_split => return Some(UNKNOWN),
            Reach::Live | Reach::Reading => {}
        }
        let splits = || {
            let of = (input, String::new())..(input + 1, String::new());
            self.splits.range(of).map(|(_, split)| split)
        };
        let Some(last) = splits().map(|split| split.seen).max() else {
            let waits = now - self.begun.unwrap_or(now) < IDLE_MS || reach == Reach::Reading;
            return waits.then_some(UNKNOWN);
        };
        let active = |split: &&Split| now - split.seen < IDLE_MS || split.seen == last;
        let least = splits().filter(active).map(|split| split.greatest).min();
        least.map(|least| least - marked.slack)
    }

    /// Forgets splits that are not active, other than the last ones of each input.
    fn forget(&mut self, now: i64) {
        let mut last: BTreeMap<u64, i64> = BTreeMap::new();
        for ((input, _), split) in &self.splits {
            let last = last.entry(*input).or_insert(split.seen);
            *last = split.seen.max(*last);
        }
        self.splits.retain(|(input, _), split| {
            now - split.seen < IDLE_MS || last.get(input) == Some(&split.seen)
        });
    }
}

impl Watermark {
    /// How far the sources of an input have come, taken together.
    fn reach(&self, cx: &TaskContext<'_>, marked: &Marked) -> Reach {
        let of = marked.sources.iter().map(|source| cx.reach.get(source.index()).copied());
        of.map(|reach| reach.unwrap_or(Reach::Live)).min().unwrap_or(Reach::Live)
    }
}

impl Head for Watermark {
    type Record = i64;
    type State = Progress;
    type Change = Progress;

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        state: &mut Progress,
        mut emit: impl for<'a> FnMut(i64),
    ) -> Result<Progress, TaskError> {
        let (now, mut next) = (cx.time.0 as i64, state.clone());
        next.begun.get_or_insert(now);
        for input in 0..self.inputs.len() {
            for block in blocks(cx, input) {
                for (split, greatest) in block.get()?.rows::<Mark>()?.iter() {
                    next.see(input as u64, split, greatest, now);
                }
            }
        }
        let of = self.inputs.iter().enumerate().filter_map(|(input, marked)| {
            next.of(input as u64, marked, self.reach(cx, marked), now)
        });
        if let Some(least) = of.min() {
            next.watermark = least.max(next.watermark);
        }
        next.forget(now);
        emit(next.watermark);
        Ok(next)
    }

    fn commit(&self, _: &TaskContext<'_>, state: &mut Progress, change: Progress) {
        *state = change;
    }
}

/// A row of the saved state: input, split, greatest time, last batch. The first row has the watermark and the time of
/// the first batch instead.
type Row = (u64, String, i64, i64);

impl Keep for Progress {
    fn save(&self) -> Result<SavedState, TaskError> {
        let mut rows = RowsBuilder::<Row>::new(&BufferPool::new(0), 0);
        let mut parts = Vec::new();
        let begun = self.begun.unwrap_or(UNKNOWN);
        let all = self.splits.iter();
        let all = all.map(|((input, split), of)| (*input, split.as_str(), of.greatest, of.seen));
        for row in std::iter::once((0, "", self.watermark, begun)).chain(all) {
            if rows.push(row).is_err() {
                let full = std::mem::replace(&mut rows, RowsBuilder::new(&BufferPool::new(0), 0));
                parts.extend(full.finish());
                rows.push(row)?;
            }
        }
        parts.extend(rows.finish());
        Ok(SavedState::whole(parts.into_iter().map(|block| (0, block.into())).collect()))
    }

    fn load(whole: &SavedState) -> Result<Option<Self>, TaskError> {
        let mut state = Self::default();
        let mut first = true;
        for (_, block) in &whole.parts {
            for (input, split, greatest, seen) in block.get()?.rows::<Row>()?.iter() {
                if std::mem::take(&mut first) {
                    state.watermark = greatest;
                    state.begun = Some(seen).filter(|begun| *begun != UNKNOWN);
                } else {
                    state.splits.insert((input, split.to_owned()), Split { greatest, seen });
                }
            }
        }
        Ok(Some(state))
    }

    fn apply(&mut self, changes: &SavedState, _: &mut Step<'_, Self>) -> Result<(), TaskError> {
        // All of it is saved each time.
        if let Some(state) = Self::load(changes)? {
            *self = state;
        }
        Ok(())
    }

    fn door(tag: u64) -> Option<BlockDecoder> {
        (tag == 0).then_some(Block::open_rows::<Row>)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(slack: i64) -> Marked {
        Marked { slack, sources: vec![SourceId(0)], by_split: true }
    }

    #[test]
    fn the_split_that_is_behind_decides_until_it_is_idle() {
        let mut progress = Progress { begun: Some(0), ..Progress::default() };
        let of = |progress: &Progress, now| progress.of(0, &marked(10), Reach::Live, now);
        assert_eq!(of(&progress, 1000), Some(UNKNOWN), "nothing has come yet");
        assert_eq!(of(&progress, IDLE_MS), None, "nothing is waited for any more");
        progress.see(0, "a", 5000, 1000);
        progress.see(0, "b", 900, 1000);
        progress.see(1, "c", 1, 1000);
        assert_eq!(of(&progress, 1000), Some(890));
        progress.see(0, "a", 4000, 2000);
        assert_eq!(of(&progress, 1000 + IDLE_MS), Some(4990), "`b` is idle");
        progress.forget(1000 + IDLE_MS);
        let left: Vec<_> = progress.splits.keys().map(|(_, split)| split.as_str()).collect();
        assert_eq!(left, ["a", "c"]);
        assert_eq!(of(&progress, 9 * IDLE_MS), Some(4990), "the last one keeps its value");
    }

    #[test]
    fn sources_that_are_read_to_their_ends_are_waited_for() {
        let mut progress = Progress { begun: Some(0), ..Progress::default() };
        let of = |progress: &Progress, reach| progress.of(0, &marked(0), reach, 9 * IDLE_MS);
        assert_eq!(of(&progress, Reach::Reading), Some(UNKNOWN), "however long it takes");
        progress.see(0, "a", 5000, 1000);
        assert_eq!(of(&progress, Reach::Waiting), Some(UNKNOWN), "the next file may be older");
        assert_eq!(of(&progress, Reach::Reading), Some(5000));
        assert_eq!(of(&progress, Reach::Ended), Some(ENDED));
        let mixed = Marked { by_split: false, ..marked(0) };
        let of = |reach| progress.of(0, &mixed, reach, 9 * IDLE_MS);
        assert_eq!(of(Reach::Reading), Some(UNKNOWN), "the greatest may be of another split");
        assert_eq!((of(Reach::Live), of(Reach::Ended)), (Some(5000), Some(ENDED)));
    }

    #[test]
    fn what_is_saved_is_what_is_loaded() {
        let mut progress = Progress { begun: Some(7), watermark: 3, splits: BTreeMap::new() };
        progress.see(0, "a", 5000, 1000);
        progress.see(1, "", -4, 2000);
        let loaded = Progress::load(&progress.save().unwrap()).unwrap();
        assert_eq!(loaded, Some(progress));
        let new = Progress::load(&Progress::default().save().unwrap()).unwrap();
        assert_eq!(new, Some(Progress::default()));
    }
}
