//! Batches of files against what the files hold.

mod follow;
mod model;
mod restarted;
mod rotated;

use std::fs;
use std::io::Write;
use std::path::Path;

use proptest::prelude::*;

use crate::record::Format;
use crate::source::texts::{Texts, gzip, texts, write};
use crate::source::{Cut, OpenOptions, Source, SourceError, open};

fn try_source(path: &Path, options: &str) -> Result<Box<dyn Source>, SourceError> {
    open(&format!("file://{}?{options}", path.display()), Format::Text, &OpenOptions::default())
}

fn source(path: &Path, options: &str) -> Box<dyn Source> {
    try_source(path, options).unwrap()
}

/// The bytes of each input, after checking that ranges and pieces fit.
fn read(cut: &Cut) -> Result<Vec<Vec<u8>>, SourceError> {
    let mut inputs = Vec::new();
    for input in &cut.inputs {
        let (mut bytes, mut ranges) = (Vec::new(), input.ranges.iter().peekable());
        let mut at = ranges.peek().map(|range| range.start);
        input.data.read(&mut |piece| {
            assert!(piece.torn.is_none());
            while let Some(range) = ranges.next_if(|r| at == Some(r.end)) {
                assert!(range.start <= range.end);
                at = ranges.peek().map(|range| range.start);
            }
            assert_eq!(Some(piece.position), at);
            assert_eq!(ranges.peek().map(|range| &*range.split), Some(piece.split));
            at = at.map(|at| at + piece.bytes.len() as u64);
            bytes.extend_from_slice(piece.bytes);
        })?;
        inputs.push(bytes);
    }
    Ok(inputs)
}

/// All batches, each a list of inputs.
fn batches(source: &mut dyn Source, partitions: usize) -> Vec<Vec<Vec<u8>>> {
    let mut batches = Vec::new();
    loop {
        let cut = source.cut(partitions).unwrap();
        assert!(cut.inputs.len() <= partitions);
        batches.push(read(&cut).unwrap());
        if cut.ended {
            return batches;
        }
    }
}

fn numbered(lines: usize) -> String {
    (0..lines).map(|i| format!("line number {i} {}\n", "x".repeat(i * 7 % 90))).collect()
}

fn whole_lines(bytes: &[u8]) -> bool {
    bytes.is_empty() || bytes.ends_with(b"\n")
}

#[derive(Debug, Clone)]
struct Case {
    files: Texts,
    batch: String,
    split: u32,
    partitions: usize,
}

fn cases() -> impl Strategy<Value = Case> {
    let batch = prop_oneof![
        (1..500_u32).prop_map(|b| format!("batch={b}")),
        (1..40_u32).prop_map(|n| format!("batch_records={n}"))
    ];
    (texts(60), batch, 1..300_u32, 1..7_usize).prop_map(|(files, batch, split, partitions)| Case {
        files,
        batch,
        split,
        partitions,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn batches_together_are_the_files(case in cases()) {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &case.files);
        let expected: Vec<u8> = case.files.iter().flat_map(|(text, _)| text.bytes()).collect();
        let options = format!("{}&split={}", case.batch, case.split);
        let run = || batches(&mut *source(dir.path(), &options), case.partitions);
        let got = run();
        prop_assert_eq!(&got, &run());
        let together: Vec<u8> = got.iter().flatten().flatten().copied().collect();
        prop_assert_eq!(&together, &expected);
        let mut source = source(dir.path(), &options);
        let mut ended = false;
        while !ended {
            let cut = source.cut(case.partitions).unwrap();
            ended = cut.ended;
            for range in cut.inputs.iter().flat_map(|input| &input.ranges) {
                let name = range.split.rsplit('/').next().unwrap();
                let file: usize = name.split('.').next().unwrap().parse().unwrap();
                let bytes = case.files[file].0.as_bytes();
                let (start, end) = (range.start as usize, range.end as usize);
                prop_assert!(whole_lines(&bytes[..start]));
                prop_assert!(whole_lines(&bytes[..end]) || end == bytes.len());
            }
        }
        let ends: Vec<&str> = case.files.iter().map(|(text, _)| text.as_str()).collect();
        if let Some(records) = case.batch.strip_prefix("batch_records=") {
            let records: usize = records.parse().unwrap();
            let total: usize = ends.iter().map(|text| text.split_inclusive('\n').count()).sum();
            let mut sizes = vec![records; total / records];
            sizes.extend(Some(total % records).filter(|rest| *rest > 0));
            if sizes.is_empty() { sizes.push(0); }
            // A file without a last line break runs into the next one once all is put together.
            if ends.iter().all(|text| whole_lines(text.as_bytes())) {
                let got: Vec<usize> = got.iter()
                    .map(|b| b.iter().flatten().filter(|b| **b == b'\n').count()).collect();
                prop_assert_eq!(got, sizes);
            } else {
                prop_assert_eq!(got.len(), sizes.len());
            }
        }
    }
}

#[test]
fn sizes_options_and_partitions_make_the_inputs() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lines");
    fs::write(&file, "0123456\n".repeat(1000)).unwrap();
    let shape = |options: &str, partitions| -> Vec<Vec<usize>> {
        batches(&mut *source(&file, options), partitions)
            .iter()
            .map(|batch| batch.iter().map(Vec::len).collect())
            .collect()
    };
    assert_eq!(shape("", 4), [[8000]]);
    assert_eq!(shape("split=2000", 4), [[2000; 4]]);
    assert_eq!(shape("split=2000", 3), [[2672, 2664, 2664]]);
    assert_eq!(shape("batch=4000&split=2000", 4), [[2000; 2]; 2]);
    assert_eq!(shape("batch=3999", 4), [[4000], [4000]]);
    assert_eq!(
        shape("batch_records=300&split=1200", 4),
        vec![vec![1200; 2]; 3].into_iter().chain([vec![800]]).collect::<Vec<_>>()
    );
}

#[test]
fn small_files_are_taken_together() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..100 {
        fs::write(dir.path().join(format!("{i:03}")), format!("{i}\n")).unwrap();
    }
    let cut = source(dir.path(), "").cut(8).unwrap();
    assert_eq!((cut.inputs.len(), cut.inputs[0].ranges.len(), cut.ended), (1, 100, true));
    let expected: String = (0..100).map(|i| format!("{i}\n")).collect();
    assert_eq!(read(&cut).unwrap(), [expected.into_bytes()]);
}

#[test]
fn long_lines() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("long");
    let long = "y".repeat(3_000_000);
    let text = format!("short\n{long}\nshort\n{long}");
    fs::write(&file, &text).unwrap();
    fs::write(dir.path().join("long.gz"), gzip(text.as_bytes())).unwrap();
    for name in ["long", "long.gz"] {
        let got = batches(&mut *source(&dir.path().join(name), "batch=1000&split=100"), 5);
        assert!(got.concat().concat() == text.as_bytes());
        // As short as that, both are torn, and what stands between them is not.
        let mut short = source(&dir.path().join(name), "max_line=2999999");
        let (mut whole, mut torn) = (Vec::new(), Vec::new());
        for input in short.cut(3).unwrap().inputs {
            input
                .data
                .read(&mut |piece| match piece.torn {
                    Some(why) => torn.push((piece.position, why.to_owned())),
                    None => whole.extend_from_slice(piece.bytes),
                })
                .unwrap();
        }
        assert!(whole == b"short\nshort\n");
        assert_eq!(torn.iter().map(|t| t.0).collect::<Vec<_>>(), [6, 3_000_013]);
        assert!(torn[0].1.contains("3000001 bytes: `max_line`"), "{torn:?}");
        for options in ["max_line=5", "max_line=5&batch=1&split=1", "max_line=4&batch_records=1"] {
            let mut tiny = source(&dir.path().join(name), options);
            let (mut whole, mut torn, mut ended) = (0, 0, false);
            while !ended {
                let cut = tiny.cut(3).unwrap();
                ended = cut.ended;
                for input in cut.inputs {
                    input
                        .data
                        .read(&mut |piece| match piece.torn {
                            Some(_) => torn += 1,
                            None => whole += piece.bytes.len(),
                        })
                        .unwrap();
                }
            }
            let expected = if options.starts_with("max_line=5") { (12, 2) } else { (0, 4) };
            assert_eq!((whole, torn), expected, "{name} {options}");
        }
        let got = batches(&mut *source(&dir.path().join(name), "max_line=3000000"), 5);
        assert!(got.concat().concat() == text.as_bytes());
    }
}

#[test]
fn a_line_of_100_mb_is_one_piece() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("long");
    let mut text = vec![b'z'; 100_000_000];
    text.push(b'\n');
    fs::write(&file, &text).unwrap();
    let cut = source(&file, "").cut(3).unwrap();
    let mut sizes = Vec::new();
    cut.inputs[0].data.read(&mut |piece| sizes.push(piece.bytes.len())).unwrap();
    assert_eq!((sizes, cut.inputs.len(), cut.ended), (vec![100_000_001], 1, true));
}

#[test]
fn damaged_files_give_what_is_good_and_then_the_error() {
    let dir = tempfile::tempdir().unwrap();
    // Noise, so that the compressed data is as long as the text.
    let mut draw = 1_u64;
    let text: String = (0..200_000)
        .map(|_| {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            format!("{:x}\n", draw >> 32)
        })
        .collect();
    // Without a checksum, a frame whose literals were changed is another frame.
    let mut zstd = zstd::Encoder::new(Vec::new(), 1).unwrap();
    zstd.include_checksum(true).unwrap();
    zstd.write_all(text.as_bytes()).unwrap();
    for (name, packed) in [("a.gz", gzip(text.as_bytes())), ("a.zst", zstd.finish().unwrap())] {
        let file = dir.path().join(name);
        let mut flipped = packed.clone();
        let middle = flipped.len() / 2;
        flipped[middle..middle + 64].fill(0xff);
        for (bytes, what) in [(&packed[..packed.len() / 2], "truncated"), (&flipped[..], "damaged")]
        {
            fs::write(&file, bytes).unwrap();
            let mut source = source(&file, "batch=100000&split=30000");
            let mut got = Vec::new();
            let error = loop {
                match source.cut(4) {
                    Ok(cut) => {
                        assert!(!cut.ended && !cut.inputs.is_empty(), "{name} {what}");
                        got.extend(read(&cut).unwrap().concat());
                    }
                    Err(error) => break error.to_string(),
                }
            };
            assert!(got.len() > text.len() / 10 && whole_lines(&got), "{name} {what}");
            assert!(text.as_bytes().starts_with(&got) || what == "damaged");
            assert!(error.contains(name) && error.contains("near byte"), "{error}");
            assert!(error.contains(what), "{name}: {error}");
            assert_eq!(source.cut(4).err().unwrap().to_string(), error);
        }
    }
}

#[test]
fn several_gzip_members_are_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.GZ");
    fs::write(&file, [gzip(b"a\nb"), gzip(b"c\nd")].concat()).unwrap();
    assert_eq!(batches(&mut *source(&file, ""), 1), [[b"a\nbc\nd".to_vec()]]);
}

#[test]
fn files_that_change_under_a_reader() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a");
    fs::write(&file, numbered(1000)).unwrap();
    let cut = source(&file, "").cut(1).unwrap();
    fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(100).unwrap();
    let error = read(&cut).unwrap_err().to_string();
    assert!(error.contains(&file.display().to_string()) && error.contains("shrank"), "{error}");
    fs::remove_file(&file).unwrap();
    let error = read(&cut).unwrap_err().to_string();
    assert!(error.contains(&file.display().to_string()) && error.contains("gone"), "{error}");
    fs::create_dir(dir.path().join("b")).unwrap();
    fs::write(dir.path().join("b/x"), numbered(2000)).unwrap();
    fs::rename(dir.path().join("b/x"), &file).unwrap();
    assert!(read(&cut).unwrap_err().to_string().contains("replaced"));
}

#[test]
fn a_file_that_vanishes_is_told_after_what_came_before_it() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a", "b", "c"] {
        fs::write(dir.path().join(name), format!("{name}\n")).unwrap();
    }
    let mut source = source(dir.path(), "");
    fs::remove_file(dir.path().join("b")).unwrap();
    let cut = source.cut(1).unwrap();
    assert!(!cut.ended);
    assert_eq!(read(&cut).unwrap(), [b"a\n"]);
    let error = source.cut(1).err().unwrap().to_string();
    assert!(error.contains("/b: is gone"), "{error}");
}

#[test]
fn mistakes() {
    let dir = tempfile::tempdir().unwrap();
    let fail = |name: &str, options: &str| {
        try_source(&dir.path().join(name), options).err().unwrap().to_string()
    };
    assert!(fail("absent", "").starts_with("cannot open"));
    assert!(fail("*.csv", "").contains("matches no file"));
    assert!(fail("", "").contains("matches no file"));
    assert!(fail("x", "batsh=1").contains("did you mean `batch`?"));
    assert!(fail("x", "batch=0").contains("at least 1"));
    assert!(fail("x", "batch=1&batch_records=1").contains("exclude each other"));
    assert!(fail("x", "header").contains("`header` is an option of CSV"));
    assert!(open("file://", Format::Text, &OpenOptions::default()).is_err());
}

#[test]
fn headers_are_not_data() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.csv"), "\u{feff}x,y\r\n1,2\n").unwrap();
    fs::write(dir.path().join("b.csv.gz"), gzip(b"y,x\n3,4\n5,6\n")).unwrap();
    fs::write(dir.path().join("c.csv"), "only,header").unwrap();
    let url = dir.path().display().to_string();
    let options = OpenOptions { header_default: true, ..OpenOptions::default() };
    let mut source = open(&url, Format::Csv, &options).unwrap();
    let cut = source.cut(1).unwrap();
    let mut got = Vec::new();
    for input in &cut.inputs {
        input
            .data
            .read(&mut |p| {
                let text = String::from_utf8(p.bytes.to_vec()).unwrap();
                got.push((p.header.unwrap().to_owned(), p.position, text));
            })
            .unwrap();
    }
    let row = |header: &str, at, text: &str| (header.to_owned(), at, text.to_owned());
    assert_eq!(got, [row("x,y", 8, "1,2\n"), row("y,x", 4, "3,4\n5,6\n")]);
    assert!(cut.ended);
    let mut plain = open(&format!("{url}?header=false"), Format::Csv, &options).unwrap();
    assert_eq!(read(&plain.cut(1).unwrap()).unwrap().concat().len(), 9 + 12 + 11);
}

#[test]
fn the_job_may_stop_early() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), "a\nb\n").unwrap();
    let mut source = source(dir.path(), "batch_records=1");
    source.cut(1).unwrap();
    source.stop();
    let cut = source.cut(1).unwrap();
    assert!(cut.inputs.is_empty() && cut.ended);
}

#[test]
fn text_whose_lines_end_with_carriage_returns_alone_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lines");
    let long = format!("{}\r", "x".repeat(300_000));
    let cases = [
        ("a\rb\rc\r", true),
        ("a\rb", true),
        (&format!("{long}b"), true),
        (&long, false),
        ("a\r", false),
        ("a\rb\n", false),
        (&format!("{long}b\n"), false),
        ("a\r\nb\r\n", false),
        ("\u{feff}a\rb", true),
        ("", false),
    ];
    type Packs = fn(&[u8]) -> Vec<u8>;
    let transports: [(&str, Packs); 3] = [
        ("plain", <[u8]>::to_vec),
        ("gzip", gzip),
        ("zstd", |bytes| zstd::encode_all(bytes, 1).unwrap()),
    ];
    for (text, refused) in cases {
        let options = ["", "max_line=9", "batch_records=1"];
        for ((transport, packs), options) in
            transports.iter().flat_map(|it| options.map(|options| (it, options)))
        {
            fs::write(&path, packs(text.as_bytes())).unwrap();
            let opened = try_source(&path, options).and_then(|mut source| source.cut(1).map(drop));
            let case = format!("{transport} {options} {:?}", &text[..text.len().min(9)]);
            assert_eq!(opened.is_err(), refused, "{case}");
            if let Err(error) = opened.map_err(|error| error.to_string()) {
                assert!(error.contains("tr '\\r' '\\n'"), "{case}: {error}");
            }
        }
    }
}

#[test]
fn a_followed_file_whose_lines_end_with_carriage_returns_alone_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut follows = source(dir.path(), "follow");
    let mut look = || {
        let read = read(&follows.cut(1).unwrap()).unwrap().concat();
        let news = follows.news();
        (String::from_utf8(read).unwrap(), news.unreadable, news.warnings)
    };
    fs::write(&path, "a\rb\rc\r").unwrap();
    let (read, unreadable, warnings) = look();
    assert_eq!((read.as_str(), unreadable, warnings.len()), ("", 1, 1));
    assert!(warnings[0].contains("tr '\\r' '\\n'"), "{warnings:?}");
    assert_eq!(look(), (String::new(), 1, vec![]));
    // A line feed comes after all: what is before it is one line, as in other files.
    follow::append(&path, "d\ne\n");
    assert_eq!(look(), ("a\rb\rc\rd\ne\n".to_owned(), 0, vec![]));
    fs::write(dir.path().join("log.csv.gz"), gzip(b"x\ry\r")).unwrap();
    let (read, unreadable, _) = look();
    assert_eq!((read.as_str(), unreadable), ("", 1));
    let mut stops = source(dir.path(), "follow&on_file_error=stop");
    assert!((0..2).any(|_| stops.cut(1).is_err()));
}
