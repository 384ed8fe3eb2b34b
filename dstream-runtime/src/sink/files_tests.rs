//! Directories as readers see them, and as crashes, races and full disks leave them.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Barrier;
use std::thread;

use tempfile::TempDir;

use super::super::tests::{batch, part};
use super::*;

fn sink(dir: &TempDir) -> FileSink {
    let path = dir.path().to_str().unwrap();
    FileSink::open("counts", path, Format::Csv, true, false).unwrap().of("views")
}

/// Like on a file system that cannot rename exclusively.
fn linking(dir: &TempDir) -> FileSink {
    let mut sink = sink(dir);
    sink.exclusive = Exclusive::Link;
    sink
}

/// Every file below a directory and its content.
fn tree(dir: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut rest = vec![dir.to_path_buf()];
    while let Some(path) = rest.pop() {
        if path.is_dir() {
            rest.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let name = path.strip_prefix(dir).unwrap().display().to_string();
            files.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
    files
}

fn names(dir: &Path) -> Vec<String> {
    tree(dir).into_keys().collect()
}

#[test]
fn a_batch_is_a_directory_of_parts_and_a_manifest() {
    for new in [sink, linking] {
        let dir = tempfile::tempdir().unwrap();
        let parts = vec![part(12, "b,2\nc,3\n"), part(0, "a,1\n"), part(3, "")];
        new(&dir).publish(&batch(1000, parts)).unwrap();
        let files = tree(dir.path());
        assert_eq!(
            names(dir.path()),
            ["1000/_manifest.json", "1000/part-00000.csv", "1000/part-00012.csv"]
        );
        assert_eq!(files["1000/part-00012.csv"], "b,2\nc,3\n");
        let manifest: serde_json::Value =
            serde_json::from_str(&files["1000/_manifest.json"]).unwrap();
        let hash = |text: &str| format!("{:016x}", xxh3_64(text.as_bytes()));
        let expected = serde_json::json!({
            "version": 1, "job": "views", "output": "counts", "plan": "000000000000abcd", "batch": 1000, "records": 3,
            "parts": [
                {"name": "part-00000.csv", "records": 1, "bytes": 4, "xxh3": hash("a,1\n")},
                {"name": "part-00012.csv", "records": 2, "bytes": 8, "xxh3": hash("b,2\nc,3\n")},
            ],
            "inputs": [
                {"source": "views", "split": "views.csv", "start": 0, "end": 10},
                {"source": "views", "split": "views.csv", "start": 10, "end": 20},
            ],
        });
        assert_eq!(manifest, expected);
    }
}

#[test]
fn an_empty_batch_is_a_manifest_where_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    for (time, parts) in [(1000, vec![]), (2000, vec![part(0, "")])] {
        sink(&dir).publish(&batch(time, parts.clone())).unwrap();
        assert_eq!(names(dir.path()), [""; 0]);
        sink(&dir).publishing_empty(true).publish(&batch(time, parts.clone())).unwrap();
        assert_eq!(names(dir.path()), [format!("{time}/_manifest.json")]);
        // As a job before has left it.
        sink(&dir).publish(&batch(time, parts)).unwrap();
        fs::remove_dir_all(dir.path().join(time.to_string())).unwrap();
    }
}

#[test]
fn an_empty_batch_that_was_published_with_records_is_a_conflict() {
    let dir = tempfile::tempdir().unwrap();
    sink(&dir).publish(&batch(1000, vec![part(0, "a,1\n")])).unwrap();
    let error = sink(&dir).publish(&batch(1000, vec![])).unwrap_err();
    assert!(matches!(error, SinkError::Conflict { .. }), "{error}");
}

#[test]
fn headers_are_written_where_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut sink = sink(&dir);
    sink.header = true;
    let mut bare = part(1, "b,2\n");
    bare.header = Arc::from([]);
    sink.publish(&batch(1000, vec![part(0, "a,1\n"), bare, part(2, "")])).unwrap();
    let files = tree(dir.path());
    assert_eq!(files["1000/part-00000.csv"], "key,n\na,1\n");
    assert_eq!(files["1000/part-00001.csv"], "b,2\n");
    assert_eq!(files.len(), 3);
    let hash = format!("{:016x}", xxh3_64(b"key,n\na,1\n"));
    assert!(files["1000/_manifest.json"].contains(&hash));
}

#[test]
fn a_batch_that_runs_again_changes_nothing() {
    for new in [sink, linking] {
        let dir = tempfile::tempdir().unwrap();
        let parts = || vec![part(0, "a,1\n"), part(1, "b,2\n")];
        new(&dir).publish(&batch(1000, parts())).unwrap();
        let before = tree(dir.path());
        let mut again = new(&dir);
        again.publish(&batch(1000, parts())).unwrap();
        let mut reversed = batch(1000, parts());
        reversed.inputs = reversed.inputs.iter().rev().cloned().collect();
        again.publish(&reversed).unwrap();
        assert_eq!(tree(dir.path()), before);
    }
}

#[test]
fn other_content_is_a_conflict_that_names_the_part() {
    for new in [sink, linking] {
        let dir = tempfile::tempdir().unwrap();
        let mut sink = new(&dir);
        sink.publish(&batch(1000, vec![part(0, "a,1\n"), part(1, "b,2\n")])).unwrap();
        let before = tree(dir.path());
        let why = |sink: &mut FileSink, parts| match sink.publish(&batch(1000, parts)) {
            Err(SinkError::Conflict { time, why, .. }) => {
                assert_eq!(time.0, 1000);
                why
            }
            other => panic!("{other:?}"),
        };
        let other = why(&mut sink, vec![part(0, "a,1\n"), part(1, "b,3\n")]);
        assert_eq!(other, "part-00001.csv had other records");
        let more = why(&mut sink, vec![part(0, "a,1\nc,1\n"), part(1, "b,2\n")]);
        assert_eq!(more, "part-00000.csv had 1 records and now has 2");
        assert_eq!(why(&mut sink, vec![part(0, "a,1\n")]), "part-00001.csv is missing now");
        let new_part = vec![part(0, "a,1\n"), part(1, "b,2\n"), part(7, "x,1\n")];
        assert_eq!(why(&mut sink, new_part), "part-00007.csv was not there");
        assert_eq!(tree(dir.path()), before);
    }
}

#[test]
fn of_two_that_race_one_wins() {
    for new in [sink, linking] {
        for equal in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let barrier = Barrier::new(2);
            let race = |text: &'static str| {
                let mut sink = new(&dir);
                let barrier = &barrier;
                move || {
                    barrier.wait();
                    (0..20)
                        .map(|i| sink.publish(&batch(i, vec![part(0, text), part(1, "x,1\n")])))
                        .collect::<Vec<_>>()
                }
            };
            let (a, b) = (race("a,1\n"), race(if equal { "a,1\n" } else { "b,1\n" }));
            let (a, b) = thread::scope(|scope| {
                let (a, b) = (scope.spawn(a), scope.spawn(b));
                (a.join().unwrap(), b.join().unwrap())
            });
            for (i, (a, b)) in a.iter().zip(&b).enumerate() {
                let conflict =
                    |r: &Result<(), SinkError>| matches!(r, Err(SinkError::Conflict { .. }));
                if equal {
                    assert!(a.is_ok() && b.is_ok(), "{a:?} {b:?}");
                } else {
                    assert!(a.is_ok() != b.is_ok() && conflict(a) != conflict(b), "{a:?} {b:?}");
                    let there = fs::read_to_string(dir.path().join(format!("{i}/part-00000.csv")));
                    assert_eq!(there.unwrap(), if a.is_ok() { "a,1\n" } else { "b,1\n" });
                }
            }
            assert!(names(dir.path()).iter().all(|name| !name.starts_with('_')));
        }
    }
}

#[test]
fn what_a_dead_process_left_is_removed_and_what_is_alive_stays() {
    let dir = tempfile::tempdir().unwrap();
    let dead = dir.path().join("_staging-1-0");
    fs::create_dir(&dead).unwrap();
    fs::write(dead.join("part-00000.csv"), "a,").unwrap();
    fs::create_dir(dir.path().join("_other")).unwrap();
    let first = sink(&dir);
    assert!(!dead.exists() && dir.path().join("_other").exists());
    let mut alive = Staging::create(first.dir.as_fd()).unwrap();
    alive.write("part-00000.csv", &[b"a,1\n"], false).unwrap();
    let mut second = sink(&dir);
    alive.write("part-00001.csv", &[b"b,1\n"], false).unwrap();
    assert_eq!(alive.place("1000"), Ok(()));
    second.publish(&batch(2000, vec![part(0, "c,1\n")])).unwrap();
    let expected = [
        "1000/part-00000.csv",
        "1000/part-00001.csv",
        "2000/_manifest.json",
        "2000/part-00000.csv",
    ];
    assert_eq!(names(dir.path()), expected);
}

#[test]
fn a_directory_without_a_manifest_is_filled_in() {
    for new in [sink, linking] {
        let dir = tempfile::tempdir().unwrap();
        let torn = dir.path().join("1000");
        fs::create_dir(&torn).unwrap();
        fs::write(torn.join("part-00000.csv"), "a,1\n").unwrap();
        let parts = vec![part(0, "a,1\n"), part(1, "b,2\n")];
        new(&dir).publish(&batch(1000, parts)).unwrap();
        assert_eq!(names(dir.path()).len(), 3);
        // Unless what lies there is something else.
        for (time, file, text) in [(2000, "part-00000.csv", "z,1\n"), (3000, "part-00009.csv", "")]
        {
            let torn = dir.path().join(time.to_string());
            fs::create_dir(&torn).unwrap();
            fs::write(torn.join(file), text).unwrap();
            let error = new(&dir).publish(&batch(time, vec![part(0, "a,1\n")])).unwrap_err();
            let SinkError::Conflict { why, .. } = error else { panic!("{error}") };
            assert!(why.contains(file) && why.contains("remove the directory"), "{why}");
            assert!(!torn.join(manifest::FILE).exists());
        }
    }
}

#[test]
fn a_damaged_manifest_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut sink = sink(&dir);
    sink.publish(&batch(1000, vec![part(0, "a,1\n")])).unwrap();
    fs::write(dir.path().join("1000/_manifest.json"), "{\"version\":1").unwrap();
    let error = sink.publish(&batch(1000, vec![])).unwrap_err().to_string();
    assert!(error.contains("1000/_manifest.json"), "{error}");
}

#[test]
fn a_directory_that_was_removed_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let mut sink =
        FileSink::open("counts", path.to_str().unwrap(), Format::Csv, true, false).unwrap();
    fs::remove_dir_all(&path).unwrap();
    let error = sink.publish(&batch(1000, vec![part(0, "a,1\n")])).unwrap_err().to_string();
    assert!(error.contains(&format!("{} was removed", path.display())), "{error}");
    // Another one of its name will do.
    fs::create_dir(&path).unwrap();
    sink.publish(&batch(1000, vec![part(0, "a,1\n")])).unwrap();
    assert_eq!(names(&path), ["1000/_manifest.json", "1000/part-00000.csv"]);
}

#[test]
fn a_conflict_says_what_the_other_result_was_made_from() {
    let dir = tempfile::tempdir().unwrap();
    let mut sink = sink(&dir);
    sink.publish(&batch(1000, vec![part(0, "a,1\n")])).unwrap();
    let mut origin = |change: fn(&mut Batch)| {
        let mut other = batch(1000, vec![part(0, "a,2\n")]);
        change(&mut other);
        match sink.publish(&other) {
            Err(SinkError::Conflict { origin, .. }) => origin,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(origin(|_| ()), Origin::Same);
    let reverse = |batch: &mut Batch| batch.inputs = batch.inputs.iter().rev().cloned().collect();
    assert_eq!(origin(reverse), Origin::Same);
    assert_eq!(origin(|batch| batch.plan += 1), Origin::OtherProgram);
    assert_eq!(origin(|batch| batch.inputs = batch.inputs[1..].into()), Origin::OtherInput);
}

/// A file system of a few pages, if this process may mount one.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=128k", "tmpfs"])
            .arg(dir.path())
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then(|| Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_shows_nothing_and_the_next_try_can_succeed() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("skipped: this process may not mount a small disk");
        return;
    };
    for (time, new) in [(1000, sink as fn(&TempDir) -> FileSink), (2000, linking)] {
        let mut sink = new(&disk.0);
        let ballast = disk.0.path().join("_ballast");
        fs::write(&ballast, vec![0; 96 << 10]).unwrap();
        let lines = "a,1\n".repeat(8 << 10);
        let some = batch(time, vec![part(0, "b,1\n"), part(1, &lines)]);
        let error = sink.publish(&some).unwrap_err().to_string();
        let full = format!("the disk that holds {} is full", disk.0.path().display());
        assert!(error.contains(&full), "{error}");
        assert!(!disk.0.path().join(time.to_string()).exists());
        assert!(names(disk.0.path()).iter().all(|name| !name.starts_with("_staging")));
        fs::remove_file(&ballast).unwrap();
        sink.publish(&some).unwrap();
        assert!(disk.0.path().join(format!("{time}/_manifest.json")).exists());
        fs::remove_dir_all(disk.0.path().join(time.to_string())).unwrap();
    }
}

#[test]
fn a_directory_has_one_name_whatever_a_path_calls_it() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    fs::create_dir_all(dir.join("a/b")).unwrap();
    std::os::unix::fs::symlink("a/b", dir.join("link")).unwrap();
    let at = |path: &str| resolved(&dir.join(path));
    for same in
        ["a/b", "a/./b/", "a/b/.", "link", "link/", "a//b", "a/b/c/..", "a/x/../b", "link/../b"]
    {
        assert_eq!(at(same), dir.join("a/b"), "{same}");
    }
    // What is not there yet.
    for same in ["a/b/new", "link/new", "a/b/new/../new/.", "link/other/../new"] {
        assert_eq!(at(same), dir.join("a/b/new"), "{same}");
    }
    assert_eq!(
        resolved(Path::new("out")),
        std::env::current_dir().unwrap().canonicalize().unwrap().join("out")
    );
}

#[test]
fn a_published_batch_that_was_damaged_is_not_taken_for_whole() {
    for new in [sink, linking] {
        let dir = tempfile::tempdir().unwrap();
        let batch = batch(7, vec![part(0, "a,1\n"), part(3, "b,2\n")]);
        new(&dir).publish(&batch).unwrap();
        new(&dir).publish(&batch).unwrap();
        let path = dir.path().join("7/part-00003.csv");
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[0] ^= 1;
        for (bytes, why) in [
            (None, "part-00003.csv is missing"),
            (Some(b"b".to_vec()), "part-00003.csv has 1 bytes, and 4 were published"),
            (Some(flipped), "part-00003.csv has other bytes"),
        ] {
            match bytes {
                None => fs::remove_file(&path).unwrap(),
                Some(bytes) => fs::write(&path, bytes).unwrap(),
            }
            let error = new(&dir).publish(&batch).unwrap_err();
            assert!(matches!(error, SinkError::Damaged { .. }) && !error.may_pass(), "{error}");
            assert!(error.to_string().contains(why), "{error}");
        }
        fs::write(&path, whole).unwrap();
        new(&dir).publish(&batch).unwrap();
    }
}
