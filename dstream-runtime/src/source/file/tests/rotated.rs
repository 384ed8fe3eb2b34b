//! What becomes of followed files, while a job reads them and while it is stopped: every line that was ever
//! written is read once, or said to be lost.

use std::os::unix::fs::{FileExt, symlink};
use std::process::Command;

use super::follow::append;
use super::*;
use crate::source::file::followed::{Growing, Seen};
use crate::source::file::{config, twins};
use crate::source::{Input, Position, Range};

/// Reads a followed directory or file, in one process, or in a new one for each cut.
pub(super) struct Reader {
    url: String,
    format: Format,
    restarts: bool,
    source: Box<dyn Source>,
    position: Option<Position>,
    pub(super) lines: Vec<String>,
    pub(super) warnings: Vec<String>,
    pub(super) lost: u64,
    pub(super) unreadable: u64,
    /// What was cut, and what was in it.
    cuts: Vec<(Vec<Range>, Vec<u8>)>,
}

fn bytes(input: &Input) -> Vec<u8> {
    let mut all = Vec::new();
    input.data.read(&mut |piece| all.extend_from_slice(piece.bytes)).unwrap();
    all
}

impl Reader {
    pub(super) fn new(path: &Path, options: &str, restarts: bool) -> Self {
        let url = format!("file://{}?follow&{options}", path.display());
        Self::of(url, Format::Text, restarts)
    }

    fn of(url: String, format: Format, restarts: bool) -> Self {
        let source = open(&url, format, &OpenOptions::default()).unwrap();
        let (lines, warnings, cuts) = (Vec::new(), Vec::new(), Vec::new());
        let (position, lost, unreadable) = (None, 0, 0);
        Self { url, format, restarts, source, position, lines, warnings, lost, unreadable, cuts }
    }

    /// Another process goes on.
    fn restart(&mut self) {
        self.source = open(&self.url, self.format, &OpenOptions::default()).unwrap();
        if let Some(position) = &self.position {
            self.source.resume(position).unwrap();
        }
        self.hear();
    }

    fn hear(&mut self) {
        let news = self.source.news();
        self.warnings.extend(news.warnings);
        self.lost += news.lost;
        self.unreadable = news.unreadable;
    }

    /// The lines of the next cut.
    pub(super) fn cut(&mut self) -> Vec<String> {
        if self.restarts {
            self.restart();
        }
        self.cut_here()
    }

    pub(super) fn cut_here(&mut self) -> Vec<String> {
        let cut = self.source.cut(1).unwrap();
        self.hear();
        self.position = cut.position;
        let mut lines = Vec::new();
        for input in &cut.inputs {
            let text = bytes(input);
            lines.extend(String::from_utf8(text.clone()).unwrap().lines().map(str::to_owned));
            self.cuts.push((input.ranges.clone(), text));
        }
        self.lines.extend(lines.clone());
        lines
    }

    /// Stops, and takes the last cuts.
    pub(super) fn stop(&mut self) {
        self.source.stop();
        while !self.cut_ends() {}
    }

    fn cut_ends(&mut self) -> bool {
        let cut = self.source.cut(1).unwrap();
        self.hear();
        let ended = cut.ended;
        self.position = cut.position;
        for input in &cut.inputs {
            let text = bytes(input);
            self.lines.extend(String::from_utf8(text).unwrap().lines().map(str::to_owned));
        }
        ended
    }

    /// What a cut brings, or one of the next ones, when time must pass.
    fn cut_until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while !holds(self) {
            assert!(std::time::Instant::now() < deadline, "{what}: {:?}", self.warnings);
            self.cut_here();
        }
    }

    /// Another process makes all inputs again whose files are there.
    pub(super) fn check_inputs(&self) {
        let mut source = open(&self.url, self.format, &OpenOptions::default()).unwrap();
        source.resume(self.position.as_ref().unwrap()).unwrap();
        for (ranges, text) in &self.cuts {
            if let Ok(input) = source.input(ranges) {
                assert_eq!(bytes(&input), *text, "{ranges:?}");
            }
        }
    }

    #[track_caller]
    fn says(&self, text: &str) {
        let said = self.warnings.iter().filter(|warning| warning.contains(text)).count();
        assert_eq!(said, 1, "{text:?} once in {:?}", self.warnings);
    }
}

/// Runs a test twice: in one process, and with a new one for each cut.
fn both(test: impl Fn(bool, &Path)) {
    for restarts in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        test(restarts, dir.path());
    }
}

fn run(dir: &Path, script: &str) {
    let mut command = Command::new("sh");
    let output = command.args(["-euc", script]).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{script}: {output:?}");
}

/// No copy is taken for another file, however long it takes.
const PATIENT: &str = "settle=1h";

#[test]
fn truncated_and_filled_again() {
    // What was there, how much of it is read, and what is there then.
    let banner = "# log 1.0\n".to_owned();
    let long =
        |from: usize| (from..from + 9000).map(|i| format!("line {i:06}\n")).collect::<String>();
    let cases = [
        ("a\nb\nc\n".to_owned(), "d\n".to_owned()),
        ("a\nb\nc\n".to_owned(), "d\ne\nf\n".to_owned()),
        ("a\nb\nc\n".to_owned(), "d\ne\nf\ng\nh\n".to_owned()),
        ("a\nb\nc\n".to_owned(), "dddddddd\ne\n".to_owned()),
        ("a\nb\nhalf".to_owned(), "d\n".to_owned()),
        ("a\nb\nhalf".to_owned(), "d\ne\nfghi\n".to_owned()),
        (banner.clone() + "a\n", banner.clone() + "b\nc\n"),
        (banner.clone() + "a\nb\n", banner.clone() + "c\n"),
        (long(0), long(1)),
        (long(0), long(1) + "more\n"),
        (long(0), "short\n".to_owned()),
        (format!("{banner}{}", long(0)), format!("{banner}{}", long(5))),
    ];
    for (before, after) in cases {
        both(|restarts, dir| {
            let file = dir.join("log");
            let mut reader = Reader::new(dir, "settle=0ms", restarts);
            fs::write(&file, &before).unwrap();
            let whole = before.rfind('\n').map_or(0, |end| end + 1);
            assert_eq!(reader.cut(), before[..whole].lines().collect::<Vec<_>>());
            // `fs::write` truncates the same file.
            fs::write(&file, &after).unwrap();
            assert_eq!(reader.cut(), after.lines().collect::<Vec<_>>(), "{restarts}");
            append(&file, "last\n");
            assert_eq!(reader.cut(), ["last"]);
            reader.says("log: was truncated, or replaced in place");
            assert_eq!(reader.lost, (before.len() - whole) as u64);
            reader.check_inputs();
        });
    }
}

#[test]
fn a_truncation_that_is_seen_while_the_file_is_empty_or_unfinished() {
    both(|restarts, dir| {
        let file = dir.join("log");
        let mut reader = Reader::new(dir, "settle=0ms", restarts);
        fs::write(&file, "a\nb\n").unwrap();
        reader.cut();
        fs::write(&file, "").unwrap();
        assert!(reader.cut().is_empty());
        append(&file, "hal");
        assert!(reader.cut().is_empty());
        append(&file, "f\nc\n");
        assert_eq!(reader.cut(), ["half", "c"]);
        // The unfinished end alone is taken away: what was read is still there.
        append(&file, "unfinish");
        assert!(reader.cut().is_empty());
        fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(7).unwrap();
        append(&file, "d\n");
        assert_eq!(reader.cut(), ["d"]);
    });
}

#[test]
fn rotated_by_renaming() {
    both(|restarts, dir| {
        let mut reader = Reader::new(dir, PATIENT, restarts);
        let mut written = Vec::new();
        for generation in 0..6 {
            for line in 0..3 {
                written.push(format!("{generation} {line}"));
                append(&dir.join("log"), &format!("{generation} {line}\n"));
                if line == 1 {
                    reader.cut();
                }
            }
            run(
                dir,
                "for i in 4 3 2 1; do if [ -e log.$i ]; then mv log.$i log.$((i+1)); fi; done; mv log log.1",
            );
            // Its writer has it open for a little longer.
            written.push(format!("{generation} late"));
            append(&dir.join("log.1"), &format!("{generation} late\n"));
            if generation % 2 == 0 {
                fs::write(dir.join("log"), "").unwrap();
            }
        }
        reader.cut();
        reader.check_inputs();
        reader.lines.sort();
        written.sort();
        assert_eq!(reader.lines, written);
        assert_eq!(reader.warnings, [""; 0]);
    });
}

#[test]
fn rotated_by_renaming_and_compressing() {
    for (tool, end) in [("gzip -c", "gz"), ("zstd -qc", "zst")] {
        if end == "zst" && Command::new("zstd").arg("-V").output().is_err() {
            continue;
        }
        both(|restarts, dir| {
            let mut reader = Reader::new(dir, PATIENT, restarts);
            append(&dir.join("log"), "1\n2\n");
            assert_eq!(reader.cut(), ["1", "2"]);
            append(&dir.join("log"), "3\nlast");
            // Several generations move at once, and nothing looks in between.
            run(dir, &format!("mv log log.1; {tool} log.1 > log.1.{end}; rm log.1; echo 4 > log"));
            assert_eq!(reader.cut(), ["4", "3", "last"]);
            append(&dir.join("log"), "5\n");
            run(
                dir,
                &format!(
                    "mv log.1.{end} log.2.{end}; mv log log.1; {tool} log.1 > log.1.{end}; rm log.1"
                ),
            );
            assert_eq!(reader.cut(), ["5"]);
            // The name of the day, and the one before is compressed only now.
            run(dir, "printf '6\\n7\\n' > log");
            assert_eq!(reader.cut(), ["6", "7"]);
            run(dir, "mv log log-20261130; echo 8 > log");
            assert_eq!(reader.cut(), ["8"]);
            append(&dir.join("log-20261130"), "late\n");
            run(dir, &format!("{tool} log-20261130 > log-20261130.{end}; rm log-20261130"));
            assert_eq!(reader.cut(), ["late"]);
            // It is unpacked again.
            run(
                dir,
                &format!(
                    "{} -dc log-20261130.{end} > log-20261130; rm log-20261130.{end}",
                    &tool[..tool.len() - 3]
                ),
            );
            assert!(reader.cut().is_empty());
            assert_eq!(reader.warnings, [""; 0]);
            reader.check_inputs();
        });
    }
}

#[test]
fn a_compressed_file_that_is_still_written() {
    both(|restarts, dir| {
        let mut reader = Reader::new(dir, PATIENT, restarts);
        let text = numbered(3000);
        fs::write(dir.join("log.1"), &text).unwrap();
        assert_eq!(reader.cut().len(), 3000);
        let packed = gzip(text.as_bytes());
        for part in [0, 5, 100, packed.len() / 2, packed.len() - 1] {
            fs::write(dir.join("log.1.gz"), &packed[..part]).unwrap();
            assert!(reader.cut().is_empty(), "{part}");
        }
        assert_eq!(reader.unreadable, 1);
        // Whole, and the other one still there.
        fs::write(dir.join("log.1.gz"), &packed).unwrap();
        assert!(reader.cut().is_empty());
        assert!(reader.cut().is_empty());
        fs::remove_file(dir.join("log.1")).unwrap();
        assert!(reader.cut().is_empty());
        assert_eq!((reader.unreadable, reader.lost), (0, 0));
        assert!(
            reader.warnings.iter().all(|said| said.contains("log.1.gz: is ")),
            "{:?}",
            reader.warnings
        );
        // One that is new is read when it is whole, and not before.
        fs::write(dir.join("other.gz"), &packed[..packed.len() - 8]).unwrap();
        assert!(reader.cut().is_empty());
        fs::write(dir.join("other.gz"), &packed).unwrap();
        assert_eq!(reader.cut().len(), 3000);
    });
}

#[test]
fn what_a_file_holds_says_how_it_is_read() {
    both(|restarts, dir| {
        let mut reader = Reader::new(dir, PATIENT, restarts);
        let packed = gzip(b"a\nb\n");
        append(&dir.join("lines.gz"), "1\n2\n");
        fs::write(dir.join("packed.log"), &packed).unwrap();
        let mut lines = reader.cut();
        lines.sort();
        assert_eq!(lines, ["1", "2", "a", "b"]);
        // It is followed as any other one.
        append(&dir.join("lines.gz"), "3\n");
        assert_eq!(reader.cut(), ["3"]);
        // The first byte of compressed data may be one of a line.
        let late = gzip(b"late\n");
        fs::write(dir.join("late"), &late[..1]).unwrap();
        assert!(reader.cut().is_empty());
        fs::write(dir.join("late"), &late).unwrap();
        assert_eq!(reader.cut(), ["late"]);
        append(&dir.join("line"), "P");
        assert!(reader.cut().is_empty());
        append(&dir.join("line"), "\n");
        assert_eq!(reader.cut(), ["P"]);
        // Rotation that compresses, and gives a name without a suffix.
        append(&dir.join("log"), "x\ny\n");
        assert_eq!(reader.cut(), ["x", "y"]);
        run(dir, "gzip -c log > log.1; rm log");
        assert!(reader.cut().is_empty());
        assert_eq!((reader.lost, reader.unreadable, reader.warnings.len()), (0, 0, 0));
        reader.check_inputs();
    });
}

#[test]
fn copied_and_truncated() {
    for look_between in [false, true] {
        both(|restarts, dir| {
            let mut reader = Reader::new(dir, PATIENT, restarts);
            append(&dir.join("log"), "1\n2\n");
            assert_eq!(reader.cut(), ["1", "2"]);
            append(&dir.join("log"), "3\n");
            run(dir, "cp log log.1");
            if look_between {
                assert_eq!(reader.cut(), ["3"]);
            }
            run(dir, ": > log; echo 4 >> log");
            let expected: &[&str] = if look_between { &["4"] } else { &["4", "3"] };
            assert_eq!(reader.cut(), expected);
            // Again, with the next generation, and to more than there was.
            append(&dir.join("log"), "5\n");
            run(dir, "mv log.1 log.2; cp log log.1; : > log; seq 100 130 >> log");
            let lines = reader.cut();
            assert_eq!(lines.len(), 32);
            assert!(lines.contains(&"5".to_owned()));
            assert_eq!((reader.lost, reader.warnings.len()), (0, 0), "{:?}", reader.warnings);
            reader.check_inputs();
        });
    }
}

#[test]
fn a_copy_is_not_compared_with_a_file_that_is_truncated_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let (log, copy) = (dir.path().join("log"), dir.path().join("log.1"));
    append(&log, "1\n2\n");
    let seen = |path: &Path| Seen::new(path.to_owned(), fs::metadata(path).unwrap());
    let url = format!("file://{}?follow", dir.path().display());
    let sources = crate::source::Sources::built_in();
    let url = sources.checked(&url, Format::Text).unwrap();
    let (config, _) = config(&url, Format::Text, &OpenOptions::default()).unwrap();
    let mut growing = Growing::new(&seen(&log), None);
    assert!(growing.measure(&seen(&log), &config).unwrap());
    let there = std::collections::BTreeMap::from([(log.clone(), growing)]);
    fs::copy(&log, &copy).unwrap();
    let compare = || {
        let file = fs::File::open(&copy).unwrap();
        twins::of_those_there(&seen(&copy), &file, None, &there).unwrap()
    };
    assert_eq!(compare(), Some(log.clone()));
    fs::write(&log, "").unwrap();
    assert_eq!(compare(), Some(log.clone()));
}

#[test]
fn a_copy_in_the_making_waits() {
    both(|restarts, dir| {
        let mut reader = Reader::new(dir, PATIENT, restarts);
        let text = numbered(4000);
        fs::write(dir.join("log"), &text).unwrap();
        assert_eq!(reader.cut().len(), 4000);
        for part in [10, 70_000, 100_000, text.len()] {
            fs::write(dir.join("log.1"), &text[..part]).unwrap();
            assert!(reader.cut().is_empty());
        }
        fs::write(dir.join("log"), "new\n").unwrap();
        assert_eq!(reader.cut(), ["new"]);
        assert!(reader.cut().is_empty());
        assert_eq!(reader.lost, 0);
    });
}

#[test]
fn other_files_with_the_same_content_are_read() {
    both(|restarts, dir| {
        let mut reader = Reader::new(dir, "settle=0ms", restarts);
        fs::write(dir.join("a"), "1\n2\n").unwrap();
        assert_eq!(reader.cut(), ["1", "2"]);
        fs::write(dir.join("b"), "1\n2\n").unwrap();
        assert_eq!(reader.cut(), ["1", "2"]);
        // The first is gone, and a third one comes.
        fs::remove_file(dir.join("a")).unwrap();
        reader.cut();
        fs::write(dir.join("c"), "1\n2\n").unwrap();
        assert_eq!(reader.cut(), ["1", "2"]);
        // One that could be a copy by its name, of one that stays.
        fs::write(dir.join("c.1"), "1\n2\n").unwrap();
        if restarts {
            reader.restarts = false;
        }
        reader.cut_until("it is read too", |reader| reader.lines.len() == 8);
        reader.says("c.1: begins like ");
    });
}

#[test]
fn a_copy_of_an_unrelated_name_in_the_place_of_the_file_is_that_file() {
    let text = numbered(100);
    let ways = [
        "gzip -c log > 2026.gz; rm log",
        "cat log > zebra; rm log",
        "mv log log.1; gzip -c log.1 > saved; rm log.1; echo new > log",
        "cat log > ../kept; rm log; mv ../kept kept",
    ];
    for way in ways {
        both(|restarts, dir| {
            fs::create_dir(dir.join("logs")).unwrap();
            let (logs, log) = (dir.join("logs"), dir.join("logs/log"));
            let mut reader = Reader::new(&logs, PATIENT, restarts);
            append(&log, &text);
            append(&dir.join("logs/small"), "1\n2\n");
            assert_eq!(reader.cut().len(), 102);
            append(&log, "more\n");
            run(&logs, way);
            // One that is short may have the content of another one.
            run(&logs, "rm small; printf '1\\n2\\n' > tiny");
            let mut lines = reader.cut();
            lines.sort();
            let new: &[&str] = if way.contains("new") { &["new"] } else { &[] };
            assert_eq!(lines, [&["1", "2", "more"], new].concat(), "{way} {restarts}");
            reader.says("bytes that were read of");
            assert_eq!((reader.lost, reader.unreadable), (0, 0));
            reader.check_inputs();
        });
    }
}

#[test]
fn a_writer_that_does_not_append() {
    both(|restarts, dir| {
        for lines in [10, 40_000] {
            let log = dir.join(format!("log{lines}"));
            let copy = format!("cp log{lines} log{lines}.1; truncate -s 0 log{lines}");
            let mut reader = Reader::new(dir, PATIENT, restarts);
            let file = fs::File::create(&log).unwrap();
            let text = numbered(lines);
            file.write_all_at(text.as_bytes(), 0).unwrap();
            reader.cut();
            run(dir, &copy);
            file.write_all_at(b"new 1\nnew 2\n", text.len() as u64).unwrap();
            assert_eq!(reader.cut(), ["new 1", "new 2"]);
            file.write_all_at(b"new 3\n", text.len() as u64 + 12).unwrap();
            assert_eq!(reader.cut(), ["new 3"]);
            // And again.
            run(dir, &copy.replace(".1", ".2"));
            assert!(reader.cut().is_empty());
            file.write_all_at(b"new 4\n", text.len() as u64 + 18).unwrap();
            assert_eq!(reader.cut(), ["new 4"]);
            assert_eq!(reader.lost, 0);
            reader.check_inputs();
        }
    });
}

#[test]
fn a_link_with_a_new_target() {
    both(|restarts, dir| {
        let (data, followed) = (dir.join("data"), dir.join("followed"));
        fs::create_dir(&data).unwrap();
        fs::create_dir(&followed).unwrap();
        append(&data.join("log.1"), "1\n");
        symlink("../data/log.1", followed.join("current")).unwrap();
        for path in [followed.clone(), followed.join("current")] {
            let mut reader = Reader::new(&path, PATIENT, restarts);
            reader.cut();
            append(&data.join("log.1"), "2\n3\n");
            append(&data.join("log.2"), "4\n");
            run(&followed, "ln -sfn ../data/log.2 current");
            assert_eq!(reader.cut(), ["2", "3", "4"], "{restarts} {path:?}");
            run(&followed, "ln -sfn ../data/log.1 current; rm ../data/log.2");
            run(&data, "echo 1 > log.1");
        }
    });
}

#[test]
fn copied_back() {
    both(|restarts, dir| {
        let mut reader = Reader::new(&dir.join("logs"), PATIENT, restarts);
        fs::create_dir(dir.join("logs")).unwrap();
        let text = numbered(5000);
        fs::write(dir.join("logs/a"), &text).unwrap();
        append(&dir.join("logs/b"), "1\n2\n");
        append(&dir.join("logs/b"), "unfinish");
        assert_eq!(reader.cut().len(), 5002);
        // The whole directory goes and comes back as a copy.
        run(dir, "mv logs away");
        assert!(reader.cut().is_empty());
        run(dir, "cp -a away logs; rm -r away; printf 'ed\\nnew\\n' >> logs/b");
        assert_eq!(reader.cut(), ["unfinished", "new"]);
        // In the place of the one that is there, as `rsync` and editors do; without its time.
        run(dir, "cp logs/a logs/.a.tmp; echo more >> logs/.a.tmp; mv logs/.a.tmp logs/a");
        assert_eq!(reader.cut(), ["more"]);
        // Under another name, with its time.
        run(dir, "cp -a logs/b elsewhere; rm logs/b; mv elsewhere logs/other");
        assert!(reader.cut().is_empty());
        assert_eq!(reader.lost, 0);
        reader.check_inputs();
    });
}

#[test]
fn the_directory_vanishes_and_comes_back() {
    both(|restarts, dir| {
        fs::create_dir(dir.join("logs")).unwrap();
        append(&dir.join("logs/a"), "1\n");
        let mut reader = Reader::new(&dir.join("logs"), PATIENT, restarts);
        assert_eq!(reader.cut(), ["1"]);
        fs::rename(dir.join("logs"), dir.join("away")).unwrap();
        assert!(reader.cut().is_empty());
        if !restarts {
            assert_eq!(reader.unreadable, 1);
            assert!(reader.cut().is_empty());
            reader.says("logs: is gone");
        }
        append(&dir.join("away/a"), "2\n");
        fs::rename(dir.join("away"), dir.join("logs")).unwrap();
        append(&dir.join("logs/b"), "3\n");
        assert_eq!(reader.cut().iter().filter(|line| **line != "2").count(), 1);
        assert_eq!(reader.unreadable, 0);
        reader.lines.sort();
        assert_eq!(reader.lines, ["1", "2", "3"]);
    });
}

#[test]
fn hard_links_are_one_file() {
    both(|restarts, dir| {
        let mut reader = Reader::new(dir, PATIENT, restarts);
        append(&dir.join("a"), "1\n");
        fs::hard_link(dir.join("a"), dir.join("b")).unwrap();
        assert_eq!(reader.cut(), ["1"]);
        fs::remove_file(dir.join("a")).unwrap();
        append(&dir.join("b"), "2\n");
        assert_eq!(reader.cut(), ["2"]);
    });
}

#[test]
fn a_file_that_is_removed_with_an_unfinished_line() {
    both(|restarts, dir| {
        let mut reader = Reader::new(dir, "settle=0ms", restarts);
        append(&dir.join("log"), "1\nhalf");
        append(&dir.join("other"), "2\n");
        assert_eq!(reader.cut(), ["1", "2"]);
        if !restarts {
            // It is open.
            append(&dir.join("log"), " a line\n3\nha");
        }
        fs::remove_file(dir.join("log")).unwrap();
        append(&dir.join("other"), "4\n");
        let expected: &[&str] = if restarts { &["4"] } else { &["half a line", "3", "4"] };
        assert_eq!(reader.cut(), expected);
        reader.cut_until("it is given up", |reader| reader.lost > 0);
        assert_eq!(reader.lost, if restarts { 4 } else { 2 });
        reader.says("log: is gone");
        reader.cut();
        reader.says("log: is gone");
    });
}

#[test]
fn what_cannot_be_read_is_said_once_and_tried_again() {
    both(|_, dir| {
        let mut reader = Reader::new(dir, PATIENT, false);
        symlink("nowhere", dir.join("dangling")).unwrap();
        symlink("loop", dir.join("loop")).unwrap();
        append(&dir.join("log"), "1\n");
        assert_eq!(reader.cut(), ["1"]);
        assert!(reader.cut().is_empty());
        assert_eq!(reader.unreadable, 2);
        reader.says("dangling");
        reader.says("/loop:");
        append(&dir.join("nowhere"), "2\n");
        assert_eq!(reader.cut(), ["2"]);
        reader.cut();
        assert_eq!(reader.unreadable, 1);
        // A job that starts then starts.
        reader.restart();
        append(&dir.join("log"), "3\n");
        assert_eq!(reader.cut_here(), ["3"]);
    });
}

#[test]
fn a_file_that_becomes_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    append(&log, "1\n");
    let mut reader = Reader::new(&log, PATIENT, false);
    assert_eq!(reader.cut(), ["1"]);
    fs::remove_file(&log).unwrap();
    fs::create_dir(&log).unwrap();
    append(&log.join("x"), "no\n");
    assert!(reader.cut().is_empty());
    reader.says("log: was a file, and is a directory now");
    fs::remove_dir_all(&log).unwrap();
    append(&log, "2\n");
    assert_eq!(reader.cut(), ["2"]);
    assert_eq!(reader.unreadable, 0);
}

#[test]
fn a_job_ends_with_the_first_trouble_if_it_is_asked_to() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("file://{}?follow&settle=0ms&on_file_error=stop", dir.path().display());
    let fails = |change: &dyn Fn(), expected: &str| {
        append(&dir.path().join("log"), "1\n2\n");
        let mut source = open(&url, Format::Text, &OpenOptions::default()).unwrap();
        source.cut(1).unwrap();
        change();
        let error = (0..9).find_map(|_| source.cut(1).err()).expect("it fails").to_string();
        assert!(error.contains(expected), "{error}");
        assert!(source.cut(1).is_err());
        run(dir.path(), "rm -f *");
    };
    let at = |name: &str| dir.path().join(name);
    fails(&|| symlink("nowhere", at("dangling")).unwrap(), "/dangling");
    fails(&|| fs::write(at("x.gz"), &gzip(b"text\n")[..20]).unwrap(), "/x.gz: is ");
    fails(
        &|| {
            append(&at("log"), "half");
            run(dir.path(), "mv log away; mv away ..; rm ../away");
        },
        "/log: is gone: 4 bytes",
    );
}

#[test]
fn a_header_after_a_truncation() {
    both(|restarts, dir| {
        let file = dir.join("log.csv");
        let headers = |reader: &mut Reader| {
            if reader.restarts {
                reader.restart();
            }
            let cut = reader.source.cut(1).unwrap();
            reader.position = cut.position;
            let mut found = Vec::new();
            for input in &cut.inputs {
                input
                    .data
                    .read(&mut |piece| {
                        let text = String::from_utf8(piece.bytes.to_vec()).unwrap();
                        found.push((piece.header.unwrap().to_owned(), text));
                    })
                    .unwrap();
            }
            found
        };
        let url = format!("file://{}?follow&header&settle=0ms", dir.display());
        let mut reader = Reader::of(url, Format::Csv, restarts);
        let one = |header: &str, text: &str| vec![(header.to_owned(), text.to_owned())];
        append(&file, "x,y\n1,2\n");
        assert_eq!(headers(&mut reader), one("x,y", "1,2\n"));
        // The writer goes on with rows, or begins anew.
        fs::write(&file, "3,4\n").unwrap();
        assert_eq!(headers(&mut reader), one("x,y", "3,4\n"));
        append(&file, "5,6\n");
        assert_eq!(headers(&mut reader), one("x,y", "5,6\n"));
        fs::write(&file, "x,y\n7,8\n").unwrap();
        assert_eq!(headers(&mut reader), one("x,y", "7,8\n"));
        fs::write(&file, "z,x\n9,1\n").unwrap();
        assert_eq!(headers(&mut reader), one("z,x", "9,1\n"));
        append(&file, "2,3\n");
        assert_eq!(headers(&mut reader), one("z,x", "2,3\n"));
        let url = format!("file://{}?follow&header&delimiter=;&settle=0ms", dir.display());
        let mut reader = Reader::of(url, Format::Csv, restarts);
        fs::write(&file, "x;y\n1;2\n").unwrap();
        assert_eq!(headers(&mut reader), one("x;y", "1;2\n"));
        fs::write(&file, "z;x\n9;1\n").unwrap();
        assert_eq!(headers(&mut reader), one("z;x", "9;1\n"));
    });
}

#[test]
fn a_header_without_names_is_no_row_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    for header in ["\n", ",\n", "x,y\n"] {
        fs::write(dir.path().join("log.csv"), header).unwrap();
        let url = format!("file://{}?follow&header", dir.path().display());
        let opens = || open(&url, Format::Csv, &OpenOptions::default()).unwrap();
        let cut = opens().cut(1).unwrap();
        assert!(cut.inputs.is_empty(), "{header:?}");
        let mut resumed = opens();
        resumed.resume(&cut.position.unwrap()).unwrap();
        assert!(resumed.cut(1).unwrap().inputs.is_empty(), "{header:?}");
        append(&dir.path().join("log.csv"), "1,2\n");
        assert_eq!(read(&resumed.cut(1).unwrap()).unwrap().concat(), b"1,2\n");
    }
}

#[test]
fn another_directory_is_refused_unless_it_is_accepted() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["right", "wrong", "copy"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    append(&dir.path().join("right/log"), "1\n2\n");
    append(&dir.path().join("wrong/log"), "x\n");
    for options in ["follow", "batch_records=1"] {
        let opens = |name: &str| source(&dir.path().join(name), options);
        let position = opens("right").cut(1).unwrap().position.unwrap();
        let error = opens("wrong").resume(&position).unwrap_err();
        assert!(matches!(error, SourceError::Moved { .. }), "{error}");
        let error = error.to_string();
        assert!(error.contains("/right`") && error.contains("/wrong`"), "{error}");
        // The same place in other words, and other options.
        source(&dir.path().join("right/"), &format!("{options}&split=1MiB"))
            .resume(&position)
            .unwrap();
        let mut wrong = opens("wrong");
        wrong.resume_elsewhere(&position).unwrap();
        assert_eq!(read(&wrong.cut(1).unwrap()).unwrap().concat(), b"x\n");
    }
    // Files that have moved are known.
    let position = source(&dir.path().join("right"), "follow").cut(1).unwrap().position.unwrap();
    fs::write(dir.path().join("copy/renamed"), "1\n2\n3\n").unwrap();
    fs::write(dir.path().join("copy/new"), "1\n").unwrap();
    let mut moved = source(&dir.path().join("copy"), "follow");
    moved.resume_elsewhere(&position).unwrap();
    assert_eq!(read(&moved.cut(1).unwrap()).unwrap().concat(), b"1\n3\n");
}

#[test]
fn ranges_of_files_that_had_the_same_name() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let mut reader = Reader::new(dir.path(), PATIENT, false);
    for generation in 0..4 {
        append(&log, &format!("{generation} 1\n"));
        reader.cut();
        append(&log, &format!("{generation} 2\n"));
        reader.cut();
        fs::rename(&log, dir.path().join(format!("old{generation}"))).unwrap();
    }
    reader.check_inputs();
    let splits: std::collections::BTreeSet<_> =
        reader.cuts.iter().map(|(ranges, _)| ranges[0].split.clone()).collect();
    assert_eq!(splits.len(), 4, "{splits:?}");
}
