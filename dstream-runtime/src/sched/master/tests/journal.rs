//! What a master writes down, and what a later one makes of it.

use super::*;

/// A master that keeps a journal, and what it has written down.
fn journaling() -> (MasterCore, Vec<JournalEntry>) {
    let config = MasterConfig { checkpoint_ms: Some(100), ..master(&[false], 1).config };
    let mut core = MasterCore::new(word_count(), config);
    core.handle(0, MasterEvent::Worker(HERE, ToMaster::Joined { slots: 1 }));
    core.handle(0, MasterEvent::Worker(HERE, ToMaster::Placed { epoch: Epoch(1) }));
    cut_done(&mut core, 0, 1, 0, false);
    tasks_done(&mut core, 1);
    core.handle(0, MasterEvent::Synced(JournalSeq(9)));
    core.handle(0, MasterEvent::Synced(JournalSeq(9)));
    let entries = written(&drain(&mut core));
    (core, entries)
}

fn written(actions: &[MasterAction]) -> Vec<JournalEntry> {
    let entry = |action: &MasterAction| match action {
        MasterAction::Persist(_, entry) => Some(entry.clone()),
        _ => None,
    };
    actions.iter().filter_map(entry).collect()
}

#[test]
fn a_master_that_is_fenced_says_and_shows_nothing_more() {
    let (mut core, _) = journaling();
    core.handle(0, MasterEvent::Drain(WorkerId(0)));
    core.handle(0, MasterEvent::Fenced { why: "term 2".into() });
    let fenced = Outcome::Failed(Cause::Fenced { why: "term 2".into() });
    assert_eq!(drain(&mut core), [MasterAction::Finish(fenced)]);
    core.handle(0, MasterEvent::Synced(JournalSeq(99)));
    core.handle(0, MasterEvent::Published { batch: BatchSeq(1) });
    assert_eq!(drain(&mut core), []);
}

#[test]
fn a_later_master_gives_its_workers_what_is_not_over_and_publishes_it_again() {
    let (core, entries) = journaling();
    let kinds: Vec<_> = entries.iter().map(std::mem::discriminant).collect();
    assert_eq!(kinds.len(), 3, "start, cut and commit: {entries:?}");
    let mut past = Past::default();
    entries.iter().for_each(|entry| past.apply(entry));
    let config = MasterConfig { term: 7, workers: 2, ..core.config };
    let mut core = MasterCore::resume(word_count(), config, &past, 0).unwrap();
    let (a, b) = (WorkerId(7 << 16), WorkerId((7 << 16) + 1));
    core.handle(0, MasterEvent::Worker(a, ToMaster::Joined { slots: 1 }));
    assert_eq!(drain(&mut core), [], "one worker is too few");
    core.handle(0, MasterEvent::Worker(b, ToMaster::Joined { slots: 1 }));
    let actions = drain(&mut core);
    let recovers = actions.iter().filter_map(|action| match action {
        MasterAction::Tell(worker, ToWorker::Recover(recover)) => Some((*worker, recover)),
        _ => None,
    });
    let new_owners: Vec<_> = recovers.filter(|(_, recover)| !recover.states.is_empty()).collect();
    let [(new_owner, recover)] = new_owners[..] else { panic!("{actions:?}") };
    assert!(recover.epoch > Epoch(7 << 32));
    let resumed = &recover.batches[0];
    assert_eq!((recover.next, resumed.batch, resumed.open.len()), (BatchSeq(2), BatchSeq(1), 2));
    let epoch = recover.epoch;
    core.handle(0, MasterEvent::Worker(new_owner, ToMaster::Placed { epoch }));
    for stage in [1, 2] {
        let (task, attempt, tally) = (task(1, stage), Attempt(0), TaskTally::default());
        let done = ToMaster::TaskDone { epoch, task, attempt, tally };
        core.handle(0, MasterEvent::Worker(new_owner, done));
    }
    let commit = drain(&mut core);
    assert!(matches!(written(&commit)[..], [JournalEntry::Commit { .. }]), "{commit:?}");
    core.handle(0, MasterEvent::Synced(JournalSeq(1)));
    let actions = drain(&mut core);
    assert_eq!(published(&actions), [1]);
}

#[test]
fn a_journal_with_a_hole_or_of_other_states_is_refused() {
    let (core, entries) = journaling();
    let mut past = Past::default();
    past.apply(&entries[0]);
    let groups = vec![vec![(StageId(9), Partition(0))]];
    let JournalEntry::Start { zero_ms, interval_ms, partitions, first, .. } = entries[0] else {
        panic!("{entries:?}")
    };
    let mut other = Past::default();
    other.apply(&JournalEntry::Start { zero_ms, interval_ms, partitions, first, groups });
    let resume = |past| MasterCore::resume(word_count(), core.config.clone(), past, 0).err();
    assert_eq!((resume(&past), resume(&other)), (None, Some(Unfit::States)));
    let mut whole = Past::default();
    entries.iter().for_each(|entry| whole.apply(entry));
    assert_eq!(resume(&whole), None);
    let mut hole = serde_json::to_value(&whole).unwrap();
    hole["batches"] = serde_json::json!({});
    let hole = serde_json::from_value(hole).unwrap();
    assert_eq!(resume(&hole), Some(Unfit::Missing { batch: BatchSeq(1) }));
}
