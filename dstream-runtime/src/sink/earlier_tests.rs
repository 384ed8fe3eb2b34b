//! Directories with batches of this job, of others, and with what is no batch.

use super::super::tests::{batch, part};
use super::super::{Options, Sink, open};
use super::*;

fn sink(dir: &Path, job: &str, output: &str) -> Box<dyn Sink> {
    let options = Options { job: job.to_owned() };
    open(&format!("csv+file://{}?fsync=false", dir.display()), output, &options).unwrap()
}

fn publish(dir: &Path, job: &str, output: &str, times: &[u64]) {
    let mut sink = sink(dir, job, output);
    for time in times {
        sink.publish(&batch(*time, vec![part(0, "a,1\n")])).unwrap();
    }
}

fn names(dir: &Path) -> Vec<String> {
    let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(name).collect();
    names.sort();
    names
}

#[test]
fn only_batches_of_this_output_of_this_job_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    publish(dir, "counts", "words", &[1000, 3000, 20_000]);
    publish(dir, "other", "words", &[2000]);
    publish(dir, "counts", "lines", &[4000]);
    publish(dir, "", "words", &[5000]);
    fs::write(dir.join("7000"), "a file").unwrap();
    fs::create_dir(dir.join("8000")).unwrap();
    fs::create_dir(dir.join("9000")).unwrap();
    fs::write(dir.join("9000").join(manifest::FILE), "{\"version\":1").unwrap();
    // A copy under another name is no batch of ours.
    for copy in ["03000", "6000"] {
        fs::create_dir(dir.join(copy)).unwrap();
        fs::copy(dir.join("3000").join(manifest::FILE), dir.join(copy).join(manifest::FILE))
            .unwrap();
    }
    std::os::unix::fs::symlink("3000", dir.join("3001")).unwrap();
    let kept = ["03000", "2000", "3001", "4000", "5000", "6000", "7000", "8000", "9000"];
    assert_eq!(remove(dir, "counts", "words").unwrap(), 3);
    assert_eq!(names(dir), kept);
    assert_eq!(remove(dir, "counts", "words").unwrap(), 0);
    assert_eq!(remove(&dir.join("absent"), "counts", "words").unwrap(), 0);
}

#[test]
fn a_foreign_file_in_a_batch_keeps_all_of_them() {
    let dir = tempfile::tempdir().unwrap();
    publish(dir.path(), "counts", "words", &[1000, 2000]);
    fs::write(dir.path().join("1000/notes.txt"), "mine").unwrap();
    let error = remove(dir.path(), "counts", "words").unwrap_err().to_string();
    assert!(error.contains("notes.txt") && error.contains("move it away"), "{error}");
    assert_eq!(names(dir.path()), ["1000", "2000"]);
}

#[test]
fn what_a_crash_leaves_of_a_removal_is_invisible_and_goes_with_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    publish(dir.path(), "counts", "words", &[1000, 2000]);
    let hidden = hide(dir.path(), &dir.path().join("2000")).unwrap();
    let name = hidden.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with('_') && names(dir.path()) == ["1000", name]);
    drop(sink(dir.path(), "counts", "words"));
    assert_eq!(names(dir.path()), ["1000"]);
}

#[test]
fn the_newest_batch_says_who_published_it() {
    let dir = tempfile::tempdir().unwrap();
    let found = || sink(dir.path(), "counts", "words").earlier().unwrap();
    assert_eq!(found(), None);
    publish(dir.path(), "counts", "words", &[9000, 10_000]);
    let earlier = found().unwrap();
    assert_eq!((earlier.newest, earlier.job.as_deref()), (BatchTime(10_000), Some("counts")));
    assert_eq!(earlier.output.as_deref(), Some("words"));
    publish(dir.path(), "", "words", &[11_000]);
    assert_eq!(found().unwrap().job, None);
    let of =
        |job: &str, output: &str| newest_of(dir.path(), job, output).unwrap().map(|e| e.newest);
    assert_eq!(of("counts", "words"), Some(BatchTime(10_000)));
    assert_eq!((of("counts", "lines"), of("other", "words")), (None, None));
    // One of another job does not hide it.
    publish(dir.path(), "other", "words", &[11_500]);
    assert_eq!(found().unwrap().newest, BatchTime(11_000));
    // What is there without a manifest was never published.
    fs::create_dir(dir.path().join("12000")).unwrap();
    assert_eq!(found().unwrap().newest, BatchTime(11_000));
}
