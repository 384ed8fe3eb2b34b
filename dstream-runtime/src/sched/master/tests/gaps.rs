//! Intervals without a batch. A window says here what it would publish, by batch time.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::plan::{Dependency, TailRow, Tasks};
use crate::sched::message::{Saved, ToSave};
use crate::sched::simulation::Seed;
use crate::sched::testplan::{plan, reading, shuffled, stage};
use crate::time::BatchTime;

/// A window of six batches that slides by two, and over it one of four slides, which slides by three of them.
fn windows() -> &'static Plan {
    plan(
        1,
        vec![
            reading(),
            shuffled(0).window(6, 1).every(1, 2).tail(TailRow::Keep),
            stage(Tasks::PerPartition)
                .reads(Dependency::Narrow, &[(1, 0)])
                .window(4, 2)
                .every(2, 6)
                .tail(TailRow::Output(OutputId(0))),
        ],
    )
}

/// A job in one place: tasks are done at once, and all that is written is durable. What comes in is numbered.
struct Lab {
    plan: &'static Plan,
    core: MasterCore,
    now: u64,
    terms: u32,
    past: Past,
    /// What came in and was not taken in.
    waiting: Vec<u64>,
    came: u64,
    /// By batch number: its time and what it took in.
    cut: BTreeMap<BatchSeq, (u64, Vec<u64>)>,
    /// Whether all batches are run, one by one.
    every: bool,
}

const A: WorkerId = WorkerId(1 << 16);

impl Lab {
    fn new(plan: &'static Plan, every: bool) -> Self {
        let config = Self::config(1, every);
        let core = MasterCore::new(plan, config);
        let (past, cut) = (Past::default(), BTreeMap::new());
        let mut lab =
            Self { plan, core, now: 0, terms: 1, past, waiting: vec![], came: 0, cut, every };
        lab.join();
        lab
    }

    fn config(term: u32, every: bool) -> MasterConfig {
        MasterConfig {
            term,
            publishes_empty: every,
            seen: vec![true; 9],
            checkpoint_ms: Some(1000),
            in_flight: 3,
            ..master(&[true], 1).config
        }
    }

    fn worker(&self) -> WorkerId {
        WorkerId(A.0 * self.terms)
    }

    fn join(&mut self) {
        let joined = ToMaster::Joined { slots: 1 };
        self.core.handle(self.now, MasterEvent::Worker(self.worker(), joined));
        self.settle();
    }

    /// The master is away until then, and another one goes on.
    fn restart(&mut self, now: u64) {
        (self.now, self.terms) = (now, self.terms + 1);
        let config = Self::config(self.terms, self.every);
        self.core = MasterCore::resume(self.plan, config, &self.past, now).unwrap();
        self.settle();
        self.join();
    }

    fn at(&mut self, now: u64) {
        self.now = now;
        self.core.handle(now, MasterEvent::Tick);
        self.settle();
    }

    fn comes(&mut self) {
        self.came += 1;
        self.waiting.push(self.came);
    }

    /// Everything is done that is asked for.
    fn settle(&mut self) {
        while let Some(action) = self.core.poll() {
            let events = self.answer(action);
            events.into_iter().for_each(|event| self.core.handle(self.now, event));
        }
    }

    fn answer(&mut self, action: MasterAction) -> Vec<MasterEvent> {
        let worker = self.worker();
        let says = |message| MasterEvent::Worker(worker, message);
        match action {
            MasterAction::NewBatch { batch, time } => {
                self.cut.insert(batch, (time.0, Vec::new()));
                vec![]
            }
            MasterAction::Cut { batch, source, .. } => {
                let taken = std::mem::take(&mut self.waiting);
                let range = |n: &u64| Range { split: "s".into(), start: *n, end: *n + 1 };
                let ranges: Vec<Range> = taken.iter().map(range).collect();
                let inputs = if ranges.is_empty() { vec![] } else { vec![ranges] };
                self.cut.get_mut(&batch).expect("it is new").1 = taken;
                let (position, ended) = (Some([1u8].into()), false);
                vec![MasterEvent::CutDone {
                    batch,
                    source,
                    inputs,
                    position,
                    ended,
                    waiting: false,
                }]
            }
            MasterAction::Persist(seq, entry) => {
                self.past.apply(&entry);
                vec![MasterEvent::Synced(seq)]
            }
            MasterAction::Publish { batch, .. } => vec![MasterEvent::Published { batch }],
            MasterAction::Tell(_, message) => match message {
                ToWorker::Place { epoch, .. } => {
                    vec![says(ToMaster::Placed { epoch }), says(ToMaster::Settled { epoch })]
                }
                ToWorker::Recover(recover) => {
                    let epoch = recover.epoch;
                    let mut said = vec![says(ToMaster::Placed { epoch })];
                    for resumed in recover.batches {
                        assert_eq!(self.cut[&resumed.batch].0, resumed.time.0, "{}", resumed.batch);
                        let open = resumed.open.into_iter();
                        said.extend(open.map(|task| says(done(epoch, resumed.batch, task))));
                    }
                    said.push(says(ToMaster::Settled { epoch }));
                    said
                }
                ToWorker::Begin { epoch, batch, inputs, time, .. } => {
                    assert_eq!(self.cut[&batch].0, time.0);
                    let mut said = Vec::new();
                    for row in self.plan.stages {
                        let tasks = self.core.shape.tasks(row, batch, &inputs);
                        let tasks = (0..tasks).map(|p| (row.id, Partition(p)));
                        said.extend(tasks.map(|task| says(done(epoch, batch, task))));
                    }
                    said
                }
                ToWorker::Checkpoint { after, states, .. } => {
                    let object = |state: &ToSave| format!("{after}.{}.{}", state.stage, self.terms);
                    let saved = |state: &ToSave| Saved {
                        stage: state.stage,
                        partition: state.partition,
                        after,
                        objects: vec![object(state)],
                    };
                    states.iter().map(|state| says(ToMaster::Saved(saved(state)))).collect()
                }
                _ => vec![],
            },
            _ => vec![],
        }
    }

    /// What the two windows publish, by time, if they hold anything: computed from what was cut, from scratch.
    fn published(&self) -> BTreeMap<u64, Vec<u64>> {
        let at = |seq: u64| self.cut.get(&BatchSeq(seq)).map_or(&[][..], |(_, cut)| cut.as_slice());
        let inner = |seq: u64| {
            let spans = seq.saturating_sub(5)..=seq;
            spans.flat_map(at).copied().collect::<Vec<u64>>()
        };
        let mut published = BTreeMap::new();
        for (seq, (time, _)) in self.cut.iter().filter(|(seq, _)| seq.0.is_multiple_of(6)) {
            let slides = (0..4).rev().filter_map(|n| seq.0.checked_sub(2 * n));
            let all: Vec<u64> = slides.flat_map(inner).collect();
            if !all.is_empty() {
                published.insert(*time, all);
            }
        }
        published
    }

    fn times(&self) -> Vec<u64> {
        self.cut.values().map(|(time, _)| *time).collect()
    }
}

fn done(epoch: Epoch, batch: BatchSeq, (stage, partition): (StageId, Partition)) -> ToMaster {
    let task = TaskId { batch, stage, partition };
    ToMaster::TaskDone { epoch, task, attempt: Attempt(0), tally: TaskTally::default() }
}

#[test]
fn a_weekend_is_one_step_and_what_came_meanwhile_is_taken_in_at_its_end() {
    const WEEKEND: u64 = 216_000 * 100;
    for frozen in [true, false] {
        let mut lab = Lab::new(windows(), false);
        lab.comes();
        (1..=3).for_each(|batch| lab.at(100 * batch));
        lab.comes();
        match frozen {
            true => lab.at(WEEKEND + 50),
            false => lab.restart(WEEKEND + 50),
        }
        let times = lab.times();
        assert!(times.len() < 40, "{} batches, frozen: {frozen}", times.len());
        let taken: Vec<u64> =
            lab.cut.values().filter(|(_, cut)| !cut.is_empty()).map(|(time, _)| *time).collect();
        assert_eq!(taken, [100, WEEKEND]);
        // And from there on at its pace.
        lab.at(WEEKEND + 100);
        assert_eq!(lab.times().last(), Some(&(WEEKEND + 100)));
    }
}

#[test]
fn results_are_those_of_a_job_that_runs_every_batch() {
    let mut stepped = 0;
    for number in 1..=60u64 {
        let mut seed = Seed(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let (mut fast, mut all) = (Lab::new(windows(), false), Lab::new(windows(), true));
        let mut now = 0;
        for _ in 0..40 {
            let long = [50, 100, 100, 300, 1500, 8000, 60_000][seed.below(7) as usize];
            now += 1 + seed.below(long);
            let (comes, restarts) = (seed.one_in(3), long >= 300 && seed.one_in(3));
            for lab in [&mut fast, &mut all] {
                if comes {
                    lab.comes();
                }
                match restarts {
                    true => lab.restart(now),
                    false => lab.at(now),
                }
            }
        }
        // What the windows hold comes out.
        (1..=30).for_each(|n| [&mut fast, &mut all].into_iter().for_each(|l| l.at(now + 100 * n)));
        assert_eq!(fast.published(), all.published(), "seed {number}");
        let every: BTreeSet<u64> = all.times().into_iter().collect();
        let last = *every.last().unwrap();
        assert!(
            every.iter().copied().eq((100..=last).step_by(100)),
            "seed {number}: no interval is left out"
        );
        let times = fast.times();
        assert!(times.is_sorted_by(|a, b| a < b) && times.iter().all(|time| every.contains(time)));
        let next = |timetable: &Timetable| timetable.end(fast.core.next);
        assert_eq!(fast.past.timetable().map(next), Some(next(fast.core.timetable())));
        stepped += every.len() - times.len();
    }
    assert!(stepped > 10_000, "{stepped}");
}

#[test]
fn a_job_that_is_late_because_there_is_no_room_asks_for_every_batch() {
    let mut core = master(&[true], 1);
    core.handle(100, MasterEvent::Tick);
    cut_done(&mut core, 100, 1, 1, false);
    let actions = drain(&mut core);
    assert_eq!(cuts(&actions), [1]);
    core.handle(90_000, MasterEvent::Synced(JournalSeq(1)));
    for stage in 0..3 {
        let (task, epoch, attempt) = (task(1, stage), Epoch(1), Attempt(0));
        let done = ToMaster::TaskDone { epoch, task, attempt, tally: TaskTally::default() };
        core.handle(90_000, MasterEvent::Worker(HERE, done));
    }
    core.handle(90_000, MasterEvent::Synced(JournalSeq(2)));
    core.handle(90_000, MasterEvent::Published { batch: BatchSeq(1) });
    let actions = drain(&mut core);
    assert_eq!(cuts(&actions), [2]);
    let new = MasterAction::NewBatch { batch: BatchSeq(2), time: BatchTime(200) };
    assert!(actions.contains(&new), "{actions:?}");
}
