//! A worker's process in a simulated cluster, and how it carries out its core's actions.

use std::collections::{BTreeMap, VecDeque};

use super::cluster::Cluster;
use super::held::Held;
use super::message::Message;
use super::outside::Outside;
use crate::id::*;
use crate::sched::message::*;
use crate::sched::worker::RunTask;
use crate::sched::*;

pub(super) struct Process {
    pub(super) core: WorkerCore,
    /// Messages of the master in flight.
    pub(super) told: VecDeque<ToWorker>,
    held: Held,
    /// The states at their last marks.
    marks: BTreeMap<(StageId, Partition), VecDeque<u64>>,
    /// The master has disconnected it, and it does not know.
    pub(super) zombie: bool,
    /// Messages of the master no longer arrive.
    pub(super) deaf: bool,
    /// Its master has welcomed it.
    pub(super) is_admitted: bool,
    /// When it last heard from its master, in simulated time.
    pub(super) heard: u64,
}

impl Process {
    pub(super) fn new(core: WorkerCore) -> Self {
        Self {
            core,
            told: VecDeque::new(),
            held: Held::default(),
            marks: BTreeMap::new(),
            zombie: false,
            deaf: false,
            is_admitted: true,
            heard: 0,
        }
    }
}

impl Process {
    /// Marks a state; returns the state at the mark before the last, if any.
    fn mark(&mut self, key: (StageId, Partition), state: u64) -> Option<u64> {
        let marks = self.marks.entry(key).or_default();
        marks.push_back(state);
        if marks.len() > 2 { marks.pop_front() } else { None }
    }
}

impl Cluster {
    pub(super) fn worker_asks(&mut self, from: WorkerId, action: WorkerAction) {
        let process = self.processes.get_mut(&from).unwrap();
        match action {
            WorkerAction::Run(run) => match self.nodes.get_mut(&from) {
                Some(node) if !run.ranges.is_empty() => {
                    node.start(run);
                    self.see_to_node(from);
                }
                _ => self.start(from, &run),
            },
            // The task may have begun.
            WorkerAction::Cancel { task, attempt } if self.seed.one_in(2) => {
                let is_it = |m: &Message| matches!(m, Message::Ran(on, of, run, _) if (*on, *of, *run) == (from, task, attempt));
                if self.network.withdraw(is_it) {
                    self.cancelled += 1;
                    process.core.handle(WorkerEvent::Cancelled { task, attempt });
                }
            }
            WorkerAction::Cancel { .. } => {}
            WorkerAction::Report(message) => {
                let part = match &message {
                    ToMaster::TaskDone { task, attempt, .. } => process.held.part(*task, *attempt),
                    _ => None,
                };
                self.network.push(Message::ToMaster(from, message, part));
            }
            WorkerAction::Tell(to, message) => {
                let contents = process.held.contents(&message);
                self.network.push(Message::ToPeer(from, to, message, contents));
            }
            WorkerAction::SendState { to, epoch, stage, partition } => {
                let state = process.held.take_state((stage, partition));
                process.marks.remove(&(stage, partition));
                let message = ToPeer::State { epoch, stage, partition };
                self.network.push(Message::ToPeer(from, to, message, vec![state]));
            }
            WorkerAction::Save { stage, partition, after, continues } => {
                let state = process.held.state((stage, partition));
                self.reference.up_to(after);
                let expected = self.reference.state(after, (stage, partition));
                assert_eq!(state, expected, "{stage}, {partition} is saved after {after}");
                let mut saved = Saved { stage, partition, after, objects: Vec::new() };
                let mut value = state;
                if let Some(before) = process.mark((stage, partition), state)
                    && !continues.is_empty()
                    // The changes may be too large.
                    && !self.seed.one_in(4)
                {
                    (saved.objects, value) = (continues, state.wrapping_sub(before));
                    self.continued += 1;
                }
                saved.objects.push(format!("{from}/{stage}/{partition}/{after}/{}", self.saves));
                self.saves += 1;
                self.network.push(Message::Saved(from, saved, value));
            }
            WorkerAction::Load { state, recovery } => {
                let key = (state.stage, state.partition);
                assert!(!process.held.is_in_use(key), "{key:?} is in use");
                self.network.push(Message::Loaded(from, state, recovery));
            }
            WorkerAction::Discard { stage, partition } => {
                process.marks.remove(&(stage, partition));
                process.held.discard((stage, partition));
            }
            WorkerAction::Drop { .. } => panic!("everything is kept until its batch is over"),
            WorkerAction::Forget { oldest } => process.held.forget(oldest),
        }
    }

    pub(super) fn start(&mut self, on: WorkerId, run: &RunTask) {
        let Some(process) = self.processes.get_mut(&on) else { return };
        let task = run.task;
        let (state, result) = process.held.begin(on, run, &mut self.reference);
        if self.done.contains(&task) {
            self.again += 1;
            let twice = self.twice.contains(&task);
            assert!(
                twice || self.lost.contains(&task.partition),
                "{task} runs again and was not lost"
            );
        }
        if self.seed.one_in(self.failing) {
            // Its state is unchanged.
            process.held.leave(task, state, &self.reference);
            let (message, kind) = ("unlucky".into(), FailureKind::Panic);
            let failure = Failure { message, at: None, kind, again: true };
            let failed = WorkerEvent::Failed { task, attempt: run.attempt, failure };
            return process.core.handle(failed);
        }
        self.network.push(Message::Ran(on, task, run.attempt, result));
    }

    pub(super) fn tell(&mut self, worker: WorkerId, event: WorkerEvent) {
        if let WorkerEvent::Master(ToWorker::Cancel { task, .. }) = &event {
            self.give_up_sending(worker, *task);
        }
        if let Some(process) = self.processes.get_mut(&worker) {
            process.core.handle(event);
        }
    }

    /// Transfers of a superseded run are cancelled, as drivers do (`cluster::transfers`).
    fn give_up_sending(&mut self, worker: WorkerId, task: TaskId) {
        let is_it = |message: &Message| match message {
            Message::ToPeer(from, _, ToPeer::Produced { task: of, attempt, blocks, .. }, _) => {
                (*from, *of) == (worker, task) && is_speculative(*attempt) && !blocks.is_empty()
            }
            _ => false,
        };
        while self.network.withdraw(is_it) {
            self.given_up += 1;
        }
    }

    pub(super) fn peer_hears(&mut self, to: WorkerId, message: ToPeer, contents: &[u64]) {
        let Some(process) = self.processes.get_mut(&to) else { return };
        if let ToPeer::State { epoch, stage, partition } = &message
            && process.core.expects_state(*epoch, *stage, *partition)
        {
            process.marks.remove(&(*stage, *partition));
        }
        process.held.take_in(&process.core, &message, contents);
        process.core.handle(WorkerEvent::Peer(message));
    }

    pub(super) fn loaded(
        &mut self,
        outside: &Outside,
        on: WorkerId,
        saved: Saved,
        recovery: Epoch,
    ) {
        let Some(process) = self.processes.get_mut(&on) else { return };
        let (stage, partition) = (saved.stage, saved.partition);
        if !process.core.expects_load(recovery, stage, partition) {
            return;
        }
        self.loads += u32::from(!saved.objects.is_empty());
        if saved.objects.iter().any(|object| outside.damaged.contains(object)) {
            self.damaged_loads += 1;
            let why = "it is damaged".to_owned();
            let event = WorkerEvent::NotLoaded { stage, partition, recovery, why };
            return process.core.handle(event);
        }
        // A zombie, or a worker of a replaced master, may find it removed.
        let Some(state) = outside.load(&saved) else {
            if process.zombie {
                return;
            }
            assert_ne!(self.term, outside.term, "{saved:?} has gone");
            let why = "it has gone".to_owned();
            let event = WorkerEvent::NotLoaded { stage, partition, recovery, why };
            return process.core.handle(event);
        };
        process.held.put((stage, partition), state);
        process.marks.remove(&(stage, partition));
        if !saved.objects.is_empty() {
            process.mark((stage, partition), state);
        }
        process.core.handle(WorkerEvent::Loaded { stage, partition, recovery });
    }

    pub(super) fn ran(&mut self, on: WorkerId, task: TaskId, attempt: Attempt, result: u64) {
        let Some(process) = self.processes.get_mut(&on) else { return };
        let blocks = process.held.ran(task, attempt, result, &self.reference);
        let micros = self.seed.below(200_000) as u32;
        let tally = TaskTally { micros, content: result, ..TaskTally::default() };
        process.core.handle(WorkerEvent::Ran { task, attempt, blocks, tally });
    }
}
