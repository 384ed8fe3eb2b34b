//! A master's core, event by event.

use super::*;
use crate::id::{OutputId, Partition, StageId};
use crate::sched::message::{EngineTime, FailureKind, TaskTally};
use crate::sched::testplan::word_count;
use crate::time::Timetable;

mod gaps;
mod journal;
mod workers;

const HERE: WorkerId = WorkerId(0);

fn master(live: &[bool], in_flight: u32) -> MasterCore {
    let config = MasterConfig {
        partitions: 1,
        in_flight,
        attempts: 3,
        workers: 1,
        lease_ms: None,
        speculate: false,
        checkpoint_ms: None,
        timetable: Timetable::new(0, 100),
        batch_bytes: u64::MAX,
        publishes_empty: false,
        seen: vec![true; 9],
        live: live.to_vec(),
        drains: live.to_vec(),
        first: BatchSeq(1),
        term: 0,
        completes_stop: false,
    };
    let mut core = MasterCore::new(word_count(), config);
    core.handle(0, MasterEvent::Worker(HERE, ToMaster::Joined { slots: 1 }));
    let placed = ToMaster::Placed { epoch: Epoch(1) };
    core.handle(0, MasterEvent::Worker(HERE, placed));
    core
}

fn says(core: &mut MasterCore, worker: WorkerId, message: ToMaster) {
    core.handle(0, MasterEvent::Worker(worker, message));
}

fn drain(core: &mut MasterCore) -> Vec<MasterAction> {
    std::iter::from_fn(|| core.poll()).collect()
}

/// The batches that sources are asked for.
fn cuts(actions: &[MasterAction]) -> Vec<u64> {
    let cut = |action: &MasterAction| match action {
        MasterAction::Cut { batch, .. } => Some(batch.0),
        _ => None,
    };
    actions.iter().filter_map(cut).collect()
}

fn published(actions: &[MasterAction]) -> Vec<u64> {
    let publish = |action: &MasterAction| match action {
        MasterAction::Publish { batch, token, .. } => {
            assert_eq!(token.batch(), *batch);
            Some(batch.0)
        }
        _ => None,
    };
    actions.iter().filter_map(publish).collect()
}

fn cut_done(core: &mut MasterCore, now: u64, batch: u64, inputs: usize, ended: bool) {
    let range = |start| Range { split: "s".into(), start, end: start + 1 };
    core.handle(
        now,
        MasterEvent::CutDone {
            batch: BatchSeq(batch),
            source: SourceId(0),
            inputs: (0..inputs as u64).map(|input| vec![range(input)]).collect(),
            position: None,
            ended,
            waiting: false,
        },
    );
}

/// Reports the two tasks that an empty batch has on one partition.
fn tasks_done(core: &mut MasterCore, batch: u64) {
    for stage in [1, 2] {
        let task = task(batch, stage);
        let (epoch, attempt, tally) = (Epoch(1), Attempt(0), TaskTally::default());
        let done = ToMaster::TaskDone { epoch, task, attempt, tally };
        core.handle(0, MasterEvent::Worker(HERE, done.clone()));
        core.handle(0, MasterEvent::Worker(HERE, done));
    }
}

fn task(batch: u64, stage: u16) -> TaskId {
    TaskId { batch: BatchSeq(batch), stage: StageId(stage), partition: Partition(0) }
}

fn failed(core: &mut MasterCore, batch: u64, attempt: u32) {
    let failure = Failure { message: "no".into(), at: None, kind: FailureKind::Panic, again: true };
    let report = ToMaster::TaskFailed {
        epoch: Epoch(1),
        task: task(batch, 1),
        attempt: Attempt(attempt),
        failure,
    };
    core.handle(0, MasterEvent::Worker(HERE, report));
}

#[test]
fn nothing_is_visible_before_cut_and_commit_are_durable() {
    let mut core = master(&[false], 4);
    drain(&mut core);
    cut_done(&mut core, 0, 1, 0, true);
    let actions = drain(&mut core);
    assert!(
        matches!(actions[0], MasterAction::Persist(JournalSeq(1), JournalEntry::Cut { .. })),
        "{actions:?}"
    );
    tasks_done(&mut core, 1);
    assert_eq!(drain(&mut core), [], "the cut is not durable");
    core.handle(0, MasterEvent::Synced(JournalSeq(1)));
    let actions = drain(&mut core);
    assert!(
        matches!(actions[..], [MasterAction::Persist(JournalSeq(2), JournalEntry::Commit { .. })]),
        "{actions:?}"
    );
    core.handle(0, MasterEvent::Published { batch: BatchSeq(1) });
    assert_eq!(drain(&mut core), [], "no worker asked for it");
    core.handle(0, MasterEvent::Synced(JournalSeq(2)));
    assert_eq!(published(&drain(&mut core)), [1]);
    core.handle(0, MasterEvent::Published { batch: BatchSeq(1) });
    assert!(drain(&mut core).contains(&MasterAction::Finish(Outcome::Done)));
}

#[test]
fn batches_run_ahead_up_to_the_bound_and_are_published_in_order() {
    let mut core = master(&[false], 2);
    assert_eq!(cuts(&drain(&mut core)), [1]);
    cut_done(&mut core, 0, 1, 0, false);
    assert_eq!(cuts(&drain(&mut core)), [2]);
    cut_done(&mut core, 0, 2, 0, false);
    assert_eq!(cuts(&drain(&mut core)), [0u64; 0], "two are in flight");
    core.handle(0, MasterEvent::Synced(JournalSeq(2)));
    tasks_done(&mut core, 2);
    core.handle(0, MasterEvent::Synced(JournalSeq(9)));
    assert_eq!(published(&drain(&mut core)), [0u64; 0]);
    tasks_done(&mut core, 1);
    core.handle(0, MasterEvent::Synced(JournalSeq(9)));
    assert_eq!(published(&drain(&mut core)), [1]);
    core.handle(0, MasterEvent::Published { batch: BatchSeq(1) });
    let actions = drain(&mut core);
    assert_eq!((published(&actions), cuts(&actions)), (vec![2], vec![3]));
}

#[test]
fn a_live_job_makes_up_missed_ticks_one_by_one() {
    let mut core = master(&[true], 8);
    let actions = drain(&mut core);
    assert!(actions.contains(&MasterAction::SetTimer(100)), "{actions:?}");
    core.handle(99, MasterEvent::Tick);
    assert_eq!(cuts(&drain(&mut core)), [0u64; 0]);
    // Asleep until 350: batches 1, 2 and 3 are due.
    core.handle(350, MasterEvent::Tick);
    assert_eq!(cuts(&drain(&mut core)), [1]);
    cut_done(&mut core, 350, 1, 0, false);
    assert_eq!(cuts(&drain(&mut core)), [2]);
    cut_done(&mut core, 350, 2, 0, false);
    assert_eq!(cuts(&drain(&mut core)), [3]);
    cut_done(&mut core, 350, 3, 0, false);
    let actions = drain(&mut core);
    assert_eq!(cuts(&actions), [0u64; 0]);
    assert!(actions.contains(&MasterAction::SetTimer(400)), "{actions:?}");
}

#[test]
fn a_stop_cuts_what_was_received_and_is_one_stop() {
    let mut core = master(&[true], 4);
    drain(&mut core);
    core.handle(10, MasterEvent::Stop);
    let actions = drain(&mut core);
    assert_eq!(actions[0], MasterAction::StopSources);
    assert_eq!(cuts(&actions), [1], "without waiting for its time");
    core.handle(10, MasterEvent::Stop);
    assert_eq!(drain(&mut core), []);
    cut_done(&mut core, 10, 1, 1, false);
    assert_eq!(cuts(&drain(&mut core)), [2], "there may be more");
    cut_done(&mut core, 10, 2, 0, false);
    let unneeded = MasterAction::Unneeded { batch: BatchSeq(2) };
    assert_eq!(drain(&mut core), [unneeded], "the first still runs");
}

#[test]
fn a_task_runs_three_times_then_the_job_ends_after_the_batches_before() {
    let mut core = master(&[false], 4);
    cut_done(&mut core, 0, 1, 0, false);
    cut_done(&mut core, 0, 2, 0, false);
    drain(&mut core);
    failed(&mut core, 2, 0);
    failed(&mut core, 2, 0);
    let again = |attempt| {
        let (epoch, task) = (Epoch(1), task(2, 1));
        MasterAction::Tell(HERE, ToWorker::Again { epoch, task, attempt: Attempt(attempt) })
    };
    assert_eq!(drain(&mut core), [again(1)], "a failure counts once");
    failed(&mut core, 2, 1);
    assert_eq!(drain(&mut core), [again(2)]);
    failed(&mut core, 2, 2);
    let abandon = ToWorker::Abandon { epoch: Epoch(1), from: BatchSeq(2) };
    assert_eq!(drain(&mut core), [MasterAction::Tell(HERE, abandon)]);
    tasks_done(&mut core, 2);
    cut_done(&mut core, 0, 3, 0, false);
    core.handle(0, MasterEvent::Synced(JournalSeq(2)));
    assert_eq!(drain(&mut core), []);
    tasks_done(&mut core, 1);
    core.handle(0, MasterEvent::Synced(JournalSeq(9)));
    assert_eq!(published(&drain(&mut core)), [1]);
    core.handle(0, MasterEvent::Published { batch: BatchSeq(1) });
    let last = drain(&mut core).pop();
    let Some(MasterAction::Finish(Outcome::Failed(Cause::Task { task, attempts, .. }))) = last
    else {
        panic!("{last:?}")
    };
    assert_eq!((task.batch, attempts), (BatchSeq(2), 3));
}

#[test]
fn the_earliest_failure_is_the_one_that_is_told() {
    let mut core = master(&[false], 4);
    cut_done(&mut core, 0, 1, 0, false);
    cut_done(&mut core, 0, 2, 0, false);
    core.handle(
        0,
        MasterEvent::CutFailed { batch: BatchSeq(3), source: SourceId(0), message: "gone".into() },
    );
    for attempt in 0..3 {
        failed(&mut core, 1, attempt);
    }
    let last = drain(&mut core).pop();
    assert!(
        matches!(&last, Some(MasterAction::Finish(Outcome::Failed(Cause::Task { .. })))),
        "{last:?}"
    );
}

#[test]
fn the_status_says_what_the_oldest_batch_waits_for() {
    let name = |worker: WorkerId| worker.to_string();
    let mut core = master(&[false], 4);
    let cause = |core: &MasterCore| core.status(0).cause(&name).unwrap_or_default();
    assert_eq!(cause(&core), "batch 1 waits for source views");
    cut_done(&mut core, 0, 1, 1, false);
    assert_eq!(cause(&core), "batch 1 waits for 1 task on worker 0 (stage stage)");
    let status = core.status(70);
    assert_eq!((status.members[0].tasks, status.members[0].partitions), (3, 1));
    assert_eq!((status.batches[0].age_ms, status.batches[0].phase()), (70, "running"));
    says(
        &mut core,
        HERE,
        ToMaster::TaskDone {
            epoch: Epoch(1),
            task: task(1, 0),
            attempt: Attempt(0),
            tally: TaskTally::default(),
        },
    );
    tasks_done(&mut core, 1);
    assert_eq!(cause(&core), "batch 1 waits for the journal");
    let wire = serde_json::to_string(&core.status(70)).unwrap();
    assert!(wire.contains("\"standing\":\"active\""), "{wire}");
}

#[test]
fn absurd_messages_change_nothing() {
    let mut core = master(&[false], 4);
    drain(&mut core);
    cut_done(&mut core, 0, 7, 1, false);
    tasks_done(&mut core, 7);
    failed(&mut core, 0, 5);
    core.handle(0, MasterEvent::Published { batch: BatchSeq(1) });
    core.handle(0, MasterEvent::Synced(JournalSeq(77)));
    core.handle(
        0,
        MasterEvent::PublishFailed {
            batch: BatchSeq(1),
            output: OutputId(0),
            message: String::new(),
        },
    );
    let placed = ToMaster::Placed { epoch: Epoch(9) };
    core.handle(0, MasterEvent::Worker(WorkerId(3), placed));
    assert_eq!(drain(&mut core), []);
}
