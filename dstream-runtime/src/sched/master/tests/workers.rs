//! Workers that come and go, and what each is told.

use super::*;

const OTHER: WorkerId = WorkerId(5);

fn joins(core: &mut MasterCore, worker: WorkerId) {
    core.handle(0, MasterEvent::Worker(worker, ToMaster::Joined { slots: 1 }));
}

/// Who is told a new placement, and its epoch and first batch.
fn placed(actions: &[MasterAction]) -> Vec<(WorkerId, u64, u64)> {
    let place = |action: &MasterAction| match action {
        MasterAction::Tell(worker, ToWorker::Place { epoch, first, .. }) => {
            Some((*worker, epoch.0, first.0))
        }
        _ => None,
    };
    actions.iter().filter_map(place).collect()
}

#[test]
fn a_worker_that_comes_late_stands_by_if_there_is_nothing_for_it() {
    let mut core = master(&[false], 4);
    drain(&mut core);
    joins(&mut core, OTHER);
    cut_done(&mut core, 0, 1, 0, true);
    let told: Vec<_> = drain(&mut core)
        .into_iter()
        .filter_map(|action| match action {
            MasterAction::Tell(worker, _) => Some(worker),
            _ => None,
        })
        .collect();
    assert_eq!(told, [HERE]);
    // Nothing is lost when it goes.
    core.handle(0, MasterEvent::Left(OTHER, "gone".into()));
    assert_eq!(drain(&mut core), []);
}

#[test]
fn a_drained_worker_goes_when_its_batches_are_over_and_its_state_has_arrived() {
    let mut core = master(&[false], 4);
    cut_done(&mut core, 0, 1, 0, false);
    drain(&mut core);
    core.handle(0, MasterEvent::Drain(HERE));
    let refused = drain(&mut core);
    assert!(matches!(refused[..], [MasterAction::Refuse { worker: HERE, .. }]), "{refused:?}");

    joins(&mut core, OTHER);
    core.handle(0, MasterEvent::Drain(HERE));
    assert_eq!(placed(&drain(&mut core)), [], "a batch is being cut");
    cut_done(&mut core, 0, 2, 0, false);
    let actions = drain(&mut core);
    assert_eq!(placed(&actions), [(HERE, 2, 3), (OTHER, 2, 3)]);
    assert_eq!(cuts(&actions), [0u64; 0], "no worker has acknowledged it");
    says(&mut core, HERE, ToMaster::Placed { epoch: Epoch(2) });
    assert_eq!(cuts(&drain(&mut core)), [0u64; 0]);
    says(&mut core, OTHER, ToMaster::Placed { epoch: Epoch(2) });
    assert_eq!(cuts(&drain(&mut core)), [3]);

    // Of batch 3 the other one is believed, of batch 2 the first.
    cut_done(&mut core, 0, 3, 0, true);
    drain(&mut core);
    for worker in [HERE, OTHER] {
        for (epoch, batch) in [(2, 3), (1, 2), (1, 1)] {
            for stage in [1, 2] {
                let (epoch, task) = (Epoch(epoch), task(batch, stage));
                let (attempt, tally) = (Attempt(0), TaskTally::default());
                says(&mut core, worker, ToMaster::TaskDone { epoch, task, attempt, tally });
            }
        }
        let left = |core: &MasterCore| match &core.batches[2].phase {
            Phase::Running(running) => running.left,
            _ => 0,
        };
        assert_eq!(left(&core), if worker == HERE { 2 } else { 0 });
    }
    core.handle(0, MasterEvent::Synced(JournalSeq(9)));
    core.handle(0, MasterEvent::Synced(JournalSeq(9)));
    for batch in 1..=2 {
        let actions = drain(&mut core);
        assert_eq!(published(&actions), [batch]);
        assert!(!actions.contains(&MasterAction::Dismiss(HERE)));
        core.handle(0, MasterEvent::Published { batch: BatchSeq(batch) });
    }
    assert!(!drain(&mut core).contains(&MasterAction::Dismiss(HERE)), "state is on its way");
    says(&mut core, HERE, ToMaster::Settled { epoch: Epoch(2) });
    assert_eq!(drain(&mut core), []);
    says(&mut core, OTHER, ToMaster::Settled { epoch: Epoch(2) });
    assert_eq!(drain(&mut core), [MasterAction::Dismiss(HERE)]);
    core.handle(0, MasterEvent::Left(HERE, "bye".into()));
    assert_eq!(drain(&mut core), [], "no worker is lost");
}

#[test]
fn who_comes_or_is_lost_before_the_first_batch_costs_nothing() {
    let mut core = master(&[true], 4);
    drain(&mut core);
    joins(&mut core, OTHER);
    assert_eq!(placed(&drain(&mut core)), [], "there is one partition");
    core.handle(0, MasterEvent::Left(HERE, "gone".into()));
    assert_eq!(placed(&drain(&mut core)), [(OTHER, 2, 1)]);
    says(&mut core, OTHER, ToMaster::Placed { epoch: Epoch(2) });
    core.handle(100, MasterEvent::Tick);
    assert_eq!(cuts(&drain(&mut core)), [1]);
}

#[test]
fn one_of_two_is_lost_before_the_first_batch() {
    for (checkpoint_ms, alone) in [(Some(1000), vec![(OTHER, 2, 1)]), (None, vec![])] {
        let settings = master(&[true], 1).config;
        let config = MasterConfig { workers: 2, partitions: 4, checkpoint_ms, ..settings };
        let mut core = MasterCore::new(word_count(), config);
        joins(&mut core, HERE);
        assert_eq!(placed(&drain(&mut core)), [], "two are wanted");
        joins(&mut core, OTHER);
        assert_eq!(placed(&drain(&mut core)).first(), Some(&(HERE, 1, 1)));
        core.handle(0, MasterEvent::Left(HERE, "gone".into()));
        // Where states are saved the job has begun with two, and goes on with one.
        assert_eq!(placed(&drain(&mut core)), alone, "{checkpoint_ms:?}");
    }
}

#[test]
fn a_silent_owner_is_evicted_and_ends_the_job() {
    let mut core = master(&[true], 4);
    core.members = Members::new(Some(250));
    core.epochs.clear();
    joins(&mut core, HERE);
    says(&mut core, HERE, ToMaster::Placed { epoch: Epoch(2) });
    drain(&mut core);
    core.handle(100, MasterEvent::Tick);
    cut_done(&mut core, 100, 1, 0, false);
    drain(&mut core);
    core.handle(
        240,
        MasterEvent::Worker(HERE, ToMaster::Heartbeat { engine: EngineTime::default() }),
    );
    core.handle(250, MasterEvent::Tick);
    assert!(!drain(&mut core).iter().any(|a| matches!(a, MasterAction::Evict(..))));
    core.handle(489, MasterEvent::Tick);
    assert!(!drain(&mut core).iter().any(|a| matches!(a, MasterAction::Evict(..))));
    core.handle(490, MasterEvent::Tick);
    let actions = drain(&mut core);
    assert!(matches!(actions[0], MasterAction::Evict(HERE, _)), "{actions:?}");
    let last = actions.last();
    assert!(
        matches!(
            last,
            Some(MasterAction::Finish(Outcome::Failed(Cause::Worker { worker: HERE, .. })))
        ),
        "{last:?}"
    );
}

#[test]
fn each_member_is_told_the_ranges_of_its_own_partitions_only() {
    let config = MasterConfig { partitions: 3, workers: 2, ..master(&[false], 1).config };
    let mut core = MasterCore::new(word_count(), config);
    for worker in [HERE, OTHER] {
        joins(&mut core, worker);
    }
    for worker in [HERE, OTHER] {
        says(&mut core, worker, ToMaster::Placed { epoch: Epoch(1) });
    }
    drain(&mut core);
    let placement = core.epochs.newest().unwrap().placement.clone();
    cut_done(&mut core, 0, 1, 3, false);
    let mut told = Vec::new();
    for action in drain(&mut core) {
        if let MasterAction::Tell(worker, ToWorker::Begin { inputs, ranges, .. }) = action {
            assert_eq!(inputs, [3]);
            told.extend(ranges.into_iter().map(|input| (worker, input)));
        }
    }
    told.sort_by_key(|(_, input)| input.partition);
    assert_eq!(told.len(), 3);
    for (partition, (worker, input)) in told.iter().enumerate() {
        assert_eq!((*worker, input.partition.index()), (placement[partition], partition));
        assert_eq!(input.ranges[0].start, partition as u64);
    }
}
