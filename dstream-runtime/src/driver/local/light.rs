//! Which tasks the engine's thread runs itself.
//!
//! To wake another thread takes longer than many tasks of a batch that brought nothing. A task
//! that reads no input may run here if the last ones like it (same stage, emitting or not) were done
//! in microseconds; in one turn no more of them than take as long as a wake-up or two. All others go
//! to executors, which is where a stage's cost is first learnt.

use std::collections::VecDeque;
use std::time::Duration;

use crate::driver::task::{Ran, Work};
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
        Self {
            queue: VecDeque::new(),
            costs: vec![[None; 2]; stages],
            left: TURN,
        }
    }

    pub(super) fn begin_turn(&mut self) {
        self.left = TURN;
    }

    /// Takes a task to be run here, or gives it back.
    pub(super) fn accept(&mut self, work: Work) -> Result<(), Work> {
        let cost = self.costs[work.task.stage.index()][usize::from(work.emits)];
        match cost {
            Some(cost) if cost <= LIGHT && work.reads_nothing() => {
                self.queue.push_back(work);
                Ok(())
            }
            _ => Err(work),
        }
    }

    /// The next task to run here in this turn.
    pub(super) fn next(&mut self) -> Option<Work> {
        let cost = self.cost(self.queue.front()?.task.stage);
        self.left = self.left.checked_sub(cost)?;
        self.queue.pop_front()
    }

    fn cost(&self, stage: StageId) -> Duration {
        self.costs[stage.index()]
            .iter()
            .flatten()
            .max()
            .copied()
            .unwrap_or(LIGHT)
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
