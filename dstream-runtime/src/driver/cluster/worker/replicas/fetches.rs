//! Tasks that read received blocks which are not here: tasks of a lost worker whose new owner is this one.
//!
//! Decides who is asked: the worker that received them if it is there, and if it has none of it, or is not
//! there, all others. A worker that is gone may come again with what it holds, and is asked then. What none of them
//! has the master hears of, which knows whether to wait for others.
//!
//! A worker that leaves hands over what it holds, so "not here" is stale once a worker is lost: all are asked
//! again. Invariants: a received block that is asked for belongs to a task that waits; a block that is nowhere was
//! denied by all workers in `whom` after the last loss of one. A worker that cannot be reached from here may hold
//! it, and gives a copy to one that can: so all are asked again and again, and it stays nowhere meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::{BlockRange, Key};
use crate::id::{BatchSeq, SourceId, TaskId, WorkerId};
use crate::sched::worker::RunTask;
use crate::source::receive::RangeSet;

/// Tasks that wait, and what they miss.
#[derive(Default)]
pub(in crate::driver::cluster::worker) struct PendingFetches {
    tasks: BTreeMap<TaskId, Waits>,
    asked: BTreeMap<Key, Asked>,
    /// When all were last asked again for what they have denied.
    again: Option<Instant>,
}

/// How often all are asked again for what they have denied.
const AGAIN: Duration = Duration::from_secs(1);

struct Waits {
    run: RunTask,
    /// How many received blocks it misses.
    missing: usize,
}

struct Asked {
    task: TaskId,
    /// Who has been asked.
    whom: BTreeSet<WorkerId>,
    /// How many answers each of them owes. The first of two answers is stale.
    waits_for: BTreeMap<WorkerId, u32>,
    /// All of them have denied it, and are asked once more.
    is_denied: bool,
}

impl Asked {
    /// For a task; no worker has been asked yet.
    fn by(task: TaskId) -> Self {
        Self { task, whom: BTreeSet::new(), waits_for: BTreeMap::new(), is_denied: false }
    }

    /// Asks these workers, also those that were asked before.
    fn ask(&mut self, workers: impl IntoIterator<Item = WorkerId>, mut each: impl FnMut(WorkerId)) {
        self.is_denied = false;
        for worker in workers {
            self.whom.insert(worker);
            *self.waits_for.entry(worker).or_default() += 1;
            each(worker);
        }
    }

    /// A worker has answered; whether none owes an answer after that.
    fn answered(&mut self, worker: WorkerId) -> bool {
        match self.waits_for.get_mut(&worker) {
            None => return false,
            Some(owed) if *owed > 1 => *owed -= 1,
            Some(_) => drop(self.waits_for.remove(&worker)),
        }
        self.waits_for.is_empty()
    }
}

/// A worker to be asked for some received blocks.
pub(in crate::driver::cluster::worker) type FetchRequest = (WorkerId, BlockRange);

/// Received blocks that none of the asked workers has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::driver::cluster::worker) struct Nowhere {
    pub(in crate::driver::cluster::worker) all: Vec<BlockRange>,
    /// Who was asked for all of them.
    pub(in crate::driver::cluster::worker) asked: BTreeSet<WorkerId>,
}

impl PendingFetches {
    /// A task is ready except for received blocks that are not here. Returns which of the connected workers to ask.
    pub(in crate::driver::cluster::worker) fn want(
        &mut self,
        run: RunTask,
        missing: &[Key],
        there: &[WorkerId],
    ) -> Vec<FetchRequest> {
        let task = run.task;
        self.give_up(task);
        let mut requests = Vec::new();
        for key in missing {
            let whom = match there.contains(&key.0) {
                true => BTreeSet::from([key.0]),
                false => there.iter().copied().collect(),
            };
            let mut asked = Asked::by(task);
            asked.ask(whom, |worker| requests.push((worker, *key)));
            self.asked.insert(*key, asked);
        }
        self.tasks.insert(task, Waits { run, missing: missing.len() });
        joined(requests)
    }

    /// A received block is here. Returns the task if it was the last one that it missed.
    pub(in crate::driver::cluster::worker) fn came(&mut self, key: Key) -> Option<RunTask> {
        let task = self.asked.remove(&key)?.task;
        let waits = self.tasks.get_mut(&task)?;
        waits.missing -= 1;
        if waits.missing > 0 {
            return None;
        }
        self.tasks.remove(&task).map(|waits| waits.run)
    }

    /// A worker has none of these: whom else to ask.
    pub(in crate::driver::cluster::worker) fn not_at(
        &mut self,
        worker: WorkerId,
        numbers: BlockRange,
        there: &[WorkerId],
    ) -> Vec<FetchRequest> {
        if numbers.from >= numbers.to {
            return Vec::new();
        }
        let mut requests = Vec::new();
        for (key, asked) in self.asked.range_mut(numbers.keys()) {
            if asked.answered(worker) {
                let others = there.iter().filter(|other| !asked.whom.contains(other)).copied();
                let others: Vec<WorkerId> = others.collect();
                asked.ask(others, |other| requests.push((other, *key)));
            }
        }
        joined(requests)
    }

    /// A worker is gone, and answers nothing before it comes again: whom to ask. What others have denied they may
    /// have by now.
    pub(in crate::driver::cluster::worker) fn gone(
        &mut self,
        worker: WorkerId,
        there: &[WorkerId],
    ) -> Vec<FetchRequest> {
        let mut requests = Vec::new();
        for (key, asked) in &mut self.asked {
            asked.waits_for.remove(&worker);
            // The worker that received it is asked alone, and answers for itself.
            let alone = asked.whom.len() == 1 && asked.waits_for.contains_key(&key.0);
            asked.whom.remove(&worker);
            if !alone {
                asked.whom.clear();
                asked.ask(there.iter().copied(), |other| requests.push((other, *key)));
            }
        }
        joined(requests)
    }

    /// Another worker can be reached: what is to be asked there.
    pub(in crate::driver::cluster::worker) fn is_there(
        &mut self,
        worker: WorkerId,
    ) -> Vec<FetchRequest> {
        let mut requests = Vec::new();
        for (key, asked) in &mut self.asked {
            // If the receiver has come, only it is asked.
            let alone = asked.waits_for.contains_key(&key.0) && asked.whom.len() == 1;
            if !alone && !asked.whom.contains(&worker) {
                asked.ask([worker], |worker| requests.push((worker, *key)));
            }
        }
        joined(requests)
    }

    /// What all have denied that were asked, all are asked for once more when it is time.
    pub(in crate::driver::cluster::worker) fn again(
        &mut self,
        now: Instant,
        there: &[WorkerId],
    ) -> Vec<FetchRequest> {
        if self.again.is_some_and(|again| now.saturating_duration_since(again) < AGAIN) {
            return Vec::new();
        }
        self.again = Some(now);
        let mut requests = Vec::new();
        for (key, asked) in self.asked.iter_mut().filter(|(_, asked)| asked.waits_for.is_empty()) {
            asked.ask(there.iter().copied(), |worker| requests.push((worker, *key)));
            asked.is_denied = true;
        }
        joined(requests)
    }

    /// Batches before this one are over.
    pub(in crate::driver::cluster::worker) fn forget(&mut self, oldest: BatchSeq) {
        self.tasks.retain(|task, _| task.batch >= oldest);
        self.asked.retain(|_, asked| asked.task.batch >= oldest);
    }

    /// The received blocks that none of the asked workers has, and the workers that were asked for all of them. The
    /// master decides whether they are lost: another worker may come with them.
    pub(in crate::driver::cluster::worker) fn nowhere(&self) -> Nowhere {
        let mut nowhere = Nowhere::default();
        let is_nowhere = |asked: &Asked| asked.is_denied || asked.waits_for.is_empty();
        for (key, asked) in self.asked.iter().filter(|(_, asked)| is_nowhere(asked)) {
            match nowhere.all.is_empty() {
                true => nowhere.asked.clone_from(&asked.whom),
                false => nowhere.asked.retain(|worker| asked.whom.contains(worker)),
            }
            match nowhere.all.last_mut() {
                Some(last) if (last.receiver, last.source, last.to) == *key => last.to += 1,
                _ => nowhere.all.push(BlockRange::one(*key)),
            }
        }
        nowhere
    }

    /// These are lost: which of them tasks wait for.
    pub(in crate::driver::cluster::worker) fn lost(
        &self,
        receiver: WorkerId,
        source: SourceId,
        blocks: &RangeSet,
    ) -> Vec<Key> {
        let all = self.asked.range((receiver, source, 0)..=(receiver, source, u64::MAX));
        all.map(|(key, _)| *key).filter(|key| blocks.contains(key.2)).collect()
    }

    fn give_up(&mut self, task: TaskId) -> Option<RunTask> {
        let waits = self.tasks.remove(&task)?;
        self.asked.retain(|_, asked| asked.task != task);
        Some(waits.run)
    }
}

/// Consecutive received blocks are asked for together.
fn joined(mut requests: Vec<(WorkerId, Key)>) -> Vec<FetchRequest> {
    requests.sort_unstable();
    let mut joined: Vec<FetchRequest> = Vec::new();
    for (worker, key) in requests {
        match joined.last_mut() {
            Some((of, last))
                if *of == worker
                    && (last.receiver, last.source) == (key.0, key.1)
                    && last.to == key.2 =>
            {
                last.to += 1;
            }
            _ => joined.push((worker, BlockRange::one(key))),
        }
    }
    joined
}
