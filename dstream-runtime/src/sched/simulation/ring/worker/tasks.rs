//! What a worker's core asks for: tasks, blocks and states. They hold hashes of all that they were made from.

use super::{Local, Worker};
use crate::id::*;
use crate::sched::message::*;
use crate::sched::simulation::reference::hash;
use crate::sched::simulation::ring::links::blocks;
use crate::sched::simulation::ring::words::{Aside, Freight, Report};
use crate::sched::worker::RunTask;
use crate::sched::{WorkerAction, WorkerEvent};

impl Worker {
    pub(super) fn asked(&mut self, action: WorkerAction) {
        let Some(work) = &mut self.work else { return };
        match action {
            WorkerAction::Run(run) => self.start(&run),
            WorkerAction::Cancel { .. } => {}
            WorkerAction::Report(message @ ToMaster::Joined { .. }) => {
                work.joining = Some(message);
                self.join();
            }
            WorkerAction::Report(message) => {
                let part = match &message {
                    ToMaster::TaskDone { task, attempt, .. } => work.holds.part(*task, *attempt),
                    _ => None,
                };
                self.report(&Report::Said(message, part));
            }
            WorkerAction::Tell(to, message) => {
                let contents = work.holds.contents(&message);
                self.tell(to, message, contents);
            }
            WorkerAction::SendState { to, epoch, stage, partition } => {
                let state = work.holds.take_state((stage, partition));
                self.tell(to, ToPeer::State { epoch, stage, partition }, vec![state]);
            }
            WorkerAction::Save { stage, partition, after, .. } => {
                let (id, state) = (work.id, work.holds.state((stage, partition)));
                let object = format!("{id}/{stage}/{partition}/{after}/{}", work.saves);
                work.saves += 1;
                let mut kept = self.job.kept();
                let reference = kept.reference(id.term());
                reference.up_to(after);
                let expected = reference.state(after, (stage, partition));
                assert_eq!(state, expected, "{stage}, {partition} is saved after {after}");
                drop(kept);
                let ms = 1 + self.seed.below(8);
                let saved = Saved { stage, partition, after, objects: vec![object] };
                self.note(ms, Local::Saved(id, saved, state));
            }
            WorkerAction::Load { state, recovery } => {
                let key = (state.stage, state.partition);
                assert!(!work.holds.is_in_use(key), "{key:?} is in use");
                let (id, ms) = (work.id, 1 + self.seed.below(8));
                self.note(ms, Local::Loaded(id, state, recovery));
            }
            WorkerAction::Discard { stage, partition } => {
                work.holds.discard((stage, partition));
            }
            WorkerAction::Drop { .. } => panic!("everything is kept until its batch is over"),
            WorkerAction::Forget { oldest } => work.holds.forget(oldest),
        }
    }

    /// Tells another worker; what belongs to it goes with it, or beside it as blocks.
    fn tell(&mut self, to: WorkerId, message: ToPeer, contents: Vec<u64>) {
        let Some(work) = &mut self.work else { return };
        // One that cannot be reached any more is said to be so when its connection ends.
        let Some(peer) = work.links.peer(to) else { return };
        if contents.is_empty() || self.seed.one_in(2) {
            let _ = self.net.send(peer, &Aside::Said(message, Freight::Here(contents)));
            return;
        }
        self.job.hit("blocks go beside a message");
        work.sent += 1;
        let (number, pieces) = (work.sent, contents.len() as u32);
        let len = [0, 500, 3000, 9000][self.seed.below(4) as usize];
        let blocks = blocks(number, &contents, len);
        if self.net.send(peer, &Aside::Said(message, Freight::Sent { number, pieces })).is_ok() {
            work.moving.extend(self.net.push_blocks(peer, blocks));
        }
    }

    fn start(&mut self, run: &RunTask) {
        let Some(work) = &mut self.work else { return };
        let (id, task, mut kept) = (work.id, run.task, self.job.kept());
        let (_, result) = work.holds.begin(id, run, kept.reference(id.term()));
        drop(kept);
        let ms = 1 + self.seed.below(30);
        self.note(ms, Local::Ran(id, task, run.attempt, result));
    }

    pub(super) fn ran(&mut self, task: TaskId, attempt: Attempt, result: u64) {
        let Some(work) = &mut self.work else { return };
        let mut kept = self.job.kept();
        let blocks = work.holds.ran(task, attempt, result, kept.reference(work.id.term()));
        drop(kept);
        let ids = [u64::from(work.id.0), task.batch.0, u64::from(task.stage.0)];
        self.job.mark(&[1, hash(&ids), u64::from(task.partition.0), result]);
        let tally = TaskTally { micros: 1000, content: result, ..TaskTally::default() };
        work.core.handle(WorkerEvent::Ran { task, attempt, blocks, tally });
    }

    pub(super) fn loaded(&mut self, saved: Saved, recovery: Epoch) {
        let Some(work) = &mut self.work else { return };
        let (stage, partition) = (saved.stage, saved.partition);
        if !work.core.expects_load(recovery, stage, partition) {
            return;
        }
        self.job.hit("a state is loaded");
        let state = self.job.kept().outside.load(&saved);
        let Some(state) = state else {
            // A worker that its master has given up may find that it went.
            let why = "it has gone".to_owned();
            let event = WorkerEvent::NotLoaded { stage, partition, recovery, why };
            return work.core.handle(event);
        };
        work.holds.put((stage, partition), state);
        work.core.handle(WorkerEvent::Loaded { stage, partition, recovery });
    }
}
