//! A worker's process in a simulated cluster: what it holds, and what it does for its core. Blocks, states and
//! saved states have contents, so a task that runs on a wrong one has a wrong result, and is found out.

use std::collections::{BTreeMap, VecDeque};

use super::cluster::{Cluster, Message, has_output};
use super::outside::Outside;
use super::reference::{State, content, result};
use crate::id::*;
use crate::sched::attempt::is_speculative;
use crate::sched::message::*;
use crate::sched::worker::RunTask;
use crate::sched::*;

pub(super) struct Process {
    pub(super) core: WorkerCore,
    /// What the master has told it and has not arrived.
    pub(super) told: VecDeque<ToWorker>,
    blocks: BTreeMap<BlockId, u64>,
    /// None while a task uses it.
    states: BTreeMap<State, Option<u64>>,
    /// What states were when they were marked the last times.
    marks: BTreeMap<State, VecDeque<u64>>,
    /// The master has given it up, and it does not know.
    pub(super) zombie: bool,
    /// Nothing that the master says arrives any more.
    pub(super) deaf: bool,
    /// When it has last heard of its master, where time is simulated.
    pub(super) heard: u64,
    /// Results that have not been reported.
    parts: BTreeMap<(TaskId, Attempt), u64>,
}

impl Process {
    pub(super) fn new(core: WorkerCore) -> Self {
        Self {
            core,
            told: VecDeque::new(),
            blocks: BTreeMap::new(),
            states: BTreeMap::new(),
            marks: BTreeMap::new(),
            zombie: false,
            deaf: false,
            heard: 0,
            parts: BTreeMap::new(),
        }
    }
}

impl Process {
    /// Marks a state. Returns what it was at the last mark but one, if there was one.
    fn mark(&mut self, key: State, state: u64) -> Option<u64> {
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
                    node.start(run, self.now);
                    self.see_to_node(from);
                }
                _ => self.start(from, &run),
            },
            // It may have begun.
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
                    ToMaster::TaskDone { task, attempt, .. } => {
                        process.parts.remove(&(*task, *attempt))
                    }
                    _ => None,
                };
                self.network.push(Message::ToMaster(from, message, part));
            }
            WorkerAction::Tell(to, message) => {
                let contents = match &message {
                    ToPeer::Produced { task, blocks, .. } => {
                        let ids = blocks.iter().map(|(tail, partition)| BlockId {
                            producer: *task,
                            tail: *tail,
                            partition: *partition,
                        });
                        ids.map(|id| *process.blocks.get(&id).expect("it sends what it holds"))
                            .collect()
                    }
                    _ => Vec::new(),
                };
                self.network.push(Message::ToPeer(from, to, message, contents));
            }
            WorkerAction::SendState { to, epoch, stage, partition } => {
                let state = process.states.remove(&(stage, partition)).unwrap_or(Some(0));
                process.marks.remove(&(stage, partition));
                let state = state.expect("it is in use");
                let message = ToPeer::State { epoch, stage, partition };
                self.network.push(Message::ToPeer(from, to, message, vec![state]));
            }
            WorkerAction::Save { stage, partition, after, continues } => {
                let state = process.states.get(&(stage, partition)).copied().unwrap_or(Some(0));
                let state = state.expect("it is in use");
                self.reference.up_to(after);
                let expected = self.reference.state(after, (stage, partition));
                assert_eq!(state, expected, "{stage}, {partition} is saved after {after}");
                let mut saved = Saved { stage, partition, after, objects: Vec::new() };
                let mut value = state;
                if let Some(before) = process.mark((stage, partition), state)
                    && !continues.is_empty()
                    // There may be too much that has changed.
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
                assert_ne!(process.states.get(&key), Some(&None), "{key:?} is in use");
                self.network.push(Message::Loaded(from, state, recovery));
            }
            WorkerAction::Discard { stage, partition } => {
                process.marks.remove(&(stage, partition));
                assert_ne!(process.states.remove(&(stage, partition)), Some(None), "in use");
            }
            WorkerAction::Drop { .. } => panic!("everything is kept until its batch is over"),
            WorkerAction::Forget { oldest } => {
                process.blocks.retain(|block, _| block.producer.batch >= oldest);
            }
        }
    }

    pub(super) fn start(&mut self, on: WorkerId, run: &RunTask) {
        let Some(process) = self.processes.get_mut(&on) else { return };
        let (task, row) = (run.task, self.reference.plan.stage(run.task.stage));
        let mut inputs = Vec::new();
        for input in &run.inputs {
            let content = |id: &BlockId| {
                let content = process.blocks.get(id);
                (*id, *content.unwrap_or_else(|| panic!("{task} reads {id:?}, which is not here")))
            };
            inputs.push(input.iter().map(content).collect());
        }
        let state = match row.state {
            Some(_) => {
                let state = process.states.entry((task.stage, task.partition)).or_insert(Some(0));
                state.take().unwrap_or_else(|| panic!("{task} uses a state that is in use"))
            }
            None => 0,
        };
        let result = result(task, state, &inputs, &run.ranges);
        self.reference.up_to(task.batch);
        assert_eq!(self.reference.results.get(&task), Some(&result), "{task} on {on}");
        if self.done.contains(&task) {
            self.again += 1;
            let twice = self.twice.contains(&task);
            assert!(
                twice || self.lost.contains(&task.partition),
                "{task} runs again and was not lost"
            );
        }
        if self.seed.one_in(self.failing) {
            // Its state is as before.
            if row.state.is_some() {
                process.states.insert((task.stage, task.partition), Some(state));
            }
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

    /// Blocks that are on their way are given up with their second run, as drivers do it (`cluster::transfers`).
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
        match &message {
            ToPeer::Produced { task, blocks, .. } => {
                for ((tail, partition), content) in blocks.iter().zip(contents) {
                    let id = BlockId { producer: *task, tail: *tail, partition: *partition };
                    process.blocks.insert(id, *content);
                }
            }
            ToPeer::State { epoch, stage, partition } => {
                if process.core.expects_state(*epoch, *stage, *partition) {
                    process.marks.remove(&(*stage, *partition));
                    let before = process.states.insert((*stage, *partition), Some(contents[0]));
                    assert_ne!(before, Some(None), "{stage}, {partition} comes while it is in use");
                }
            }
            ToPeer::Want { .. } => {}
        }
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
        // A zombie may find that it went, or the worker of a master that is none any more.
        let Some(state) = outside.load(&saved) else {
            if process.zombie {
                return;
            }
            assert_ne!(self.term, outside.term, "{saved:?} has gone");
            let why = "it has gone".to_owned();
            let event = WorkerEvent::NotLoaded { stage, partition, recovery, why };
            return process.core.handle(event);
        };
        let before = process.states.insert((stage, partition), Some(state));
        assert_ne!(before, Some(None), "{stage}, {partition} is loaded while it is in use");
        process.marks.remove(&(stage, partition));
        if !saved.objects.is_empty() {
            process.mark((stage, partition), state);
        }
        process.core.handle(WorkerEvent::Loaded { stage, partition, recovery });
    }

    pub(super) fn ran(&mut self, on: WorkerId, task: TaskId, attempt: Attempt, result: u64) {
        let Some(process) = self.processes.get_mut(&on) else { return };
        let row = self.reference.plan.stage(task.stage);
        if row.state.is_some() {
            process.states.insert((task.stage, task.partition), Some(result));
        }
        let blocks = self.reference.blocks(task);
        for (tail, partition) in blocks.iter().copied() {
            let id = BlockId { producer: task, tail, partition };
            process.blocks.insert(id, content(id, result));
        }
        if has_output(self.reference.plan, task) {
            process.parts.insert((task, attempt), result);
        }
        let micros = self.seed.below(200_000) as u32;
        let tally = TaskTally { micros, content: result, ..TaskTally::default() };
        process.core.handle(WorkerEvent::Ran { task, attempt, blocks, tally });
    }
}
