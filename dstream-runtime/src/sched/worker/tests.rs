//! A worker's core, event by event.

use super::*;
use crate::id::{OutputId, SourceId};
use crate::plan::{TailRow, Tasks};
use crate::sched::message::ToSave;
use crate::sched::testplan::{plan, stage, word_count};

const ME: WorkerId = WorkerId(0);
const OTHER: WorkerId = WorkerId(1);

fn task(batch: u64, stage: u16, partition: u32) -> TaskId {
    TaskId { batch: BatchSeq(batch), stage: StageId(stage), partition: Partition(partition) }
}

fn drain(core: &mut WorkerCore) -> Vec<WorkerAction> {
    std::iter::from_fn(|| core.poll()).collect()
}

/// The tasks that it wants to run now, with the number of blocks per dependency.
fn runs(core: &mut WorkerCore) -> Vec<(TaskId, Vec<usize>)> {
    let actions = drain(core).into_iter();
    actions
        .filter_map(|action| match action {
            WorkerAction::Run(run) => Some((run.task, run.inputs.iter().map(Vec::len).collect())),
            _ => None,
        })
        .collect()
}

/// A worker on which all partitions (or the first `mine`) are placed.
fn placed(plan: &'static Plan, partitions: u32, mine: u32, first: u64) -> WorkerCore {
    let mut core = WorkerCore::new(ME, plan, partitions, 2, Retention::Consumed);
    let owner = |partition| if partition < mine { ME } else { OTHER };
    core.handle(WorkerEvent::Master(ToWorker::Place {
        epoch: Epoch(1),
        placement: (0..partitions).map(owner).collect(),
        first: BatchSeq(first),
        start: BatchSeq(first),
    }));
    let actions = drain(&mut core);
    let reports = [ToMaster::Joined { slots: 2 }, ToMaster::Placed { epoch: Epoch(1) }];
    for report in reports {
        assert!(actions.contains(&WorkerAction::Report(report)), "{actions:?}");
    }
    core
}

fn begin(core: &mut WorkerCore, batch: u64, inputs: u32) {
    core.handle(WorkerEvent::Master(ToWorker::Begin {
        epoch: Epoch(1),
        batch: BatchSeq(batch),
        time: BatchTime(batch.saturating_mul(1000)),
        reach: Vec::new(),
        inputs: vec![inputs],
        ranges: Vec::new(),
        oldest: BatchSeq(1),
    }));
}

fn ran(core: &mut WorkerCore, task: TaskId, blocks: &[(u16, u32)]) {
    let blocks = blocks.iter().map(|(tail, partition)| (TailId(*tail), Partition(*partition)));
    core.handle(WorkerEvent::Ran {
        task,
        attempt: Attempt(0),
        blocks: blocks.collect(),
        tally: TaskTally::default(),
    });
}

#[test]
fn a_shuffle_waits_for_every_producer_and_reads_blocks_in_their_order() {
    let mut core = placed(word_count(), 3, 3, 1);
    begin(&mut core, 1, 3);
    assert_eq!(runs(&mut core), [0, 1, 2].map(|p| (task(1, 0, p), vec![])));
    ran(&mut core, task(1, 0, 2), &[(0, 0), (0, 1)]);
    // Named twice is named once.
    ran(&mut core, task(1, 0, 0), &[(0, 1), (0, 1)]);
    assert_eq!(runs(&mut core), []);
    ran(&mut core, task(1, 0, 1), &[(0, 1)]);
    let actions = drain(&mut core).into_iter();
    let reads: Vec<_> = actions
        .filter_map(|action| match action {
            WorkerAction::Run(run) => Some((run.task.partition.0, run.inputs)),
            _ => None,
        })
        .collect();
    let block = |producer, partition| BlockId {
        producer: task(1, 0, producer),
        tail: TailId(0),
        partition: Partition(partition),
    };
    assert_eq!(
        reads,
        [
            (0, vec![vec![block(2, 0)]]),
            (1, vec![vec![block(0, 1), block(1, 1), block(2, 1)]]),
            (2, vec![]),
        ]
    );
}

#[test]
fn an_empty_batch_starts_with_the_shuffle() {
    let mut core = placed(word_count(), 2, 2, 1);
    begin(&mut core, 1, 0);
    assert_eq!(runs(&mut core), [(task(1, 1, 0), vec![]), (task(1, 1, 1), vec![])]);
    ran(&mut core, task(1, 1, 0), &[]);
    ran(&mut core, task(1, 1, 1), &[(1, 0)]);
    assert_eq!(runs(&mut core), [(task(1, 2, 0), vec![1])]);
}

#[test]
fn a_state_waits_for_the_batch_before_even_if_that_begins_later() {
    let mut core = placed(word_count(), 1, 1, 4);
    begin(&mut core, 5, 0);
    assert_eq!(runs(&mut core), []);
    begin(&mut core, 4, 0);
    assert_eq!(runs(&mut core), [(task(4, 1, 0), vec![])]);
    ran(&mut core, task(4, 1, 0), &[]);
    assert_eq!(runs(&mut core), [(task(4, 2, 0), vec![]), (task(5, 1, 0), vec![])]);
}

#[test]
fn a_stage_with_a_slide_has_tasks_only_in_its_batches_and_its_own_chain() {
    let plan = plan(
        1,
        vec![
            stage(Tasks::PerRange(SourceId(0))).tail(TailRow::Rows),
            stage(Tasks::PerPartition)
                .reads(Dependency::Narrow, &[(0, 0)])
                .state()
                .every(3, 6)
                .tail(TailRow::Rows),
            stage(Tasks::PerPartition)
                .reads(Dependency::Narrow, &[(1, 0)])
                .every(6, 6)
                .tail(TailRow::Output(OutputId(0))),
        ],
    );
    let mut core = placed(plan, 1, 1, 2);
    for batch in 2..=6 {
        begin(&mut core, batch, 0);
    }
    assert_eq!(runs(&mut core), [(task(3, 1, 0), vec![])]);
    ran(&mut core, task(3, 1, 0), &[]);
    assert_eq!(runs(&mut core), [(task(6, 1, 0), vec![])]);
    ran(&mut core, task(6, 1, 0), &[(0, 0)]);
    assert_eq!(runs(&mut core), [(task(6, 2, 0), vec![1])]);
}

#[test]
fn a_narrow_dependency_on_united_streams_takes_missing_producers_as_empty() {
    let plan = plan(
        2,
        vec![
            stage(Tasks::PerRange(SourceId(0))).tail(TailRow::Rows),
            stage(Tasks::PerRange(SourceId(1))).tail(TailRow::Rows),
            stage(Tasks::PerPartition)
                .reads(Dependency::Narrow, &[(1, 0), (0, 0)])
                .tail(TailRow::Output(OutputId(0))),
        ],
    );
    let mut core = placed(plan, 3, 3, 1);
    core.handle(WorkerEvent::Master(ToWorker::Begin {
        epoch: Epoch(1),
        batch: BatchSeq(1),
        time: BatchTime(1000),
        reach: Vec::new(),
        inputs: vec![1, 2],
        ranges: Vec::new(),
        oldest: BatchSeq(1),
    }));
    // Partition 2 has no producer at all.
    let tasks: Vec<_> = runs(&mut core).into_iter().map(|(task, _)| task).collect();
    assert_eq!(tasks, [task(1, 0, 0), task(1, 1, 0), task(1, 1, 1), task(1, 2, 2)]);
    ran(&mut core, task(1, 0, 0), &[(0, 0)]);
    assert_eq!(runs(&mut core), []);
    ran(&mut core, task(1, 1, 0), &[(0, 0)]);
    let run = drain(&mut core).into_iter().find_map(|action| match action {
        WorkerAction::Run(run) => Some(run),
        _ => None,
    });
    let producers: Vec<_> =
        run.unwrap().inputs[0].iter().map(|block| block.producer.stage).collect();
    assert_eq!(producers, [StageId(1), StageId(0)], "in the order of the row");
    ran(&mut core, task(1, 1, 1), &[]);
    assert_eq!(runs(&mut core), [(task(1, 2, 1), vec![])]);
}

#[test]
fn what_other_workers_made_counts_once_and_may_come_before_the_batch_begins() {
    let mut core = placed(word_count(), 2, 1, 1);
    let heard = |core: &mut WorkerCore| {
        core.handle(WorkerEvent::Peer(ToPeer::Produced {
            epoch: Epoch(1),
            task: task(1, 0, 1),
            attempt: Attempt(0),
            blocks: vec![(TailId(0), Partition(0))],
        }));
    };
    heard(&mut core);
    begin(&mut core, 1, 2);
    heard(&mut core);
    assert_eq!(runs(&mut core), [(task(1, 0, 0), vec![])]);
    ran(&mut core, task(1, 0, 0), &[(0, 0), (0, 1)]);
    let actions = drain(&mut core);
    let told = actions.iter().find_map(|action| match action {
        WorkerAction::Tell(to, ToPeer::Produced { blocks, .. }) => Some((*to, blocks.clone())),
        _ => None,
    });
    assert_eq!(told, Some((OTHER, vec![(TailId(0), Partition(1))])));
    let run = actions.iter().find_map(|action| match action {
        WorkerAction::Run(run) => Some((run.task, run.inputs[0].len())),
        _ => None,
    });
    assert_eq!(run, Some((task(1, 1, 0), 2)));
}

#[test]
fn blocks_go_when_their_last_reader_has_run() {
    let mut core = placed(word_count(), 2, 2, 1);
    begin(&mut core, 1, 1);
    ran(&mut core, task(1, 0, 0), &[(0, 0)]);
    ran(&mut core, task(1, 1, 1), &[]);
    let dropped = |core: &mut WorkerCore| {
        drain(core)
            .into_iter()
            .filter(|action| matches!(action, WorkerAction::Drop { .. }))
            .collect::<Vec<_>>()
    };
    assert_eq!(dropped(&mut core), []);
    ran(&mut core, task(1, 1, 0), &[]);
    let drop = |stage| WorkerAction::Drop { batch: BatchSeq(1), stage: StageId(stage) };
    assert_eq!(dropped(&mut core), [drop(0)]);
    ran(&mut core, task(1, 2, 0), &[]);
    assert_eq!(dropped(&mut core), [drop(1)]);
}

#[test]
fn a_failed_task_runs_again_only_when_the_master_says_so_and_once() {
    let mut core = placed(word_count(), 1, 1, 1);
    begin(&mut core, 1, 1);
    drain(&mut core);
    let failure = Failure {
        message: "no".into(),
        at: None,
        kind: crate::sched::message::FailureKind::Panic,
        again: true,
    };
    let failed = |core: &mut WorkerCore, attempt| {
        let (task, attempt, failure) = (task(1, 0, 0), Attempt(attempt), failure.clone());
        core.handle(WorkerEvent::Failed { task, attempt, failure });
    };
    failed(&mut core, 0);
    failed(&mut core, 0);
    assert_eq!(drain(&mut core).len(), 1, "one report, no run");
    for _ in 0..2 {
        core.handle(WorkerEvent::Master(ToWorker::Again {
            epoch: Epoch(1),
            task: task(1, 0, 0),
            attempt: Attempt(1),
        }));
    }
    assert_eq!(runs(&mut core), [(task(1, 0, 0), vec![])]);
    // The result of the first run, should it still come, counts nothing.
    ran(&mut core, task(1, 0, 0), &[]);
    assert_eq!(drain(&mut core), []);
}

#[test]
fn nothing_of_another_epoch_an_abandoned_or_a_past_batch_counts() {
    let mut core = placed(word_count(), 1, 1, 1);
    core.handle(WorkerEvent::Master(ToWorker::Begin {
        epoch: Epoch(2),
        batch: BatchSeq(1),
        time: BatchTime(0),
        reach: Vec::new(),
        inputs: vec![0],
        ranges: Vec::new(),
        oldest: BatchSeq(1),
    }));
    core.handle(WorkerEvent::Master(ToWorker::Abandon { epoch: Epoch(1), from: BatchSeq(2) }));
    begin(&mut core, 2, 0);
    assert_eq!(drain(&mut core), []);
    core.handle(WorkerEvent::Master(ToWorker::Release { epoch: Epoch(1), oldest: BatchSeq(2) }));
    drain(&mut core);
    begin(&mut core, 1, 0);
    begin(&mut core, u64::MAX, 0);
    ran(&mut core, task(1, 1, 0), &[]);
    ran(&mut core, task(2, 9, 77), &[(9, 99)]);
    assert_eq!(drain(&mut core), []);
}

/// A worker's place in an epoch that begins with `first`, in a run that begins with batch 1.
fn place(core: &mut WorkerCore, epoch: u64, first: u64, placement: &[WorkerId]) {
    core.handle(WorkerEvent::Master(ToWorker::Place {
        epoch: Epoch(epoch),
        placement: placement.into(),
        first: BatchSeq(first),
        start: BatchSeq(1),
    }));
}

fn begin_in(core: &mut WorkerCore, epoch: u64, batch: u64) {
    core.handle(WorkerEvent::Master(ToWorker::Begin {
        epoch: Epoch(epoch),
        batch: BatchSeq(batch),
        time: BatchTime(batch * 1000),
        reach: Vec::new(),
        inputs: vec![0],
        ranges: Vec::new(),
        oldest: BatchSeq(1),
    }));
}

fn state(core: &mut WorkerCore, epoch: u64, stage: u16) {
    let (epoch, stage, partition) = (Epoch(epoch), StageId(stage), Partition(0));
    core.handle(WorkerEvent::Peer(ToPeer::State { epoch, stage, partition }));
}

/// The epochs for which states are sent, and the tasks that are run.
fn moves(core: &mut WorkerCore) -> (Vec<u64>, Vec<TaskId>) {
    let (mut sent, mut run) = (Vec::new(), Vec::new());
    for action in drain(core) {
        match action {
            WorkerAction::SendState { to, epoch, .. } => {
                assert_eq!(to, OTHER);
                sent.push(epoch.0);
            }
            WorkerAction::Run(task) => run.push(task.task),
            _ => {}
        }
    }
    (sent, run)
}

/// A stage with state that has a task in every third batch.
fn every_third() -> &'static Plan {
    plan(
        1,
        vec![
            stage(Tasks::PerRange(SourceId(0))).tail(TailRow::Rows),
            stage(Tasks::PerPartition)
                .reads(Dependency::Narrow, &[(0, 0)])
                .state()
                .every(3, 3)
                .tail(TailRow::Output(OutputId(0))),
        ],
    )
}

#[test]
fn a_state_goes_when_its_last_task_has_run_and_the_worker_is_idle_after_that() {
    let mut core = placed(word_count(), 1, 1, 1);
    begin(&mut core, 1, 0);
    assert_eq!(moves(&mut core), (vec![], vec![task(1, 1, 0)]));
    place(&mut core, 2, 2, &[OTHER]);
    begin_in(&mut core, 2, 2);
    assert_eq!(moves(&mut core), (vec![], vec![]), "it still runs, and batch 2 is another's");
    ran(&mut core, task(1, 1, 0), &[]);
    assert_eq!(moves(&mut core), (vec![2], vec![task(1, 2, 0)]));
    place(&mut core, 2, 2, &[OTHER]);
    assert_eq!(moves(&mut core).0, [0u64; 0], "once");
    assert!(!core.is_idle(), "batch 1 is not over");
    core.handle(WorkerEvent::Master(ToWorker::Release { epoch: Epoch(1), oldest: BatchSeq(2) }));
    assert!(core.is_idle());
}

#[test]
fn a_state_that_no_task_has_touched_goes_at_once() {
    let mut core = placed(every_third(), 1, 1, 1);
    begin(&mut core, 1, 0);
    place(&mut core, 2, 2, &[OTHER]);
    assert_eq!(moves(&mut core), (vec![2], vec![]));
}

#[test]
fn a_newcomer_waits_for_the_state_which_may_come_before_its_placement() {
    for early in [true, false] {
        let mut core = WorkerCore::new(ME, word_count(), 1, 2, Retention::Released);
        assert!(core.expects_state(Epoch(2), StageId(1), Partition(0)));
        if early {
            state(&mut core, 2, 1);
            assert!(!core.expects_state(Epoch(2), StageId(1), Partition(0)), "it is here");
        }
        place(&mut core, 2, 5, &[ME]);
        begin_in(&mut core, 2, 6);
        begin_in(&mut core, 2, 5);
        if !early {
            assert_eq!(moves(&mut core), (vec![], vec![]));
            state(&mut core, 2, 1);
        }
        let actions = drain(&mut core);
        let settled = WorkerAction::Report(ToMaster::Settled { epoch: Epoch(2) });
        assert!(actions.contains(&settled), "{actions:?}");
        let runs = actions.iter().filter(|action| matches!(action, WorkerAction::Run(_)));
        assert_eq!(runs.count(), 1, "{actions:?}");
        assert!(!core.expects_state(Epoch(2), StageId(1), Partition(0)), "it came");
        state(&mut core, 2, 1);
        assert_eq!(drain(&mut core), [], "a doubled state is none");
        ran(&mut core, task(5, 1, 0), &[]);
        assert_eq!(moves(&mut core).1, [task(5, 2, 0), task(6, 1, 0)]);
    }
}

#[test]
fn a_worker_whose_turn_passed_without_a_task_passes_the_state_on() {
    let mut core = WorkerCore::new(ME, every_third(), 1, 2, Retention::Released);
    place(&mut core, 2, 4, &[ME]);
    place(&mut core, 3, 5, &[OTHER]);
    assert_eq!(moves(&mut core), (vec![], vec![]), "it is not here yet");
    assert!(!core.is_idle());
    state(&mut core, 2, 1);
    assert_eq!(moves(&mut core), (vec![3], vec![]));
}

#[test]
fn a_state_that_comes_back_is_waited_for_even_if_no_task_touched_it_elsewhere() {
    let mut core = placed(every_third(), 1, 1, 1);
    for batch in 1..=3 {
        begin(&mut core, batch, 0);
    }
    assert_eq!(moves(&mut core).1, [task(3, 1, 0)]);
    // The other worker has it for batch 4, in which it has no task.
    place(&mut core, 2, 4, &[OTHER]);
    place(&mut core, 3, 5, &[ME]);
    begin_in(&mut core, 3, 6);
    ran(&mut core, task(3, 1, 0), &[]);
    assert_eq!(moves(&mut core), (vec![2], vec![]), "it is on its way there and back");
    state(&mut core, 3, 1);
    assert_eq!(moves(&mut core), (vec![], vec![task(6, 1, 0)]));
}

#[test]
fn messages_about_a_batch_count_in_its_epoch_only() {
    let mut core = placed(word_count(), 2, 1, 1);
    place(&mut core, 2, 2, &[OTHER, ME]);
    begin_in(&mut core, 1, 2);
    begin_in(&mut core, 2, 1);
    assert_eq!(moves(&mut core).1, []);
    assert_eq!(
        (core.epoch_of(BatchSeq(1)), core.epoch_of(BatchSeq(2))),
        (Some(Epoch(1)), Some(Epoch(2)))
    );
    assert_eq!(core.owner(BatchSeq(1), Partition(0)), Some(ME));
    assert_eq!(core.owner(BatchSeq(2), Partition(0)), Some(OTHER));
    begin_in(&mut core, 1, 1);
    assert_eq!(moves(&mut core).1, [task(1, 1, 0)]);
    // The gather of batch 1 is this worker's, that of batch 2 the other's.
    ran(&mut core, task(1, 1, 0), &[(1, 0)]);
    assert!(!drain(&mut core).iter().any(|action| matches!(action, WorkerAction::Tell(..))));
}

/// Has a state saved that may continue an object; what it continues.
fn save(core: &mut WorkerCore, may_continue: &str) -> Vec<String> {
    let (stage, partition) = (StageId(1), Partition(0));
    let continues = (!may_continue.is_empty()).then(|| may_continue.to_owned());
    let states = vec![ToSave { stage, partition, continues }];
    let (epoch, after) = (Epoch(1), BatchSeq(0));
    core.handle(WorkerEvent::Master(ToWorker::Checkpoint { epoch, after, states }));
    match drain(core).pop() {
        Some(WorkerAction::Save { continues, .. }) => continues,
        other => panic!("it is not saved: {other:?}"),
    }
}

fn saved(core: &mut WorkerCore, objects: &[&str]) {
    let objects = objects.iter().map(|object| (*object).to_owned()).collect();
    let (stage, partition, after) = (StageId(1), Partition(0), BatchSeq(0));
    let saved = Saved { stage, partition, after, objects };
    core.handle(WorkerEvent::Saved(saved.clone()));
    assert_eq!(drain(core), [WorkerAction::Report(ToMaster::Saved(saved))]);
}

#[test]
fn a_state_continues_the_last_mark_but_one_if_that_is_what_the_master_named() {
    let mut core = placed(word_count(), 1, 1, 1);
    let none: [&str; 0] = [];
    assert_eq!(save(&mut core, ""), none);
    saved(&mut core, &["a"]);
    assert_eq!(save(&mut core, "a"), none, "it is the last mark");
    saved(&mut core, &["b"]);
    assert_eq!(save(&mut core, "a"), ["a"]);
    saved(&mut core, &["a", "c"]);
    assert_eq!(save(&mut core, "a"), none, "the last mark but one is another one");
    assert_eq!(save(&mut core, "c"), ["a", "c"]);
    saved(&mut core, &["a", "c", "e"]);
    assert_eq!(save(&mut core, "d"), none, "it is not known to be in safety");
    let long: Vec<String> = (0..MAX_OBJECTS).map(|object| object.to_string()).collect();
    let long: Vec<&str> = long.iter().map(String::as_str).collect();
    saved(&mut core, &long);
    save(&mut core, "");
    assert_eq!(save(&mut core, long[MAX_OBJECTS - 1]), none, "it has as many as it may");
}

#[test]
fn marks_are_of_the_state_that_is_here() {
    let mut core = placed(word_count(), 1, 1, 1);
    for object in ["a", "b"] {
        save(&mut core, "");
        saved(&mut core, &[object]);
    }
    core.unmark(StageId(1), Partition(0));
    let none: [&str; 0] = [];
    for may_continue in ["a", "b", "a"] {
        assert_eq!(save(&mut core, may_continue), none);
    }
}
