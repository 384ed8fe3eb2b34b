//! Second runs of tasks that are late, on other workers; whichever run comes first counts.
//!
//! Only tasks that read what can be read anywhere, and nothing else, run twice. What counts is decided here
//! alone: a worker drops its run only when it is told so, and so a task whose second run is lost with its
//! worker is still run by its owner. The results of two runs are compared.
//!
//! Invariant: a task has at most one second run at a time, a worker no more of them than it has slots.

use super::epochs::EpochRow;
use super::slow::{Changes, FULL, Slow};
use super::*;
use crate::guards::{Guard, left_out};
use crate::id::StageId;
use crate::plan::{StageRow, Tasks};
use crate::sched::attempt::{first_attempt, is_speculative, speculative};
use crate::sched::engines::Engines;
use crate::sched::message::TaskTally;
use crate::sched::stragglers::{Backlog, Pace, Paces, Ran, Run, can_judge, late_at, slowness};
use crate::shares::{Reader, places};
use crate::source::receive::receiver_of;

/// What is known of stragglers.
#[derive(Debug, Default)]
pub(super) struct Stragglers {
    watches: BTreeMap<BatchSeq, Watch>,
    /// The tasks that ran twice, as long as their batches are not over.
    second: BTreeMap<TaskId, Second>,
    /// When each worker last said that a task had run.
    reported_ms: BTreeMap<WorkerId, u64>,
    paces: Paces,
    pub(super) engines: Engines,
    pub(super) slow: Slow,
    /// How many second runs there were, and how many were first.
    counts: (u64, u64),
}

/// A batch that runs.
#[derive(Debug)]
struct Watch {
    begun_ms: u64,
    stages: Vec<StageWatch>,
    /// How long the tasks of each worker took that are of other stages.
    others: BTreeMap<WorkerId, Ran>,
}

/// A stage whose tasks may run twice.
#[derive(Debug)]
struct StageWatch {
    stage: StageId,
    done: u32,
    /// Its pace, once there are enough to judge.
    pace: Option<Pace>,
    runs: Vec<Run>,
}

/// The second run of a task.
#[derive(Debug)]
struct Second {
    helper: WorkerId,
    attempt: Attempt,
    /// Neither it nor the first one has ended.
    is_open: bool,
    /// What the run that counts has made.
    content: Option<u64>,
}

impl StageWatch {
    /// Of a stage that has as many tasks. A task that has no siblings is judged by the batches before.
    fn of(row: &StageRow, tasks: u32, paces: &Paces) -> Option<Self> {
        let only_reads =
            matches!(row.tasks, Tasks::PerRange(_)) && row.inputs.is_empty() && row.state.is_none();
        let pace = paces.of(row.id).filter(|_| tasks == 1);
        only_reads.then(|| Self { stage: row.id, done: 0, pace, runs: Vec::new() })
    }
}

impl Stragglers {
    fn stage(&mut self, task: TaskId) -> Option<(u64, &mut StageWatch)> {
        let watch = self.watches.get_mut(&task.batch)?;
        let stage = watch.stages.iter_mut().find(|stage| stage.stage == task.stage);
        stage.map(|stage| (watch.begun_ms, stage))
    }

    /// A task that reads no source has run.
    fn ran(&mut self, worker: WorkerId, task: TaskId, tally: &TaskTally) {
        if let Some(watch) = self.watches.get_mut(&task.batch) {
            let ran = watch.others.entry(worker).or_default();
            ran.micros += u64::from(tally.micros);
            ran.busy_micros += u64::from(tally.busy_micros);
        }
    }

    /// A batch has run: what it says of workers.
    fn judge(&mut self, now_ms: u64, batch: BatchSeq, watch: &Watch) -> Changes {
        for StageWatch { stage, runs, .. } in &watch.stages {
            self.paces.note(batch, *stage, runs);
        }
        let of = |of: &StageWatch| self.paces.of(of.stage);
        let stages = watch.stages.iter().filter_map(|stage| Some((&stage.runs[..], of(stage)?)));
        let mut factors = slowness(stages, &watch.others);
        self.engines.judge(now_ms, &mut factors);
        self.slow.judge(batch, &factors)
    }

    /// When a worker could have begun with the next task of a batch that began then.
    fn since_ms(&self, worker: WorkerId, begun_ms: u64) -> u64 {
        self.reported_ms.get(&worker).map_or(begun_ms, |reported| begun_ms.max(*reported))
    }
}

impl MasterCore {
    /// How many second runs there were, and how many of them came first.
    #[must_use]
    pub fn speculations(&self) -> (u64, u64) {
        self.stragglers.as_ref().map_or((0, 0), |stragglers| stragglers.counts)
    }

    /// By what factor a worker that has lost partitions for it is slower than the others, in thousandths.
    pub(super) fn slow_by(&self, worker: WorkerId) -> Option<u32> {
        self.stragglers.as_ref()?.slow.factor(worker)
    }

    /// What workers may own in proportion to each other.
    pub(super) fn weights(&self, workers: &[WorkerId]) -> Vec<u32> {
        let slow = self.stragglers.as_ref().map(|stragglers| &stragglers.slow);
        let slow = slow.filter(|_| !left_out(Guard::SlowOwnsLess));
        let weight = |worker: &WorkerId| slow.map_or(FULL, |slow| slow.weight(*worker));
        workers.iter().map(weight).collect()
    }

    /// What workers read in proportion to each other.
    fn reads(&self, workers: &[WorkerId]) -> Vec<u32> {
        let slow = self.stragglers.as_ref().map(|stragglers| &stragglers.slow);
        let reads = |worker: &WorkerId| slow.map_or(FULL, |slow| slow.reads(*worker));
        workers.iter().map(reads).collect()
    }

    /// The partitions that read the inputs of a live source, one per input, in their order: workers read in
    /// proportion to their weights. None if no placement holds.
    #[must_use]
    pub fn readers(&self, batch: BatchSeq, inputs: usize) -> Vec<usize> {
        let Some(row) = self.epochs.of(batch) else { return Vec::new() };
        let weights = self.reads(&row.members);
        let mut owned: Vec<Vec<usize>> = vec![Vec::new(); row.members.len()];
        for (partition, owner) in row.placement.iter().enumerate() {
            if let Ok(member) = row.members.binary_search(owner) {
                owned[member].push(partition);
            }
        }
        let readers = weights.into_iter().zip(&owned);
        let readers: Vec<_> = readers.map(|(weight, places)| Reader { weight, places }).collect();
        places(inputs, &readers, batch.0)
    }

    /// Says which workers own less now, or as much as the others again.
    pub(super) fn say_slow(&mut self) {
        let Some(stragglers) = &mut self.stragglers else { return };
        for (worker, factor) in stragglers.slow.take_unsaid() {
            let partitions = self.epochs.newest().map_or(0, |row| row.share(worker));
            let share = self.share(worker);
            self.actions.push_back(MasterAction::Slow { worker, factor, partitions, share });
        }
    }

    /// How much a worker reads of what comes in, in percent.
    pub(super) fn share(&self, worker: WorkerId) -> u32 {
        let Some(row) = self.epochs.newest() else { return 0 };
        let Ok(member) = row.members.binary_search(&worker) else { return 0 };
        let weights = self.reads(&row.members);
        let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        (u64::from(weights[member]) * 100 / total.max(1)) as u32
    }

    /// Whether a report is that of a task's second run that has not been given up.
    pub(super) fn is_second(&self, worker: WorkerId, task: TaskId, attempt: Attempt) -> bool {
        let second = self.stragglers.as_ref().and_then(|all| all.second.get(&task));
        is_speculative(attempt)
            && second.is_some_and(|second| {
                let as_asked = second.helper == worker && second.attempt == attempt;
                second.is_open && as_asked
            })
    }

    /// A second run has failed: it is not waited for.
    pub(super) fn second_failed(&mut self, worker: WorkerId, task: TaskId, attempt: Attempt) {
        if self.is_second(worker, task, attempt)
            && let Some(second) = self.stragglers.as_mut().and_then(|all| all.second.get_mut(&task))
        {
            second.is_open = false;
        }
    }

    /// A task has run, by a run that counts. Whether others may be late now.
    pub(super) fn counted(
        &mut self,
        now_ms: u64,
        worker: WorkerId,
        task: TaskId,
        attempt: Attempt,
        tally: &TaskTally,
    ) -> bool {
        let size = match self.is_held(task) {
            // Of received blocks only their number is known.
            true => tally.bytes,
            false => self.size(task),
        };
        let (Some(stragglers), Some(row)) = (&mut self.stragglers, self.epochs.of(task.batch))
        else {
            return false;
        };
        let (owner, epoch) = (row.owner(task.partition), row.epoch);
        let micros = u64::from(tally.micros);
        let since = owner.and_then(|owner| {
            let begun_ms = stragglers.watches.get(&task.batch)?.begun_ms;
            Some((owner, stragglers.since_ms(owner, begun_ms)))
        });
        stragglers.reported_ms.insert(worker, now_ms);
        if let Some(second) = stragglers.second.get_mut(&task) {
            second.content = Some(tally.content);
            let was_open = std::mem::replace(&mut second.is_open, false);
            let by_second = is_speculative(attempt);
            stragglers.counts.1 += u64::from(by_second);
            let other = if by_second { owner } else { Some(second.helper).filter(|_| was_open) };
            if let Some(other) = other.filter(|other| self.members.is_member(*other)) {
                let cancel = ToWorker::Cancel { epoch, task };
                self.actions.push_back(MasterAction::Tell(other, cancel));
            }
        }
        let tasks = self.batches.iter().find_map(|batch| match &batch.phase {
            Phase::Running(running) if batch.seq == task.batch => {
                running.tasks.get(task.stage.index()).copied()
            }
            _ => None,
        });
        let Some(tasks) = tasks else { return false };
        let Some((_, stage)) = stragglers.stage(task) else {
            stragglers.ran(worker, task, tally);
            return false;
        };
        stage.done += 1;
        stage.runs.push(Run { worker, size, micros, is_whole: true });
        if let Some((owner, since)) = since.filter(|(owner, _)| *owner != worker) {
            let micros = now_ms.saturating_sub(since).saturating_mul(1000);
            stage.runs.push(Run { worker: owner, size, micros, is_whole: false });
        }
        let (done, id) = (stage.done, stage.stage);
        if stage.pace.is_some() {
            return done < tasks;
        }
        if !can_judge(done, tasks, row.members.len(), || self.who_is_not_done(task.batch, id)) {
            return false;
        }
        if let Some(stragglers) = &mut self.stragglers {
            let usual = stragglers.paces.of(id);
            if let Some((_, stage)) = stragglers.stage(task) {
                stage.pace = Pace::of(&stage.runs).or(usual);
            }
        }
        done < tasks
    }

    /// How many workers have not run all their tasks of a stage.
    fn who_is_not_done(&self, batch: BatchSeq, stage: StageId) -> usize {
        let Some(row) = self.epochs.of(batch) else { return 0 };
        let running = self.batches.iter().find_map(|of| match &of.phase {
            Phase::Running(running) if of.seq == batch => Some(running),
            _ => None,
        });
        let open = running
            .into_iter()
            .flat_map(|running| self.open_tasks(batch, self.shape.plan.stage(stage), running));
        open.filter_map(|partition| row.owner(partition)).collect::<BTreeSet<_>>().len()
    }

    /// A run has ended after another one that counts: both must have made the same.
    pub(super) fn also_ran(&mut self, task: TaskId, content: u64) {
        let second = self.stragglers.as_ref().and_then(|all| all.second.get(&task));
        if second.and_then(|second| second.content).is_some_and(|counts| counts != content) {
            self.fail(self.incomplete(), Cause::Differs { task });
        }
    }

    /// Has tasks that are late run elsewhere too; says when the next one may be late.
    pub(super) fn speculate(&mut self, now_ms: u64) -> Option<u64> {
        let mut stragglers = self.stragglers.take()?;
        self.watch(&mut stragglers, now_ms);
        let (late, next) = self.late(&stragglers, now_ms);
        self.run_second(&mut stragglers, &late);
        self.stragglers = Some(stragglers);
        next
    }

    /// Takes notice of batches that have begun, and of what those that have run say of workers.
    fn watch(&mut self, stragglers: &mut Stragglers, now_ms: u64) {
        let mut running = BTreeSet::new();
        for batch in &self.batches {
            if let Phase::Running(of) = &batch.phase
                && of.left > 0
            {
                running.insert(batch.seq);
                let paces = &stragglers.paces;
                stragglers.watches.entry(batch.seq).or_insert_with(|| {
                    let watched =
                        |row: &StageRow| StageWatch::of(row, of.tasks[row.id.index()], paces);
                    let stages = self.shape.plan.stages.iter().filter_map(watched).collect();
                    Watch { begun_ms: now_ms, stages, others: BTreeMap::new() }
                });
            }
        }
        let over = stragglers.watches.extract_if(.., |batch, _| !running.contains(batch));
        for (batch, watch) in over.collect::<Vec<_>>() {
            if self.failed.is_some() {
                continue;
            }
            stragglers.slow.retain(|worker| self.members.is_member(worker));
            stragglers.engines.retain(|worker| self.members.is_member(worker));
            stragglers.reported_ms.retain(|worker, _| self.members.is_member(*worker));
            stragglers.paces.forget(batch, |worker| self.members.is_member(worker));
            let changes = stragglers.judge(now_ms, batch, &watch);
            if changes.owns {
                self.members.reweigh();
            }
            if changes.reads {
                self.actions.push_back(MasterAction::Weights(stragglers.slow.readers()));
            }
        }
        let oldest = self.oldest();
        stragglers.second.retain(|task, second| {
            let first = first_attempt(&self.restarts, task.batch, task.partition);
            // One whose worker was lost, or whose task is another worker's by now, is no second run.
            let holds =
                self.members.is_member(second.helper) && second.attempt == speculative(first);
            task.batch >= oldest && (!second.is_open || holds)
        });
    }

    /// The tasks that are late and run nowhere else, with those who are late themselves; and when the next
    /// one may be late.
    fn late(&self, stragglers: &Stragglers, now_ms: u64) -> (Vec<(TaskId, WorkerId)>, Option<u64>) {
        let (mut late, mut next) = (Vec::new(), None::<u64>);
        // A worker runs the oldest first: what it has to do for younger batches waits for that, and is late
        // if that is.
        let mut judged: BTreeMap<WorkerId, bool> = BTreeMap::new();
        for (batch, running, watch, row) in self.watched(stragglers) {
            for stage in &watch.stages {
                if stage.done == running.tasks[stage.stage.index()] {
                    continue;
                }
                for (owner, mut tasks) in self.open_by_owner(batch, stage, running, row) {
                    // Of received blocks only their number is known, and not every worker can read them.
                    tasks.retain(|task| !self.is_held(*task));
                    if tasks.is_empty() {
                        continue;
                    }
                    let (Some(pace), Some(slots)) = (stage.pace, self.members.slots(owner)) else {
                        judged.entry(owner).or_insert(false);
                        continue;
                    };
                    let is_late = *judged.entry(owner).or_insert_with(|| {
                        let since_ms = stragglers.since_ms(owner, watch.begun_ms);
                        let was_slow = stragglers.slow.was_slow(owner);
                        let sizes = tasks.iter().map(|task| self.size(*task)).collect();
                        let at = late_at(pace, &Backlog { since_ms, slots, was_slow, sizes });
                        if at > now_ms {
                            next = Some(next.map_or(at, |next| next.min(at)));
                        }
                        at <= now_ms
                    });
                    if is_late {
                        // The last ones first: the owner may not have begun with them.
                        let tasks = tasks.into_iter().rev();
                        let once = tasks.filter(|task| !stragglers.second.contains_key(task));
                        late.extend(once.map(|task| (task, owner)));
                    }
                }
            }
        }
        (late, next)
    }

    /// The batches that run, oldest first, with what is known of each.
    fn watched<'a>(
        &'a self,
        stragglers: &'a Stragglers,
    ) -> impl Iterator<Item = (BatchSeq, &'a Running, &'a Watch, &'a EpochRow)> {
        self.batches.iter().filter_map(|batch| {
            let Phase::Running(running) = &batch.phase else { return None };
            let watch = stragglers.watches.get(&batch.seq)?;
            Some((batch.seq, running, watch, self.epochs.of(batch.seq)?))
        })
    }

    /// The tasks of a stage that have not run, by who has to.
    fn open_by_owner(
        &self,
        batch: BatchSeq,
        stage: &StageWatch,
        running: &Running,
        row: &EpochRow,
    ) -> BTreeMap<WorkerId, Vec<TaskId>> {
        let mut open: BTreeMap<WorkerId, Vec<TaskId>> = BTreeMap::new();
        let of = self.shape.plan.stage(stage.stage);
        for partition in self.open_tasks(batch, of, running) {
            if let Some(owner) = row.owner(partition) {
                open.entry(owner).or_default().push(TaskId {
                    batch,
                    stage: stage.stage,
                    partition,
                });
            }
        }
        open
    }

    /// Tells workers that have nothing as old to do to run tasks that are late.
    fn run_second(&mut self, stragglers: &mut Stragglers, late: &[(TaskId, WorkerId)]) {
        if late.is_empty() {
            return;
        }
        let late_workers: BTreeSet<WorkerId> = late.iter().map(|(_, owner)| *owner).collect();
        let mut seconds: BTreeMap<WorkerId, u32> = BTreeMap::new();
        for second in stragglers.second.values().filter(|second| second.is_open) {
            *seconds.entry(second.helper).or_default() += 1;
        }
        let busy = self.oldest_open(stragglers);
        for (task, _) in late {
            let (Some(row), Some(ranges)) = (self.epochs.of(task.batch), self.readable(*task))
            else {
                continue;
            };
            let free = row.members.iter().filter_map(|worker| {
                let slots = self.members.slots(*worker)?.max(1);
                let second = seconds.get(worker).copied().unwrap_or(0);
                // A worker that has tasks as old to do itself would only be late with these.
                let is_busy = busy.get(worker).is_some_and(|oldest| *oldest <= task.batch);
                let may = !is_busy && !late_workers.contains(worker) && second < slots;
                may.then(|| (u64::from(second) * 1000 / u64::from(slots), *worker))
            });
            let Some((_, helper)) = free.min() else { continue };
            let first = first_attempt(&self.restarts, task.batch, task.partition);
            let (epoch, attempt) = (row.epoch, speculative(first));
            *seconds.entry(helper).or_default() += 1;
            stragglers.counts.0 += 1;
            let second = Second { helper, attempt, is_open: true, content: None };
            stragglers.second.insert(*task, second);
            let speculate = ToWorker::Speculate { epoch, task: *task, attempt, ranges };
            self.actions.push_back(MasterAction::Tell(helper, speculate));
        }
    }

    /// The oldest batch of which each worker has not run all its tasks that read.
    fn oldest_open(&self, stragglers: &Stragglers) -> BTreeMap<WorkerId, BatchSeq> {
        let mut oldest: BTreeMap<WorkerId, BatchSeq> = BTreeMap::new();
        for (batch, running, watch, row) in self.watched(stragglers) {
            for stage in &watch.stages {
                for owner in self.open_by_owner(batch, stage, running, row).into_keys() {
                    oldest.entry(owner).or_insert(batch);
                }
            }
        }
        oldest
    }

    /// What a task reads.
    fn ranges(&self, task: TaskId) -> &[Range] {
        let ranges = || {
            let Tasks::PerRange(source) = self.shape.plan.stages.get(task.stage.index())?.tasks
            else {
                return None;
            };
            let oldest = self.batches.front()?.seq;
            let at = usize::try_from(task.batch.0.checked_sub(oldest.0)?).ok()?;
            let inputs = self.batches.get(at)?.inputs.get(source.index())?;
            inputs.get(task.partition.index()).map(Vec::as_slice)
        };
        ranges().unwrap_or_default()
    }

    /// How much a task reads.
    fn size(&self, task: TaskId) -> u64 {
        self.ranges(task).iter().map(|range| range.end.saturating_sub(range.start)).sum()
    }

    /// Whether a task reads what clients have pushed, and workers hold.
    fn is_held(&self, task: TaskId) -> bool {
        self.ranges(task).iter().any(|range| receiver_of(&range.split).is_some())
    }

    /// What a task reads, if there is anything and every worker can read it.
    fn readable(&self, task: TaskId) -> Option<Vec<Range>> {
        let ranges = self.ranges(task);
        (!self.is_held(task) && !ranges.is_empty()).then(|| ranges.to_vec())
    }
}
