//! Damaged and missing objects: no partial replay, and every loss is reported.

use super::*;

/// Entries 0..=9, an object each, with snapshots after 3 and 6; keeps the objects since the last but one
/// snapshot.
fn whole() -> Arc<Objects> {
    let objects = objects();
    let mut master = start(&objects.sound(), "first").unwrap();
    for entry in 0..=9 {
        assert!(master.sync(entry));
        if entry == 3 || entry == 6 {
            master.snapshot();
        }
    }
    drop(master.close());
    objects
}

#[test]
fn damage_anywhere_is_found_and_never_replayed() {
    let names = whole().names("journal/");
    // 5: snapshot of 0..=3; 6, 7, 8: entries 4, 5, 6; 9: snapshot; 10, 11, 12: entries 7, 8, 9.
    assert_eq!(names, (5..=12).map(object::name).collect::<Vec<_>>());
    // What remains when the object is damaged, and the number of warnings.
    let table: [(u64, std::ops::Range<u64>, usize); 8] = [
        (5, 0..10, 0),
        (6, 0..10, 0),
        (7, 0..10, 0),
        (8, 0..10, 0),
        (9, 0..10, 1),
        (10, 0..7, 1),
        (11, 0..8, 1),
        (12, 0..9, 1),
    ];
    for (seq, left, warnings) in table {
        let good = whole().all()[&object::name(seq)].clone();
        let mut damages: Vec<Option<Vec<u8>>> = vec![None, Some(vec![]), Some(vec![0; good.len()])];
        damages.extend((0..good.len()).map(|at| {
            let mut flipped = good.clone();
            flipped[at] ^= 0x40;
            Some(flipped)
        }));
        damages.extend((1..good.len()).step_by(5).map(|at| Some(good[..at].to_vec())));
        damages.push(Some([good.as_slice(), b"more"].concat()));
        for damage in damages {
            // A missing last object leaves no trace.
            let warnings = warnings - usize::from(seq == 12 && damage.is_none());
            let objects = whole();
            match &damage {
                Some(bytes) => drop(objects.all().insert(object::name(seq), bytes.clone())),
                None => drop(objects.all().remove(&object::name(seq))),
            }
            let mut second = start(&objects.sound(), "second").unwrap();
            let left: State = left.clone().collect();
            assert_eq!(second.state, left, "{seq} {damage:?}");
            assert_eq!(second.opened.warnings.len(), warnings, "{seq} {damage:?}");
            assert_eq!(second.opened.needs_snapshot, warnings > 0);
            if let Some(warning) = second.opened.warnings.first() {
                assert!(warning.contains(&object::name(seq)), "{warning}");
                assert_eq!(warning.contains("nothing is lost"), seq == 9, "{warning}");
            }
            // New entries count for the third master; those after the damage do not.
            assert!(second.sync(50));
            drop(second);
            let third = start(&objects.sound(), "third").unwrap();
            assert_eq!(third.state, [left.as_slice(), &[50]].concat(), "{seq} {damage:?}");
            assert!(third.opened.warnings.is_empty(), "{:?}", third.opened.warnings);
        }
    }
}

#[test]
fn a_master_that_dies_before_its_snapshot_leaves_the_damage_to_the_next_one() {
    let objects = whole();
    objects.all().insert(object::name(11), vec![]);
    // It takes a term, writes its first object, and dies.
    let dies = objects.with(|step, _| (step == 2).then_some(Fault::DiesBefore));
    drop(start(&dies, "second").unwrap());
    let third = start(&objects.sound(), "third").unwrap();
    assert_eq!(third.state, (0..8).collect::<Vec<_>>());
    assert_eq!(third.opened.warnings.len(), 1);
}

#[test]
fn an_unreadable_journal_is_not_empty() {
    let objects = whole();
    objects.all().values_mut().for_each(|bytes| bytes.truncate(40));
    let error = start(&objects.sound(), "second").err().unwrap();
    assert!(error.to_string().contains("backup"), "{error}");
    // Both snapshots.
    let objects = whole();
    for seq in [5, 9] {
        objects.all().insert(object::name(seq), vec![1]);
    }
    let terms = objects.names("terms/").len();
    assert!(start(&objects.sound(), "second").is_err());
    assert_eq!(objects.names("terms/").len(), terms, "no master is fenced by it");
}

#[test]
fn terms_grow_even_if_their_objects_are_lost() {
    let objects = whole();
    drop(start(&objects.sound(), "second").unwrap());
    objects.all().retain(|name, _| !name.starts_with("terms/"));
    assert_eq!(start(&objects.sound(), "third").unwrap().opened.term, 3);
}

#[test]
fn an_entry_before_the_needed_snapshot_is_refused() {
    let objects = objects();
    assert!(start(&objects.sound(), "first").unwrap().sync(1));
    objects.all().insert(object::name(1), vec![]);
    let (sender, news) = unbounded();
    let tell = Box::new(move |event| drop(sender.send(event)));
    let opened = open_with::<u64, State>(&objects.sound(), PLAN, "x", RETRY, tell).unwrap();
    assert!(opened.needs_snapshot);
    opened.writer.append(2, &2);
    assert!(matches!(news.recv_timeout(HANGS), Ok(JournalEvent::Failed(_))));
}
