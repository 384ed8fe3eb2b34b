//! Tasks that read and are stopped on the way, because another run of them counts.
//!
//! A stopped task leaves out what it has not read, and fails: so it makes nothing, and what it made of a part of
//! its input goes no further. It is not the failure of the task; the caller that stopped it knows.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::id::{Attempt, TaskId};
use crate::source::{Input, Piece, ReadRange, SourceError};

/// The tasks that can be stopped.
#[derive(Default)]
pub(super) struct Stops {
    of: BTreeMap<(TaskId, Attempt), Arc<AtomicBool>>,
}

impl Stops {
    /// Makes the reading of an input end when its task is stopped.
    pub(super) fn stoppable(&mut self, task: TaskId, attempt: Attempt, input: Input) -> Input {
        let stop = Arc::new(AtomicBool::new(false));
        self.of.insert((task, attempt), Arc::clone(&stop));
        let Input { ranges, data } = input;
        Input { ranges, data: Arc::new(Stoppable { data, stop }) }
    }

    /// Stops a task, as soon as it looks.
    pub(super) fn stop(&self, task: TaskId, attempt: Attempt) {
        if let Some(stop) = self.of.get(&(task, attempt)) {
            stop.store(true, Ordering::Relaxed);
        }
    }

    /// A task has ended, or will not begin. Whether it was stopped.
    pub(super) fn ended(&mut self, task: TaskId, attempt: Attempt) -> bool {
        let stop = self.of.remove(&(task, attempt));
        stop.is_some_and(|stop| stop.load(Ordering::Relaxed))
    }
}

struct Stoppable {
    data: Arc<dyn ReadRange>,
    stop: Arc<AtomicBool>,
}

impl ReadRange for Stoppable {
    fn read(&self, each: &mut dyn FnMut(Piece<'_>)) -> Result<(), SourceError> {
        // If it was stopped after its last piece, it has read everything.
        let left_out = Cell::new(false);
        let goes_on = || {
            left_out.set(left_out.get() || self.stop.load(Ordering::Relaxed));
            !left_out.get()
        };
        self.data.read_while(&goes_on, each)?;
        match left_out.get() {
            false => Ok(()),
            true => Err(SourceError::Data {
                what: "the input of a task".to_owned(),
                why: "another run of it came first".to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{BatchSeq, Partition, StageId};

    struct Three;

    impl ReadRange for Three {
        fn read(&self, each: &mut dyn FnMut(Piece<'_>)) -> Result<(), SourceError> {
            for _ in 0..3 {
                let framing = crate::source::Framing::Lines;
                let (split, position, header, torn) = ("s", 0, None, None);
                each(Piece {
                    bytes: b"line\n",
                    split,
                    position,
                    numbered: false,
                    header,
                    framing,
                    torn,
                });
            }
            Ok(())
        }
    }

    #[test]
    fn a_stopped_task_reads_no_further_and_fails_and_only_then_was_it_stopped() {
        let (batch, stage) = (BatchSeq(1), StageId(0));
        let task = |partition| TaskId { batch, stage, partition: Partition(partition) };
        let mut stops = Stops::default();
        let input = || Input { ranges: Vec::new(), data: Arc::new(Three) };
        let inputs = [0, 1].map(|p| stops.stoppable(task(p), Attempt(0), input()));
        let mut read = 0;
        let stopped = inputs[0].data.read(&mut |_| {
            read += 1;
            stops.stop(task(0), Attempt(0));
        });
        assert!(stopped.is_err());
        assert_eq!(read, 1);
        inputs[1].data.read(&mut |_| read += 1).unwrap();
        assert_eq!(read, 4);
        assert!(stops.ended(task(0), Attempt(0)) && !stops.ended(task(0), Attempt(0)));
        assert!(!stops.ended(task(1), Attempt(0)));
    }
}
