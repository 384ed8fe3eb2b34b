//! Which tasks the engine's thread runs itself.
//!
//! To wake another thread takes longer than many tasks of a batch that brought nothing. A task
//! that reads no input may run here if the last ones like it (same stage, emitting or not) were done
//! in microseconds; in one turn no more of them than take as long as a wake-up or two. All others go
//! to executors, which is where a stage's cost is first learnt.

use std::collections::VecDeque;
use std::time::Duration;

use super::task::{Ran, Work};
use crate::id::StageId;

/// A task that takes longer is not light.
const LIGHT: Duration = Duration::from_micros(10);
/// So much may run here in one turn.
const TURN: Duration = Duration::from_micros(150);

pub(super) struct Light {
    queue: VecDeque<Work>,
    /// Per stage: what tasks take that read nothing, silent ones and emitting ones.
    costs: Vec<[Option<Duration>; 2]>,
    left: Duration,
}

impl Light {
    pub(super) fn new(stages: usize) -> Self {
        Self { queue: VecDeque::new(), costs: vec![[None; 2]; stages], left: TURN }
    }

    pub(super) fn begin_turn(&mut self) {
        self.left = TURN;
    }

    /// Takes a task to be run here, or gives it back.
    pub(super) fn accept(&mut self, work: Work) -> Option<Work> {
        let cost = self.costs[work.task.stage.index()][usize::from(work.emits)];
        match cost {
            Some(cost) if cost <= LIGHT && work.reads_nothing() => {
                self.queue.push_back(work);
                None
            }
            _ => Some(work),
        }
    }

    /// The next task to run here in this turn.
    pub(super) fn next(&mut self) -> Option<Work> {
        let cost = self.cost(self.queue.front()?.task.stage);
        self.left = self.left.checked_sub(cost)?;
        self.queue.pop_front()
    }

    fn cost(&self, stage: StageId) -> Duration {
        self.costs[stage.index()].iter().flatten().max().copied().unwrap_or(LIGHT)
    }

    /// Moves what does not fit into this turn.
    pub(super) fn rest(&mut self, heavy: &mut Vec<Work>) {
        heavy.extend(self.queue.drain(..));
    }

    /// Learns from a task that has run: at once what was slow, slowly what was fast.
    pub(super) fn learn(&mut self, ran: &Ran) {
        if ran.read_nothing {
            let cost = &mut self.costs[ran.task.stage.index()][usize::from(ran.emits)];
            *cost = Some(cost.map_or(ran.took, |known| ran.took.max((known * 7 + ran.took) / 8)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::task::Made;
    use crate::id::{Attempt, BatchSeq, Partition, TaskId};
    use crate::store::KeptBlock;
    use crate::time::BatchTime;

    const TASK: TaskId = TaskId { batch: BatchSeq(1), stage: StageId(0), partition: Partition(0) };

    fn work() -> Work {
        Work {
            task: TASK,
            attempt: Attempt(0),
            time: BatchTime(0),
            reach: Vec::new().into(),
            emits: true,
            inputs: vec![Vec::<KeptBlock>::new()],
            source: None,
            state: None,
        }
    }

    fn ran(micros: u64, read_nothing: bool) -> Ran {
        Ran {
            task: TASK,
            attempt: Attempt(0),
            emits: true,
            read_nothing,
            state: None,
            result: Ok(Made::default()),
            took: Duration::from_micros(micros),
            busy: Duration::from_micros(micros),
        }
    }

    #[test]
    fn only_tasks_known_to_be_short_run_here_and_not_too_many_in_a_turn() {
        let mut light = Light::new(1);
        assert!(light.accept(work()).is_some(), "nothing is known yet");
        light.learn(&ran(5, false));
        assert!(light.accept(work()).is_some(), "it read something");
        light.learn(&ran(5, true));
        (0..100).for_each(|_| assert!(light.accept(work()).is_none()));
        light.begin_turn();
        let here = std::iter::from_fn(|| light.next()).count();
        assert_eq!(here, 30, "150 µs of 5 µs each");
        let mut heavy = Vec::new();
        light.rest(&mut heavy);
        assert_eq!(heavy.len(), 70);
    }

    #[test]
    fn a_stage_that_was_slow_once_must_be_fast_for_a_while() {
        let mut light = Light::new(1);
        light.learn(&ran(1, true));
        light.learn(&ran(500, true));
        assert!(light.accept(work()).is_some());
        let fast = (1..100).find(|_| {
            light.learn(&ran(1, true));
            light.accept(work()).is_none()
        });
        assert!(fast.is_some_and(|runs| (10..50).contains(&runs)), "{fast:?}");
    }
}
