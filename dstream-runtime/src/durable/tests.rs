//! The contract of every store, and more for files.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Barrier};

use super::file::FileStore;
use super::memory::Objects;
use super::{Durable, DurableError, Put, Store, Target};

fn files(dir: &Path) -> Durable {
    Durable::open(dir.to_str().unwrap()).unwrap()
}

/// The contract, on an empty store.
fn contract(store: &Durable) {
    assert_eq!(store.list("").unwrap(), [""; 0]);
    assert_eq!(store.put_if_absent("a/b", &[b"one", b"", b"two"]).unwrap(), Put::Created);
    assert_eq!(store.put_if_absent("a/b", &[b"other"]).unwrap(), Put::Exists);
    assert_eq!(store.get("a/b").unwrap(), b"onetwo");
    assert!(store.exists("a/b").unwrap() && !store.exists("a/c").unwrap());
    assert!(matches!(store.get("a/c"), Err(DurableError::NotFound { .. })));
    assert!(matches!(store.get("c/a"), Err(DurableError::NotFound { .. })));
    for name in ["a/c-2", "a/c-1", "ab", "a/d/e"] {
        assert_eq!(store.put_if_absent(name, &[b""]).unwrap(), Put::Created);
    }
    assert_eq!(store.get("ab").unwrap(), b"");
    assert_eq!(store.list("").unwrap(), ["a/b", "a/c-1", "a/c-2", "a/d/e", "ab"]);
    assert_eq!(store.list("a/").unwrap(), ["a/b", "a/c-1", "a/c-2", "a/d/e"]);
    assert_eq!(store.list("a/c").unwrap(), ["a/c-1", "a/c-2"]);
    assert_eq!(store.list("x/").unwrap(), [""; 0]);
    let within = store.within("a").unwrap();
    within.make().unwrap();
    assert_eq!(within.list("").unwrap(), ["b", "c-1", "c-2", "d/e"]);
    assert_eq!(within.get("b").unwrap(), b"onetwo");
    assert_eq!(within.url(), store.url_of("a"));
    assert_eq!(within.within("d/").unwrap().list("").unwrap(), ["e"]);
    store.remove("a/b").unwrap();
    store.remove("a/b").unwrap();
    assert_eq!(store.put_if_absent("a/b", &[b"again"]).unwrap(), Put::Created);
    assert_eq!(within.get("b").unwrap(), b"again");
    let own = |parts: &[&[u8]]| store.put_own("own", parts).unwrap();
    assert!(own(&[b"on", b"", b"e"]) && own(&[b"o", b"ne"]), "the same again is its own");
    assert!(!own(&[b"on"]) && !own(&[b"one", b"s"]) && !own(&[b"two"]) && !own(&[]));
    assert_eq!(store.get("own").unwrap(), b"one");
    for name in ["", "/", "a//b", "../a", "a/..", "a/.b", "a b", "a/", "/a", "ä", "a\\b"] {
        assert!(matches!(store.get(name), Err(DurableError::Name { .. })), "{name}");
    }
    race(store);
}

/// Exactly one of several writers of a name gets `Created`, and its content is kept.
fn race(store: &Durable) {
    const WRITERS: usize = 4;
    const ROUNDS: usize = 25;
    let start = Barrier::new(WRITERS);
    let created: Vec<Vec<usize>> = std::thread::scope(|scope| {
        let writer = |me: usize| {
            let start = &start;
            move || {
                let mut created = Vec::new();
                for round in 0..ROUNDS {
                    start.wait();
                    let content = [me.to_string().into_bytes(), vec![0; 10_000]].concat();
                    let put = store.put_if_absent(&format!("race/{round}"), &[&content]).unwrap();
                    created.extend((put == Put::Created).then_some(round));
                    // A writer that gets `Exists` can read the whole object.
                    assert_eq!(store.get(&format!("race/{round}")).unwrap().len(), 10_001);
                }
                created
            }
        };
        let threads: Vec<_> = (0..WRITERS).map(|me| scope.spawn(writer(me))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for round in 0..ROUNDS {
        let winners: Vec<_> = (0..WRITERS).filter(|me| created[*me].contains(&round)).collect();
        let content = store.get(&format!("race/{round}")).unwrap();
        let expected = u8::try_from(winners[0]).unwrap() + b'0';
        assert_eq!((winners.len(), content[0]), (1, expected), "round {round}");
    }
}

#[test]
fn files_keep_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    contract(&files(&dir.path().join("deep/store")));
}

#[test]
fn the_store_in_memory_keeps_the_contract() {
    contract(&Durable::volatile());
}

#[test]
fn the_test_store_keeps_the_contract() {
    contract(&Arc::new(Objects::default()).sound());
}

#[cfg(feature = "object-store")]
#[test]
fn object_stores_keep_the_contract() {
    use super::remote::RemoteStore;
    use object_store::{local::LocalFileSystem, memory::InMemory, path::Path};
    let dir = tempfile::tempdir().unwrap();
    let stores: [(Arc<dyn object_store::ObjectStore>, &str); 3] = [
        (Arc::new(InMemory::new()), ""),
        (Arc::new(InMemory::new()), "some/base"),
        (Arc::new(LocalFileSystem::new_with_prefix(dir.path()).unwrap()), "base"),
    ];
    for (store, base) in stores {
        let neighbour = Path::from("some/base2");
        let other = object_store::PutPayload::from_static(b"a neighbour");
        let put = object_store::ObjectStoreExt::put(&*store, &neighbour, other);
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(put).unwrap();
        let base = Path::from(base);
        let is_all = base.as_ref().is_empty();
        let store = Durable::of(Arc::new(RemoteStore::of(store, base, "test://x/").unwrap()));
        if is_all {
            store.remove("some/base2").unwrap();
        }
        contract(&store);
    }
}

#[cfg(feature = "object-store")]
#[test]
fn urls_of_object_stores_are_opened_without_a_request() {
    let store = Durable::open("s3://bucket/jobs/counts/").unwrap();
    assert_eq!(store.within("saves").unwrap().url(), "s3://bucket/jobs/counts/saves");
    // Every process with that URL gets the same objects.
    assert!(Durable::existing("s3://bucket/jobs/counts/saves").is_ok());
    assert!(Durable::open("https://example.com/x").is_err());
}

#[test]
fn urls_select_stores() {
    let dir = |text: &str| match Target::of(text) {
        Ok(Target::Dir(path)) => path.to_str().unwrap().to_owned(),
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(dir("file:///var/lib/job"), "/var/lib/job");
    assert_eq!(dir("/var/lib/job"), "/var/lib/job");
    assert_eq!(dir("state"), "state");
    assert_eq!(dir("file:/x"), "/x");
    for text in ["s3://bucket/x", "gs://b", "az://c/x", "https://s3.region.amazonaws.com/b"] {
        assert!(matches!(Target::of(text), Ok(Target::Remote(_))), "{text}");
        #[cfg(not(feature = "object-store"))]
        assert!(Durable::open(text).unwrap_err().to_string().contains("feature `object-store`"));
    }
    for (text, says) in [
        ("", "empty"),
        ("file://host/x", "begins with a slash"),
        ("http://x/y", "s3://"),
        ("ftp://x/y", "no store is known by `ftp://`"),
        ("s3://[", "write it like"),
    ] {
        let error = Target::of(text).unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn files_are_for_their_owner_only_and_nothing_is_left_beside() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("store");
    let store = files(&root);
    store.put_if_absent("a/b", &[b"x"]).unwrap();
    store.put_if_absent("a/b", &[b"y"]).unwrap();
    let mode = |path: &str| fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode(""), mode("a"), mode("a/b")], [0o700, 0o700, 0o600]);
    assert_eq!(fs::read_dir(root.join(".new")).unwrap().count(), 0);
    assert_eq!(store.url(), format!("file://{}", root.display()));
    assert_eq!(Durable::open(&store.within("a").unwrap().url()).unwrap().get("b").unwrap(), b"x");
}

#[test]
fn leftovers_are_removed_and_files_being_written_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    files(root).put_if_absent("a", &[b"x"]).unwrap();
    let (dead, alive) = (root.join(".new/99999-0"), root.join(".new/99999-1"));
    fs::write(&dead, "half").unwrap();
    let file = File::create(&alive).unwrap();
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
    files(root).put_if_absent("b", &[b"x"]).unwrap();
    assert!(!dead.exists() && alive.exists());
    assert_eq!(files(root).list("").unwrap(), ["a", "b"]);
}

#[test]
fn a_missing_root_is_not_created() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("unmounted");
    let store = Durable::existing(path.to_str().unwrap()).unwrap();
    for error in [
        store.put_if_absent("a", &[b"x"]).unwrap_err(),
        store.within("b").unwrap().put_if_absent("a", &[b"x"]).unwrap_err(),
        store.list("").unwrap_err(),
    ] {
        assert!(matches!(error, DurableError::Failed { .. }), "{error}");
    }
    assert!(!path.exists());
    fs::create_dir(&path).unwrap();
    assert_eq!(store.put_if_absent("a", &[b"x"]).unwrap(), Put::Created);
}

#[test]
fn a_failed_fsync_is_final() {
    /// Counts down; the sync at zero fails.
    static LEFT: AtomicI64 = AtomicI64::new(i64::MAX);
    fn sync(file: &File) -> io::Result<()> {
        match LEFT.fetch_sub(1, Ordering::Relaxed) {
            1 => Err(io::Error::other("the disk is lying")),
            _ => file.sync_all(),
        }
    }
    let mut ends = BTreeSet::new();
    // The syncs of the first put: directories and their parents, the file, its directory.
    for fails_at in 1..20 {
        let dir = tempfile::tempdir().unwrap();
        let store = FileStore::with_sync(dir.path(), sync).unwrap();
        LEFT.store(fails_at, Ordering::Relaxed);
        let first = store.put("dir/a", &[b"whole"]);
        let bit = LEFT.load(Ordering::Relaxed) <= 0;
        LEFT.store(i64::MAX, Ordering::Relaxed);
        assert_eq!(first.is_err(), bit, "at {fails_at}");
        if !bit {
            continue;
        }
        let there = dir.path().join("dir/a").exists();
        let again = store.put("dir/a", &[b"whole"]);
        match (there, &again) {
            // The file's sync failed: another file was written.
            (false, Ok(Put::Created)) => {}
            // A directory's sync failed: its content is neither trusted nor removed.
            (_, Err(error)) => {
                assert!(
                    error.is_final() && error.to_string().contains("the disk is lying"),
                    "{error}"
                );
            }
            other => panic!("at {fails_at}: {other:?}"),
        }
        ends.insert((there, again.is_ok()));
        // Another process starts afresh.
        assert_eq!(
            files(dir.path()).put_if_absent("dir/a", &[b"whole"]).unwrap() == Put::Created,
            !dir.path().join("dir/a").exists() || (!there && again.is_err()),
        );
        assert_eq!(files(dir.path()).get("dir/a").unwrap(), b"whole");
    }
    let all = [(false, false), (false, true), (true, false)];
    assert_eq!(ends, BTreeSet::from(all), "each kind of failure was met");
}
