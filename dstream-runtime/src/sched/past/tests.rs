//! Entries as they are written, and as they should not be.

use super::*;
use crate::id::{Epoch, WorkerId};
use crate::source::receive::RangeSet;

const WORDS: StageId = StageId(1);

fn start(partitions: u32) -> JournalEntry {
    let groups = (0..partitions).map(|p| vec![(WORDS, Partition(p))]).collect();
    let (zero_ms, first) = (1_000, BatchSeq(3));
    JournalEntry::Start { zero_ms, interval_ms: 100, partitions, first, groups }
}

fn range(start: u64) -> Range {
    Range { split: "s".into(), start, end: start + 10 }
}

fn cut(batch: u64) -> JournalEntry {
    JournalEntry::Cut {
        epoch: Epoch(1),
        batch: BatchSeq(batch),
        inputs: vec![vec![vec![range(batch * 10)]]],
        positions: vec![Some(batch.to_le_bytes().as_slice().into())],
        reach: vec![if batch >= 9 { Reach::Ended } else { Reach::Reading }],
    }
}

fn published(batch: u64) -> JournalEntry {
    JournalEntry::Published { batch: BatchSeq(batch) }
}

fn saved(partition: u32, after: u64) -> JournalEntry {
    let (partition, objects) = (Partition(partition), vec![format!("{partition}/{after}")]);
    JournalEntry::Saved {
        states: vec![Saved { stage: WORDS, partition, after: BatchSeq(after), objects }],
    }
}

fn past(entries: &[JournalEntry]) -> Past {
    let mut past = Past::default();
    entries.iter().for_each(|entry| past.apply(entry));
    past
}

fn batches(past: &Past) -> Vec<u64> {
    past.batches().map(|(seq, _)| seq.0).collect()
}

fn objects(past: &Past) -> Vec<&str> {
    past.objects().collect()
}

#[test]
fn the_next_master_knows_where_the_one_before_was() {
    let commit = JournalEntry::Commit { epoch: Epoch(1), batch: BatchSeq(3) };
    let past = past(&[start(1), cut(3), cut(4), commit, published(3)]);
    assert_eq!(
        (past.first(), past.published(), past.next()),
        (BatchSeq(3), BatchSeq(3), BatchSeq(5))
    );
    assert_eq!((past.timetable(), past.partitions()), (Some(&Timetable::new(1_000, 100)), Some(1)));
    assert_eq!(past.position(SourceId(0)).map(|p| p[0]), Some(4));
    assert!(past.position(SourceId(1)).is_none() && !past.has_ended(SourceId(0)));
    assert_eq!((batches(&past), past.oldest()), (vec![3, 4], BatchSeq(3)));
    let committed: Vec<_> = past.batches().map(|(_, batch)| batch.committed).collect();
    assert_eq!(committed, [true, false]);
    assert!(!past.is_fresh() && Past::default().is_fresh());
    assert!(past.is_under_way() && !Past::default().is_under_way());
    assert_eq!((past.unpublished(), Past::default().unpublished()), (1, 0));
}

#[test]
fn a_job_is_under_way_until_its_end() {
    let all = [start(1), cut(3), published(3), JournalEntry::Finished, start(1), cut(3)];
    let ways: Vec<_> = (0..=all.len()).map(|n| past(&all[..n]).is_under_way()).collect();
    assert_eq!(ways, [false, true, true, true, false, true, true]);
    let unpublished: Vec<_> = (0..=all.len()).map(|n| past(&all[..n]).unpublished()).collect();
    assert_eq!(unpublished, [0, 0, 1, 0, 0, 0, 1]);
}

#[test]
fn a_batch_is_forgotten_when_the_bases_before_have_it_in_them() {
    let mut entries = vec![start(2)];
    entries.extend((3..12).flat_map(|batch| [cut(batch), published(batch)]));
    let mut past = past(&entries);
    for (entry, expected, oldest) in [
        (saved(0, 5), 3, 3),
        (saved(1, 6), 3, 6),
        (saved(0, 8), 3, 7),
        (saved(1, 9), 6, 9),
        (saved(0, 10), 7, 10),
    ] {
        past.apply(&entry);
        assert_eq!(batches(&past), (expected..12).collect::<Vec<_>>(), "{entry:?}");
        assert_eq!(past.oldest(), BatchSeq(oldest), "{entry:?}");
    }
    assert_eq!(objects(&past), ["0/8", "0/10", "1/6", "1/9"]);
    let counts: Vec<_> = past.saved_states().map(|saved| saved.after.0).collect();
    assert_eq!(counts, [10, 9]);
}

#[test]
fn where_another_job_begins_nothing_older_is_needed() {
    let mut entries = vec![start(2)];
    entries.extend((3..9).flat_map(|batch| [cut(batch), published(batch)]));
    entries.extend([saved(0, 4), saved(0, 6), saved(1, 5), cut(9), cut(12)]);
    let mut past = past(&entries);
    past.settle();
    assert_eq!((objects(&past), batches(&past)), (vec!["0/6", "1/5"], vec![6, 7, 8, 9]));
    assert_eq!(
        (past.oldest(), past.next(), past.published()),
        (BatchSeq(6), BatchSeq(10), BatchSeq(8))
    );
    let moved = past.relocate(|saved| match saved.partition {
        Partition(0) => Ok(vec!["there".to_owned()]),
        _ => Err("no room"),
    });
    assert_eq!((moved, objects(&past)), (Err("no room"), vec!["there", "1/5"]));
    // Of one that has not been saved, everything is needed.
    let mut fresh = past_of_nothing_saved();
    fresh.settle();
    assert_eq!(batches(&fresh), [3, 4]);
}

fn past_of_nothing_saved() -> Past {
    past(&[start(1), cut(3), published(3), cut(4)])
}

#[test]
fn a_job_without_state_forgets_what_is_published() {
    let mut entries = vec![start(0)];
    entries.extend((3..600).flat_map(|batch| [cut(batch), published(batch)]));
    entries.push(cut(600));
    assert_eq!(batches(&past(&entries)), [600]);
}

#[test]
fn a_damaged_base_gives_way_to_the_one_before_once() {
    let entries = [start(1), cut(3), published(3), cut(4), published(4), saved(0, 3), saved(0, 4)];
    let mut newest = past(&entries);
    assert_eq!(newest.fall_back(WORDS, Partition(0)), Ok(()));
    assert_eq!((objects(&newest), newest.oldest()), (vec!["0/3"], BatchSeq(4)));
    assert!(newest.fall_back(WORDS, Partition(0)).is_err(), "the one before that is gone");
    assert!(newest.fall_back(WORDS, Partition(1)).is_err(), "there is no such state");
    let mut first = past(&entries[..6]);
    assert_eq!(first.fall_back(WORDS, Partition(0)), Ok(()));
    assert_eq!((objects(&first), first.oldest()), (vec![], BatchSeq(3)), "all from the beginning");
    assert!(first.fall_back(WORDS, Partition(0)).is_err());
}

#[test]
fn all_that_is_damaged_gives_way_and_nothing_is_read_twice() {
    let mut entries = vec![start(3)];
    entries.extend((3..9).flat_map(|batch| [cut(batch), published(batch)]));
    entries.extend([saved(0, 4), saved(0, 6), saved(1, 5), saved(2, 3), saved(2, 7)]);
    let fall_back = |damaged: &[&str]| {
        let (mut past, mut read) = (past(&entries), Vec::new());
        let wrong = past.fall_back_where(|saved| {
            read.extend(saved.objects.clone());
            saved.objects.iter().find(|name| damaged.contains(&name.as_str())).cloned()
        });
        let counts: Vec<_> = past.saved_states().flat_map(|saved| saved.objects.clone()).collect();
        (wrong, counts, read.len())
    };
    let all = ["0/6", "1/5", "2/7"].map(str::to_owned).to_vec();
    assert_eq!(fall_back(&[]), (Ok(vec![]), all, 3));
    let (wrong, counts, read) = fall_back(&["0/6", "1/5"]);
    assert_eq!(wrong, Ok(vec!["0/6".to_owned(), "1/5".to_owned()]));
    assert_eq!((counts, read), (vec!["0/4".to_owned(), "2/7".to_owned()], 4));
    let (wrong, ..) = fall_back(&["2/7", "2/3"]);
    let nothing = NothingBefore { stage: WORDS, partition: Partition(2) };
    assert_eq!(wrong, Err(("2/3".to_owned(), nothing)));
}

#[test]
fn entries_that_are_doubled_or_a_little_early_change_nothing() {
    let entries =
        [start(2), cut(3), cut(4), published(3), cut(5), published(4), saved(0, 3), cut(6)];
    let expected = past(&entries);
    for at in 0..entries.len() {
        for later in at..entries.len() {
            let mut doubled = entries.to_vec();
            doubled.insert(later + 1, entries[at].clone());
            assert_eq!(past(&doubled), expected, "{at} again after {later}");
        }
    }
    let mut swapped = entries.to_vec();
    swapped.swap(1, 2);
    assert_eq!(past(&swapped), expected);
}

#[test]
fn entries_that_fit_to_nothing_change_nothing() {
    let good = past(&[start(2), cut(3), published(3)]);
    let mixed = Saved {
        stage: StageId(9),
        partition: Partition(0),
        after: BatchSeq(3),
        objects: vec!["x".into()],
    };
    for absurd in [
        published(9),
        saved(0, 9),
        saved(7, 3),
        JournalEntry::Commit { epoch: Epoch(1), batch: BatchSeq(99) },
        JournalEntry::Saved { states: Vec::new() },
        JournalEntry::Saved { states: vec![mixed] },
        cut(1),
        start(5),
    ] {
        let mut past = good.clone();
        past.apply(&absurd);
        assert_eq!(past, good, "{absurd:?}");
        let mut nothing = Past::default();
        nothing.apply(&absurd);
        assert_eq!(nothing.is_fresh(), !matches!(absurd, JournalEntry::Start { .. }));
    }
    let mut far = good.clone();
    (1_000..3_000).for_each(|batch| far.apply(&cut(batch)));
    assert!(far.early.len() <= MAX_EARLY && far.next() == good.next());
}

#[test]
fn a_snapshot_and_what_follows_is_the_same_as_everything() {
    let mut entries = vec![start(2)];
    for batch in 3..20 {
        entries.extend([cut(batch), published(batch)]);
        entries.push(saved((batch % 2) as u32, batch));
    }
    for at in 0..entries.len() {
        let bytes = postcard::to_allocvec(&past(&entries[..at])).unwrap();
        let mut resumed: Past = postcard::from_bytes(&bytes).unwrap();
        entries[at..].iter().for_each(|entry| resumed.apply(entry));
        assert_eq!(resumed, past(&entries), "{at}");
    }
}

#[test]
fn of_what_was_saved_twice_one_may_be_damaged() {
    let again = |name: &str| {
        let JournalEntry::Saved { mut states } = saved(0, 4) else { unreachable!() };
        states[0].objects = vec![name.to_owned()];
        JournalEntry::Saved { states }
    };
    let entries = [start(3), cut(3), cut(4), saved(0, 3), saved(0, 4), again("again")];
    let mut twice = past(&entries);
    assert_eq!(objects(&twice), ["0/4", "again"]);
    twice.apply(&saved(0, 4));
    twice.apply(&again("again"));
    assert_eq!(objects(&twice), ["0/4", "again"], "an entry that is there twice changes nothing");
    assert_eq!(twice.fall_back(WORDS, Partition(0)), Ok(()));
    assert_eq!(twice.saved_states().next().map(|saved| saved.after), Some(BatchSeq(4)));
    assert_eq!(objects(&twice), ["0/4"]);
}

fn lost(how: Loss) -> JournalEntry {
    let (first, last) = (BatchSeq(3), BatchSeq(4));
    let row = LostRow {
        source: SourceId(0),
        receiver: WorkerId(1),
        blocks: RangeSet::default(),
        records: 7,
        exact: true,
        first,
        last,
        since_ms: 0,
    };
    JournalEntry::Lost { rows: vec![row], how }
}

#[test]
fn what_workers_did_not_come_with_is_not_lost_for_good() {
    let mut past = past(&[start(1), cut(3), lost(Loss::Overdue)]);
    assert_eq!((past.overdue().len(), past.lost().len(), past.dropped().len()), (1, 0, 0));
    // They have come, and the job has gone on.
    past.apply(&cut(4));
    assert_eq!((past.overdue().len(), past.fuller()), (0, None));
    past.apply(&lost(Loss::Certain));
    assert_eq!((past.overdue().len(), past.lost().len(), past.dropped().len()), (0, 1, 0));
    past.accept_loss();
    assert_eq!((past.lost().len(), past.dropped().len()), (0, 1));
    // What is visible was made with it.
    assert_eq!(past.fuller(), Some(BatchSeq(4)));
}

#[test]
fn what_was_given_up_stays_so() {
    let mut past = past(&[start(1), cut(3), cut(4)]);
    let source = SourceId(0);
    past.give_up([source], []);
    assert_eq!((past.is_skipped(source), past.fuller()), (true, None));
    past.give_up([], [(BatchSeq(3), source, 0), (BatchSeq(99), source, 0)]);
    let given_up = |past: &Past| -> Vec<usize> {
        past.batches().map(|(_, batch)| batch.given_up.len()).collect()
    };
    assert_eq!((given_up(&past), past.fuller()), (vec![1, 0], Some(BatchSeq(4))));
    // The next cut says where the source is by then.
    past.apply(&cut(5));
    assert_eq!((past.is_skipped(source), given_up(&past)), (false, vec![1, 0, 0]));
    assert_eq!(past.fuller(), Some(BatchSeq(4)));
}
