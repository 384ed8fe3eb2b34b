//! With real named pipes.

use std::fs::{File, OpenOptions as Open};
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::record::Format;
use crate::source::texts::gzip;
use crate::source::{Cut, OpenOptions, Source, SourceError, open};

const PATIENCE: Duration = Duration::from_secs(30);

struct Fifo {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

impl Fifo {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        Self { _dir: dir, path }
    }

    /// Opens the source and its writer.
    fn open(&self, options: &str, format: Format) -> (Box<dyn Source>, File) {
        let options = OpenOptions { interval: Duration::from_millis(20), ..OpenOptions::default() }
            .pipe(&self.path, options, format);
        (options, Open::new().write(true).open(&self.path).unwrap())
    }
}

impl OpenOptions {
    fn pipe(&self, path: &std::path::Path, options: &str, format: Format) -> Box<dyn Source> {
        open(&format!("{}{options}", path.display()), format, self).unwrap()
    }
}

/// The text of each input, and of what is torn.
fn texts(cut: &Cut) -> (String, Vec<String>) {
    let (mut text, mut torn) = (Vec::new(), Vec::new());
    for input in &cut.inputs {
        let take = &mut |piece: crate::source::Piece<'_>| match piece.torn {
            Some(why) => torn.push(why.to_owned()),
            None => text.extend_from_slice(piece.bytes),
        };
        input.data.read(take).unwrap();
    }
    (String::from_utf8(text).unwrap(), torn)
}

/// Cuts until the end; the batches that hold something.
fn rest(source: &mut dyn Source) -> Vec<String> {
    let (mut batches, start) = (Vec::new(), Instant::now());
    loop {
        assert!(start.elapsed() < PATIENCE);
        let cut = source.cut(3).unwrap();
        batches.push(texts(&cut).0);
        if cut.ended {
            batches.retain(|batch| !batch.is_empty());
            return batches;
        }
    }
}

#[test]
fn batches_have_the_size_that_the_url_says_however_slow_the_writer_is() {
    let fifo = Fifo::new();
    let (mut source, mut writer) = fifo.open("?batch_records=2", Format::Text);
    assert!(source.bounded() && !source.immediate());
    let writing = std::thread::spawn(move || {
        for part in ["a\nb", "\nc\n", "d\ne", "\n", "las", "t"] {
            writer.write_all(part.as_bytes()).unwrap();
            std::thread::yield_now();
        }
    });
    assert_eq!(rest(&mut *source), ["a\nb\n", "c\nd\n", "e\nlast"]);
    writing.join().unwrap();
}

#[test]
fn a_slow_pipe_shows_what_has_come_when_the_interval_is_over() {
    let fifo = Fifo::new();
    let (mut source, mut writer) = fifo.open("", Format::Text);
    writer.write_all(b"a\nb\nunfin").unwrap();
    let (mut got, start) = (String::new(), Instant::now());
    while got.is_empty() {
        assert!(start.elapsed() < PATIENCE);
        let cut = source.cut(3).unwrap();
        assert!(!cut.ended);
        got = texts(&cut).0;
    }
    assert_eq!(got, "a\nb\n");
    writer.write_all(b"ished\n").unwrap();
    drop(writer);
    assert_eq!(rest(&mut *source).concat(), "unfinished\n");
    // Nothing comes after the end.
    let cut = source.cut(3).unwrap();
    assert!(cut.ended && cut.inputs.is_empty());
}

#[test]
fn compressed_data_and_headers() {
    let text: String = (0..5000).map(|i| format!("{i},x{i}\n")).collect();
    let whole = format!("n,name\n{text}");
    for bytes in [
        whole.as_bytes().to_vec(),
        gzip(whole.as_bytes()),
        zstd::encode_all(whole.as_bytes(), 1).unwrap(),
        [gzip(b"n,name\n"), gzip(text.as_bytes())].concat(),
    ] {
        let fifo = Fifo::new();
        let (mut source, mut writer) = fifo.open("?header&batch_records=1000", Format::Csv);
        let writing = std::thread::spawn(move || writer.write_all(&bytes).unwrap());
        let mut got = String::new();
        for _ in 0..5 {
            let cut = source.cut(4).unwrap();
            for input in &cut.inputs {
                let take = &mut |piece: crate::source::Piece<'_>| {
                    assert_eq!(piece.header, Some("n,name"));
                    assert_eq!(piece.position, ("n,name\n".len() + got.len()) as u64);
                    got.push_str(std::str::from_utf8(piece.bytes).unwrap());
                };
                input.data.read(take).unwrap();
                assert!(input.carried().unwrap().is_some(), "no range can bring it back");
            }
        }
        assert!(got == text);
        assert!(rest(&mut *source).is_empty());
        writing.join().unwrap();
    }
}

#[test]
fn what_is_damaged_is_an_error_after_what_is_good() {
    let fifo = Fifo::new();
    let (mut source, mut writer) = fifo.open("?batch_records=2", Format::Text);
    let whole = gzip(b"a\nb\nc\n");
    writer.write_all(&whole[..whole.len() - 4]).unwrap();
    drop(writer);
    assert_eq!(texts(&source.cut(3).unwrap()).0, "a\nb\n");
    assert_eq!(texts(&source.cut(3).unwrap()).0, "c\n");
    let error = source.cut(3).err().expect("it is cut off").to_string();
    assert!(error.contains("pipe: is truncated near byte"), "{error}");
}

#[test]
fn a_cut_that_waits_is_interrupted() {
    let fifo = Fifo::new();
    let (mut source, mut writer) = fifo.open("?batch_records=1000", Format::Text);
    writer.write_all(b"a\nb\nhal").unwrap();
    let interrupt = source.interrupt().expect("its cuts may wait long");
    let cutting = std::thread::spawn(move || (texts(&source.cut(3).unwrap()).0, source));
    while !cutting.is_finished() {
        interrupt();
        std::thread::yield_now();
    }
    let (text, _) = cutting.join().unwrap();
    assert!(["", "a\nb\n"].contains(&text.as_str()), "{text:?}");
}

#[test]
fn a_line_without_an_end_does_not_hold_up_a_stop() {
    for options in ["", "?batch_records=1000", "?follow"] {
        let fifo = Fifo::new();
        let (mut source, mut writer) = fifo.open(options, Format::Text);
        // Until nothing reads it any more.
        let writing =
            std::thread::spawn(move || while writer.write_all(&[b'x'; 1 << 16]).is_ok() {});
        let interrupt = source.interrupt().expect("its cuts may wait long");
        let cutting = std::thread::spawn(move || {
            assert_eq!(texts(&source.cut(3).unwrap()).0, "");
            source
        });
        interrupt();
        let mut source = cutting.join().unwrap();
        source.stop();
        let cut = source.cut(3).unwrap();
        assert!(cut.ended);
        assert_eq!(texts(&cut).0, "");
        drop(source);
        writing.join().unwrap();
    }
}

#[test]
fn a_followed_pipe_is_live_until_it_ends() {
    let fifo = Fifo::new();
    let (mut source, mut writer) = fifo.open("?follow", Format::Text);
    assert!(!source.bounded());
    assert!(texts(&source.cut(3).unwrap()).0.is_empty());
    writer.write_all(b"a\nhal").unwrap();
    let (mut got, start) = (String::new(), Instant::now());
    while got.is_empty() {
        assert!(start.elapsed() < PATIENCE);
        got = texts(&source.cut(3).unwrap()).0;
    }
    assert_eq!(got, "a\n");
    source.stop();
    let cut = source.cut(3).unwrap();
    let (text, torn) = texts(&cut);
    assert!(cut.ended && text.is_empty());
    assert_eq!(torn, ["unfinished when the source was stopped"]);
}

#[test]
fn a_pipe_cannot_be_resumed() {
    let fifo = Fifo::new();
    let (mut source, _writer) = fifo.open("", Format::Text);
    assert!(source.cut(1).unwrap().position.is_none());
    assert!(matches!(source.resume(&[]), Err(SourceError::Data { .. })));
    assert!(source.pipe().is_some_and(|pipe| pipe.name.ends_with("/pipe")));
    let (mut device, file) = (OpenOptions::default(), tempfile::NamedTempFile::new().unwrap());
    device.interval = Duration::from_millis(1);
    assert!(device.pipe(file.path(), "", Format::Text).pipe().is_none());
    let mut null = open("/dev/null", Format::Text, &device).unwrap();
    assert!(rest(&mut *null).is_empty());
}

#[test]
fn text_whose_lines_end_with_carriage_returns_alone_is_refused() {
    for (sent, refused) in [("a\rb\rc\r", true), ("a\rb", true), ("a\r", false), ("a\rb\n", false)]
    {
        for bytes in [sent.as_bytes().to_vec(), gzip(sent.as_bytes())] {
            let fifo = Fifo::new();
            let (mut source, mut writer) = fifo.open("", Format::Text);
            // Whatever comes when.
            let writing = std::thread::spawn(move || {
                bytes.iter().for_each(|byte| writer.write_all(&[*byte]).unwrap());
            });
            let start = Instant::now();
            let ended = loop {
                assert!(start.elapsed() < PATIENCE);
                match source.cut(1) {
                    Ok(cut) if cut.ended => break Ok(()),
                    Ok(_) => {}
                    Err(error) => break Err(error.to_string()),
                }
            };
            writing.join().unwrap();
            assert_eq!(ended.is_err(), refused, "{sent:?}");
            assert!(ended.err().is_none_or(|why| why.contains("tr '\\r' '\\n'")), "{sent:?}");
        }
    }
}
