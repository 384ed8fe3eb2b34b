//! Files that grow while they are read.

use super::*;

pub(super) fn append(path: &Path, text: &str) {
    let file = fs::OpenOptions::new().create(true).append(true).open(path);
    file.unwrap().write_all(text.as_bytes()).unwrap();
}

fn next(source: &mut dyn Source) -> String {
    let cut = source.cut(4).unwrap();
    assert!(!cut.ended);
    String::from_utf8(read(&cut).unwrap().concat()).unwrap()
}

#[test]
pub(super) fn appended_lines_and_new_files() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let mut source = source(&at("*"), "follow");
    assert!(!source.bounded());
    assert_eq!(next(&mut *source), "");
    append(&at("b"), "1\n2\nunfin");
    assert_eq!(next(&mut *source), "1\n2\n");
    assert_eq!(next(&mut *source), "");
    append(&at("b"), "ish");
    assert_eq!(next(&mut *source), "");
    append(&at("b"), "ed\n");
    append(&at("a"), "x\n");
    fs::write(at("c.gz"), gzip(b"packed\nend")).unwrap();
    assert_eq!(next(&mut *source), "x\nunfinished\npacked\nend");
    assert_eq!(next(&mut *source), "");
    append(&at("a"), "last\nhalf");
    source.stop();
    let cut = source.cut(4).unwrap();
    assert_eq!(read(&cut).unwrap().concat(), b"last\n");
    assert!(cut.ended);
}

#[test]
fn a_backlog_comes_in_parts() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("log");
    append(&file, "a\nb\nc\nd\ne\n");
    let mut source = source(&file, "follow&batch_records=2");
    assert_eq!(next(&mut *source), "a\nb\n");
    append(&file, "f\n");
    assert_eq!(next(&mut *source), "c\nd\n");
    source.stop();
    let cut = source.cut(4).unwrap();
    assert_eq!((read(&cut).unwrap().concat(), cut.ended), (b"e\nf\n".to_vec(), true));
}

#[test]
fn files_that_are_renamed_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let mut source = source(dir.path(), "follow");
    append(&at("log"), "1\n");
    let cut = source.cut(1).unwrap();
    fs::rename(at("log"), at("log.1")).unwrap();
    append(&at("log.1"), "2\n");
    append(&at("log"), "3\n");
    // What was cut can still be read, although the path names another file now.
    assert_eq!(read(&cut).unwrap().concat(), b"1\n");
    assert_eq!(next(&mut *source), "3\n2\n");
    fs::remove_file(at("log.1")).unwrap();
    assert_eq!(next(&mut *source), "");
}

#[test]
fn a_file_that_vanishes_is_read_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("log");
    append(&file, "1\n2\n");
    let mut vanishing = source(&file, "follow&batch_records=1");
    assert_eq!(next(&mut *vanishing), "1\n");
    append(&file, "3\n");
    fs::remove_file(&file).unwrap();
    assert_eq!(next(&mut *vanishing), "2\n");
    append(&file, "new\n");
    assert_eq!(next(&mut *vanishing), "3\n");
    assert_eq!(next(&mut *vanishing), "new\n");
    assert_eq!(vanishing.news(), crate::source::News::default());
}

#[test]
fn a_header_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("log.csv");
    append(&file, "x,");
    let url = format!("{}?follow&header", file.display());
    let mut source = open(&url, Format::Csv, &OpenOptions::default()).unwrap();
    assert_eq!(next(&mut *source), "");
    append(&file, "y\n");
    assert_eq!(next(&mut *source), "");
    append(&file, "1,2\n");
    let cut = source.cut(1).unwrap();
    cut.inputs[0].data.read(&mut |piece| assert_eq!(piece.header, Some("x,y"))).unwrap();
    assert_eq!(read(&cut).unwrap().concat(), b"1,2\n");
}
