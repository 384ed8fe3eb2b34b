//! The journal's promise: a synced entry reaches every successor, whatever happens.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, unbounded};
use serde_bytes::ByteBuf;

use super::writer::{JournalEvent, RetryTimes};
use super::{JournalError, OpenJournal, object, open_with};
use crate::durable::memory::{Fault, Objects};
use crate::durable::{Durable, Put};

mod damage;

const PLAN: u64 = 0xfeed;
const RETRY: RetryTimes = RetryTimes {
    first: Duration::from_micros(10),
    most: Duration::from_micros(100),
    quiet: HANGS,
    total: Duration::from_millis(5),
};
/// Longer than any step that does not hang.
const HANGS: Duration = Duration::from_secs(60);

/// The state is the list of all entries; entry `n` of a master has the value `n`.
type State = Vec<u64>;

struct Master {
    opened: OpenJournal<u64, State>,
    state: State,
    news: Receiver<JournalEvent>,
}

fn start(store: &Durable, who: &str) -> Result<Master, JournalError> {
    start_with(store, who, RETRY)
}

fn start_with(store: &Durable, who: &str, retry: RetryTimes) -> Result<Master, JournalError> {
    let (sender, news) = unbounded();
    let tell = Box::new(move |event| drop(sender.send(event)));
    let mut opened = open_with::<u64, State>(store, PLAN, who, retry, tell)?;
    let mut state = opened.snapshot.take().unwrap_or_default();
    state.extend(opened.entries.iter().map(|(_, entry)| entry));
    if opened.needs_snapshot {
        opened.writer.snapshot(&state);
    }
    Ok(Master { opened, state, news })
}

impl Master {
    fn append(&mut self, entry: u64) {
        self.state.push(entry);
        self.opened.writer.append(entry, &entry);
    }

    fn snapshot(&mut self) {
        self.opened.writer.snapshot(&self.state);
    }

    /// Appends and waits for the sync; returns `false` if it fails.
    fn sync(&mut self, entry: u64) -> bool {
        self.append(entry);
        self.news.recv_timeout(HANGS).unwrap() == JournalEvent::Synced(entry)
    }

    /// Closes it and returns its unread events.
    fn close(self) -> Vec<JournalEvent> {
        self.opened.writer.close();
        self.news.try_iter().collect()
    }
}

/// Opens the journal as a new master, which writes only the beginning of its term.
fn replayed(objects: &Arc<Objects>) -> State {
    start(&objects.sound(), "reader").unwrap().state
}

fn objects() -> Arc<Objects> {
    Arc::new(Objects::default())
}

#[test]
fn the_next_master_gets_all_entries() {
    let objects = objects();
    let mut first = start(&objects.sound(), "first").unwrap();
    assert_eq!((first.opened.term, first.state.len()), (1, 0));
    for entry in 0..10 {
        assert!(first.sync(entry));
    }
    first.snapshot();
    first.append(10);
    first.append(11);
    assert_eq!(first.close().last(), Some(&JournalEvent::Synced(11)));
    let second = start(&objects.sound(), "second").unwrap();
    assert_eq!(second.opened.term, 2);
    assert_eq!(second.state, (0..12).collect::<Vec<_>>());
    let entries: Vec<_> = second.opened.entries.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(entries, [10, 11], "the rest is in the snapshot");
    assert!(second.opened.warnings.is_empty() && !second.opened.needs_snapshot);
    assert_eq!(second.opened.writer.pending_bytes(), 0);
}

#[test]
fn waiting_entries_share_an_object_up_to_a_bound() {
    let objects = objects();
    let (hold, held) = unbounded::<()>();
    // The first object of entries waits until all are appended.
    let store = objects.with(move |_, name| {
        if name == object::name(1) {
            held.recv_timeout(HANGS).unwrap();
        }
        None
    });
    let (sender, news) = unbounded();
    let tell = Box::new(move |event| drop(sender.send(event)));
    let opened =
        open_with::<ByteBuf, ()>(&store, PLAN, "first", RetryTimes::default(), tell).unwrap();
    let large = ByteBuf::from(vec![7; 3 << 20]);
    for seq in 0..6 {
        opened.writer.append(seq, &large);
    }
    opened.writer.append(6, &ByteBuf::from(vec![8; 9 << 20]));
    opened.writer.append(7, &ByteBuf::new());
    assert!(opened.writer.pending_bytes() > 27 << 20);
    hold.send(()).unwrap();
    opened.writer.close();
    let synced: Vec<_> = news.iter().collect();
    assert_eq!(synced.last(), Some(&JournalEvent::Synced(7)));
    let sizes: Vec<_> = objects.all().values().map(Vec::len).collect();
    assert_eq!(sizes.iter().filter(|len| **len > (8 << 20) + 100).count(), 1, "{sizes:?}");
    // However many the thread took first.
    let journal = objects.names("journal/").len();
    assert!((6..=8).contains(&journal), "{journal} objects");
    let (sender, _news) = unbounded();
    let tell = Box::new(move |event| drop(sender.send(event)));
    let next = open_with::<ByteBuf, ()>(&objects.sound(), PLAN, "second", RETRY, tell).unwrap();
    let sizes: Vec<_> = next.entries.iter().map(|(seq, bytes)| (*seq, bytes.len() >> 20)).collect();
    assert_eq!(sizes, [(0, 3), (1, 3), (2, 3), (3, 3), (4, 3), (5, 3), (6, 9), (7, 0)]);
}

#[test]
fn another_plan_and_another_format_are_refused_and_the_master_goes_on() {
    let objects = objects();
    let mut first = start(&objects.sound(), "first").unwrap();
    assert!(first.sync(1));
    let other = super::open::<u64, State>(&objects.sound(), 0xbeef, "other", |_| {});
    let text = other.err().unwrap().to_string();
    assert!(text.contains("000000000000feed") && text.contains("000000000000beef"), "{text}");
    assert!(text.contains("--state"), "{text}");
    assert!(first.sync(2), "no other master has taken over");
}

#[test]
fn an_older_master_is_fenced_and_names_the_newer_one() {
    let objects = objects();
    let mut old = start(&objects.sound(), "old").unwrap();
    assert!(old.sync(1));
    let mut new = start(&objects.sound(), "new on host b").unwrap();
    assert_eq!(new.state, [1]);
    old.append(2);
    let fenced = JournalEvent::Fenced { by: Some("new on host b".to_owned()) };
    assert_eq!(old.news.recv_timeout(HANGS), Ok(fenced));
    old.append(3);
    assert!(old.close().is_empty(), "no event follows");
    assert!(new.sync(4));
    assert_eq!(replayed(&objects), [1, 4]);
}

#[test]
fn a_zombie_whose_numbers_are_free_again_is_fenced() {
    let objects = objects();
    let mut old = start(&objects.sound(), "old").unwrap();
    assert!(old.sync(1));
    let mut new = start(&objects.sound(), "new").unwrap();
    for entry in [2, 3, 4] {
        assert!(new.sync(entry));
        new.snapshot();
        new.snapshot();
    }
    assert!(new.sync(5));
    let next_of_old = object::name(2);
    assert!(!objects.all().contains_key(&next_of_old), "its number is free again");
    assert!(!old.sync(6), "it was fenced");
    assert!(objects.all().contains_key(&next_of_old), "though its put went through");
    assert!(new.sync(7), "the new master is unaffected");
    drop(new);
    assert_eq!(replayed(&objects), [1, 2, 3, 4, 5, 7]);
}

#[test]
fn a_master_that_was_overtaken_while_it_opened_does_not_begin() {
    let objects = objects();
    assert!(start(&objects.sound(), "first").unwrap().sync(1));
    // Another master opens the journal between this one's term and first object.
    let others = Arc::clone(&objects);
    let (sender, receiver) = unbounded();
    let slow = objects.with(move |step, _| {
        if step == 1 {
            sender.send(start(&others.sound(), "fast").ok()).unwrap();
        }
        None
    });
    let error = start(&slow, "slow").err().unwrap();
    let mut fast = receiver.recv_timeout(HANGS).unwrap().unwrap();
    assert_eq!(fast.opened.term, 3);
    assert!(fast.sync(2), "it goes on");
    // And one that has taken its term but has written no object yet.
    let others = objects.sound();
    let slower = objects.with(move |step, _| {
        if step == 1 {
            others.put_if_absent("terms/0000000005", &[b"faster"]).unwrap();
        }
        None
    });
    let begun = start(&slower, "slower").err().unwrap().to_string();
    assert!(begun.ends_with("taken over: faster"), "{begun}");
    assert!(error.to_string().ends_with("taken over: fast"), "{error}");
}

#[test]
fn of_two_concurrent_masters_one_is_left_and_no_synced_entry_is_lost() {
    for round in 0..20 {
        let objects = objects();
        let run = |from: u64| {
            let objects = &objects;
            move || {
                let Ok(mut master) = start(&objects.sound(), "racing") else { return vec![] };
                let synced = (from..from + 30).take_while(|entry| {
                    if entry % 7 == 0 {
                        master.snapshot();
                    }
                    master.sync(*entry)
                });
                synced.collect()
            }
        };
        let synced: Vec<Vec<u64>> = std::thread::scope(|scope| {
            let threads = [0, 100, 200].map(|from| scope.spawn(run(from)));
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let state = replayed(&objects);
        for entry in synced.iter().flatten() {
            assert_eq!(state.iter().filter(|e| *e == entry).count(), 1, "round {round}: {entry}");
        }
        let whole = synced.iter().filter(|synced| synced.len() == 30).count();
        assert!(whole >= 1, "round {round}: the newest is not fenced");
    }
}

/// A master in the crash tests. Returns the synced and the appended entries.
fn work(store: &Durable, from: u64) -> (Vec<u64>, Vec<u64>) {
    match start(store, "worker") {
        Ok(master) => work_of(master, from),
        Err(_) => (vec![], vec![]),
    }
}

fn work_of(mut master: Master, from: u64) -> (Vec<u64>, Vec<u64>) {
    let (mut synced, mut appended) = (vec![], vec![]);
    for entry in from..from + 9 {
        if entry % 3 == 2 {
            master.snapshot();
        }
        appended.push(entry);
        if !master.sync(entry) {
            break;
        }
        synced.push(entry);
    }
    (synced, appended)
}

#[test]
fn a_crash_at_any_step_loses_nothing_that_was_synced() {
    let mut crashes = 0;
    for fault in [Fault::DiesBefore, Fault::DiesBehind] {
        for at in 0.. {
            let objects = objects();
            let (synced, appended) =
                work(&objects.with(move |step, _| (step == at).then_some(fault)), 0);
            let state = replayed(&objects);
            assert!(state.starts_with(&synced), "{fault:?} at {at}: {synced:?} {state:?}");
            assert!(appended.starts_with(&state), "{fault:?} at {at}: {appended:?} {state:?}");
            // The next master crashes too.
            let (more, _) = work(&objects.with(move |step, _| (step == at).then_some(fault)), 100);
            let after = replayed(&objects);
            assert!(after.starts_with(&[state, more].concat()), "{fault:?} twice at {at}");
            if synced.len() == 9 {
                break;
            }
            crashes += 1;
        }
    }
    assert!(crashes > 30, "{crashes}");
}

#[test]
fn a_store_that_fails_for_a_while_costs_nothing_but_time() {
    for fault in [Fault::Refused, Fault::Unsaid] {
        for at in 2..20 {
            let objects = objects();
            let store = objects.with(move |step, _| (at..at + 3).contains(&step).then_some(fault));
            // However slow the machine is.
            let master = start_with(&store, "first", RetryTimes { total: HANGS, ..RETRY });
            let (synced, _) = work_of(master.unwrap(), 0);
            assert_eq!(synced, (0..9).collect::<Vec<_>>(), "{fault:?} at {at}");
            assert_eq!(replayed(&objects), synced, "{fault:?} at {at}");
        }
    }
}

#[test]
fn a_failing_store_is_reported_once() {
    let objects = objects();
    let store = objects.with(|step, _| (2..6).contains(&step).then_some(Fault::Refused));
    let retry = RetryTimes { quiet: Duration::ZERO, total: HANGS, ..RETRY };
    let mut master = start_with(&store, "first", retry).unwrap();
    master.append(1);
    let news = master.close();
    let [JournalEvent::Failing { retry_for: HANGS, .. }, JournalEvent::Synced(1)] = &news[..]
    else {
        panic!("{news:?}");
    };
}

#[test]
fn a_store_that_fails_for_good_is_given_up() {
    let objects = objects();
    let store = objects.with(|step, _| (step >= 3).then_some(Fault::Refused));
    let mut master = start(&store, "first").unwrap();
    assert!(master.sync(1));
    assert!(!master.sync(2));
    assert!(!format!("{:?}", master.close()).contains("Synced"));
    assert_eq!(replayed(&objects), [1]);
    // Stopped while it retries.
    let (seen, tried) = unbounded();
    let store = objects.with(move |step, _| {
        seen.send(step).unwrap();
        (step >= 2).then_some(Fault::Refused)
    });
    let retry =
        RetryTimes { first: HANGS * 60, most: HANGS * 60, quiet: HANGS * 60, total: HANGS * 60 };
    let opened = open_with::<u64, State>(&store, PLAN, "x", retry, Box::new(|_| {})).unwrap();
    opened.writer.append(3, &3);
    while tried.recv_timeout(HANGS).unwrap() < 2 {}
    drop(opened);
}

#[test]
fn a_final_error_is_not_retried() {
    let objects = objects();
    let store = objects.with(|step, _| (step == 3).then_some(Fault::Unsynced));
    // A retry would come after an hour.
    let hour = HANGS * 60;
    let retry = RetryTimes { first: hour, most: hour, quiet: hour, total: hour };
    let mut master = start_with(&store, "first", retry).unwrap();
    assert!(master.sync(1));
    master.append(2);
    let news = master.news.recv_timeout(HANGS).unwrap();
    let JournalEvent::Failed(why) = news else { panic!("{news:?}") };
    assert!(why.contains("could not be brought to the disk"), "{why}");
    // The entry was never synced, and may or may not reach the next master.
    assert!([vec![1], vec![1, 2]].contains(&replayed(&objects)));
}

#[test]
fn something_else_under_its_number_is_no_success() {
    let objects = objects();
    let mut master = start(&objects.sound(), "first").unwrap();
    let foreign = objects.sound().put_if_absent(&object::name(1), &[b"foreign"]).unwrap();
    assert_eq!(foreign, Put::Created);
    master.append(1);
    let news = master.news.recv_timeout(HANGS).unwrap();
    assert!(
        matches!(&news, JournalEvent::Failed(why) if why.contains("something else")),
        "{news:?}"
    );
}

#[test]
fn old_objects_are_removed_and_two_snapshots_stay() {
    let objects = objects();
    let mut master = start(&objects.sound(), "first").unwrap();
    for entry in 0..100 {
        assert!(master.sync(entry));
        if entry % 10 == 9 {
            master.snapshot();
        }
    }
    drop(master.close());
    let names = objects.names("journal/");
    assert_eq!(names.len(), 12, "{names:?}");
    // Terms stay: they fence.
    assert_eq!(objects.names("terms/").len(), 1);
}

#[test]
fn a_journal_in_files() {
    let dir = tempfile::tempdir().unwrap();
    let store = || Durable::open(dir.path().to_str().unwrap()).unwrap();
    let mut first = start(&store(), "first").unwrap();
    for entry in 0..5 {
        assert!(first.sync(entry));
        first.snapshot();
    }
    let mut second = start(&store(), "second").unwrap();
    assert_eq!(second.state, (0..5).collect::<Vec<_>>());
    assert!(second.sync(5));
    assert!(!first.sync(6));
    drop((first, second));
    assert_eq!(start(&store(), "third").unwrap().state, (0..6).collect::<Vec<_>>());
}
