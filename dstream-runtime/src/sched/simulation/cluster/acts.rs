//! How a simulated cluster carries out its cores' actions and delivers messages.

use super::*;
use crate::sched::attempt::is_speculative;
use crate::sched::master::Cause;
use crate::sched::simulation::reference::has_output;
use crate::source::Range;

impl Cluster {
    pub(in crate::sched::simulation) fn act(&mut self, outside: &mut Outside) {
        self.judge_losses();
        self.see_to_listeners();
        let mut said = None;
        while let Some(action) = self.master.poll() {
            assert!(self.outcome.is_none(), "{action:?} after the end");
            if let MasterAction::Finish(Outcome::Failed(Cause::Fenced { .. })) = &action {
                assert!(said.is_none(), "a fenced master sends {said:?}");
            }
            said.get_or_insert_with(|| std::mem::discriminant(&action));
            self.master_asks(outside, action);
        }
        self.see_to_listeners();
        self.say_spent();
        self.see_off();
        self.workers_act();
    }

    pub(in crate::sched::simulation) fn workers_act(&mut self) {
        let admitted = self.processes.iter().filter(|(_, process)| process.is_admitted);
        for worker in admitted.map(|(worker, _)| *worker).collect::<Vec<_>>() {
            while let Some(action) = self.processes.get_mut(&worker).and_then(|p| p.core.poll()) {
                self.worker_asks(worker, action);
            }
        }
    }

    fn master_asks(&mut self, outside: &mut Outside, action: MasterAction) {
        match action {
            MasterAction::Cut { batch, source, .. } => {
                self.network.push(Message::Cut(batch, source))
            }
            MasterAction::Tell(to, message) => {
                if let ToWorker::Recover(recover) = &message {
                    self.lost.extend(&recover.lost);
                }
                if let ToWorker::Speculate { task, .. } = &message {
                    self.twice.insert(*task);
                }
                if let ToWorker::Release { oldest, .. } = &message
                    && self.term == outside.term
                {
                    let needed = outside.oldest();
                    assert!(*oldest <= needed, "{oldest} is let go, and {needed} may be needed");
                }
                if self.job.in_time {
                    self.heed(&message);
                    return self.network.push(Message::ToWorker(to, message));
                }
                match self.processes.get_mut(&to) {
                    // A cut connection delivers a prefix of what was sent.
                    Some(process) if process.zombie && self.seed.one_in(2) => process.deaf = true,
                    Some(process) if !process.deaf => process.told.push_back(message),
                    _ => {}
                }
            }
            MasterAction::Persist(seq, entry) => {
                if let JournalEntry::Gap { first, .. } = &entry {
                    self.may_step_over(*first);
                }
                let ended = match &entry {
                    JournalEntry::Cut { batch, .. } => self.ended.remove(batch).unwrap_or_default(),
                    _ => Vec::new(),
                };
                self.unsynced.push_back((seq, entry, ended));
                self.network.push(Message::Put(seq));
            }
            MasterAction::Publish { batch, token, .. } => {
                assert_eq!(token.batch(), batch);
                let timetable = self.master.timetable();
                outside.ends(batch, timetable.end(batch), timetable.interval_ms());
                let parts = self.parts_of(batch);
                self.network.push(Message::Show(batch, parts));
            }
            MasterAction::Admit(worker) => self.network.push(Message::Welcome(worker)),
            MasterAction::SetTimer(at) => self.network.push(Message::Tick(at)),
            MasterAction::Dismiss(worker) if self.desk.is_some() => {
                self.membership.drained(worker);
                if !self.processes.contains_key(&worker) {
                    // Its lease is over; its connection closes.
                    self.network.push(Message::Left(worker));
                }
            }
            MasterAction::Dismiss(worker) if self.job.in_time => self.let_go(worker),
            MasterAction::Dismiss(worker) => self.kill(worker),
            MasterAction::Obsolete(object) => {
                let was_there = outside.storage.remove(&object).is_some();
                let is_old = self.term != outside.term;
                assert!(was_there || is_old, "{object} went before");
            }
            MasterAction::Evict(worker, _) => self.give_up(worker),
            MasterAction::StopSources => {
                self.stopped = true;
                if let Some(desk) = &mut self.desk {
                    desk.stop();
                }
                for worker in &self.receiving {
                    self.network.push(Message::StopReceiving(*worker));
                }
            }
            MasterAction::Missed { .. } => self.missed += 1,
            MasterAction::Weights(weights) => {
                if let Some(desk) = &self.desk {
                    desk.weigh(&weights);
                }
            }
            MasterAction::NewBatch { .. }
            | MasterAction::Refuse { .. }
            | MasterAction::Unneeded { .. }
            | MasterAction::Slow { .. } => {}
            MasterAction::Finish(outcome) => {
                let unreadable = matches!(outcome, Outcome::Failed(Cause::State { .. }));
                let is_lost = self.job.reckless && is_of_loss(&outcome);
                if self.term == outside.term && !(unreadable && self.damaged_loads > 0) && !is_lost
                {
                    assert_eq!(outcome, Outcome::Done);
                }
                let fenced = matches!(outcome, Outcome::Failed(Cause::Fenced { .. }));
                assert!(!fenced || self.master.poll().is_none(), "it goes on");
                self.outcome = Some(outcome);
            }
        }
    }

    /// Batches are skipped only where nothing would be emitted.
    fn may_step_over(&self, first: BatchSeq) {
        let rest = self
            .reference
            .plan
            .rest(self.reference.plan.interval_ms)
            .expect("it emits from nothing");
        let since = first.0.saturating_sub(rest).max(self.job.config.first.0);
        for batch in (since..first.0).map(BatchSeq) {
            let inputs = self.reference.inputs(batch);
            assert!(inputs.iter().all(Vec::is_empty), "{batch} may still come out, before {first}");
        }
    }

    /// Asserts that published parts equal those of a run without faults.
    fn parts_of(&mut self, batch: BatchSeq) -> Vec<(TaskId, u64)> {
        let first = |batch| TaskId { batch, stage: StageId(0), partition: Partition(0) };
        let range = first(batch)..first(BatchSeq(batch.0 + 1));
        let got: Vec<_> =
            self.parts.range(range.clone()).map(|(task, part)| (*task, *part)).collect();
        let outputs = |task: &TaskId| has_output(self.reference.plan, *task);
        self.reference.up_to(batch);
        let expected = self.reference.results.range(range).filter(|(task, _)| outputs(task));
        let expected: Vec<_> = expected.map(|(task, result)| (*task, *result)).collect();
        assert_eq!(got, expected, "{batch}");
        got
    }

    pub(in crate::sched::simulation) fn deliver(
        &mut self,
        outside: &mut Outside,
        message: Message,
    ) {
        let event = match message {
            Message::ToPeer(_, to, message, contents) => {
                return self.peer_hears(to, message, &contents);
            }
            Message::Ran(on, task, attempt, result) => return self.ran(on, task, attempt, result),
            Message::Saved(on, saved, value) => {
                let Saved { stage, partition, after, .. } = saved;
                let full = self.network.timed().is_some_and(|t| t.conditions.full > t.now);
                // Once faults end, storage works.
                let is_late = self.network.timed().is_some_and(|t| t.now > LATE_MS);
                let bad = !is_late && self.seed.one_in(self.job.bad_storage);
                let event = if full || bad {
                    self.refused_saves += 1;
                    WorkerEvent::NotSaved { stage, partition, after }
                } else {
                    let (name, before) = saved.objects.split_last().expect("it has a name");
                    let continues = before.last().cloned();
                    outside.storage.insert(name.clone(), Object { continues, value });
                    WorkerEvent::Saved(saved)
                };
                return self.tell(on, event);
            }
            Message::Loaded(on, saved, recovery) => {
                return self.loaded(outside, on, saved, recovery);
            }
            Message::ToMaster(from, ..) if self.closed.contains(&from) => return,
            // A lost worker does not join again under its id.
            Message::ToMaster(from, ToMaster::Joined { .. }, _)
                if self.processes.get(&from).is_none_or(|p| p.zombie) =>
            {
                return;
            }
            Message::ToMaster(from, message, part) => {
                if self.master.accepts(from, &message)
                    && let (ToMaster::TaskDone { task, .. }, Some(part)) = (&message, part)
                {
                    assert_eq!(self.parts.insert(*task, part), None, "{task} counts twice");
                }
                if let ToMaster::TaskDone { task, attempt, .. } = &message {
                    self.done.insert(*task);
                    // Its run counts from now on, although not all workers know.
                    let counts = is_speculative(*attempt) && self.master.accepts(from, &message);
                    let may = self.desk.is_none() && self.helpers_lost < 3;
                    if counts && may && self.seed.one_in(2) {
                        (self.helpers_lost, self.losses) = (self.helpers_lost + 1, self.losses + 1);
                        let host = self.network.timed().and_then(|t| t.machines.get(&from));
                        self.departed.extend(host.map(|host| (*host, None)));
                        self.kill(from);
                        self.network.push(Message::Left(from));
                    }
                }
                MasterEvent::Worker(from, message)
            }
            Message::Left(worker) => MasterEvent::Left(worker, "it was killed".into()),
            Message::Put(seq) => return self.put(outside, seq),
            Message::Synced(seq) => MasterEvent::Synced(seq),
            Message::Fenced => MasterEvent::Fenced { why: "another one".into() },
            Message::Show(batch, parts) => {
                outside.show(batch, &self.reference.inputs(batch), parts);
                return self.network.push(Message::Published(batch));
            }
            Message::Published(batch) => MasterEvent::Published { batch },
            Message::Cut(batch, source) => self.cut(batch, source),
            Message::Tick(at) => {
                self.now = self.now.max(at);
                MasterEvent::Tick
            }
            Message::ToWorker(to, message) => {
                return self.tell(to, WorkerEvent::Master(message));
            }
            Message::Beat(_)
            | Message::Alive(_)
            | Message::Welcome(_)
            | Message::JoinAgain(_)
            | Message::BrokenLink(..)
            | Message::Unreachable(..)
            | Message::Judge(..)
            | Message::Look
            | Message::Told(..)
            | Message::Note(..)
            | Message::Answer(..)
            | Message::Crew(..)
            | Message::StopReceiving(_)
            | Message::ReceivedAll(_)
            | Message::Grace(_)
            | Message::Losses(_)
            | Message::Receive(..)
            | Message::Listens(..)
            | Message::Open(_) => return,
        };
        match self.network.timed() {
            Some(timed) => self.now = timed.clock(),
            None => self.now += self.seed.below(20),
        }
        self.master.handle(self.now, event);
    }

    /// Writes all entries up to one.
    fn put(&mut self, outside: &mut Outside, seq: JournalSeq) {
        while let Some((first, entry, ended)) =
            self.unsynced.pop_front_if(|(first, ..)| *first <= seq)
        {
            if !outside.put(self.term, entry, &ended) {
                // Later entries are not written either.
                self.unsynced.clear();
                return self.network.push(Message::Fenced);
            }
            self.durable = first;
        }
        if self.durable < seq {
            return;
        }
        self.network.push(Message::Synced(seq));
    }

    fn cut(&mut self, batch: BatchSeq, source: SourceId) -> MasterEvent {
        if let Some(desk) = self.desk.as_mut().filter(|_| source == SOURCE) {
            let cut = desk.cut(batch, self.reference.partitions as usize);
            let crate::source::Cut { inputs, position, ended, .. } = match cut {
                Ok(cut) => cut,
                Err(error) => {
                    let message = error.to_string();
                    return MasterEvent::CutFailed { batch, source, message };
                }
            };
            let inputs: Vec<Vec<Range>> = inputs.into_iter().map(|input| input.ranges).collect();
            self.sources[0].ended = ended;
            let all_ended = self.sources.iter().map(|source| source.ended).collect();
            self.ended.insert(batch, all_ended);
            self.reference.cut(batch, source, inputs.clone());
            return MasterEvent::CutDone { batch, source, inputs, position, ended, waiting: false };
        }
        let (index, partitions) = (source.index(), u64::from(self.reference.partitions));
        let Source { mut position, total, ended } = self.sources[index];
        assert!(!ended, "{source} is asked again");
        let mut inputs = Vec::new();
        // After a stop, little input remains.
        let fresh = if self.stopped { 2 } else { partitions + 1 };
        for _ in 0..self.seed.below(fresh.min(partitions + 1)) {
            let end = (position + 1 + self.seed.below(3)).min(total);
            if position < end {
                inputs.push(vec![Range { split: "s".into(), start: position, end }]);
            }
            position = end;
        }
        let all = position == total;
        let ended = all || self.stopped && self.seed.one_in(2);
        self.sources[index].position = position;
        self.sources[index].ended = all && !self.stopped;
        let all_ended = self.sources.iter().map(|source| source.ended).collect();
        self.ended.insert(batch, all_ended);
        self.reference.cut(batch, source, inputs.clone());
        let position = Some(position.to_le_bytes().as_slice().into());
        MasterEvent::CutDone { batch, source, inputs, position, ended, waiting: false }
    }
}

/// Whether a job ended because its input is lost.
pub(in crate::sched::simulation) fn is_of_loss(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(Cause::Lost { .. }))
}
