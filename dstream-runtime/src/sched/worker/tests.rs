//! A worker's core, event by event.

use super::*;
use crate::id::{OutputId, SourceId};
use crate::plan::{TailRow, Tasks};
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
