//! Tests: what another process reads is what the process that cut it reads.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::texts::gzip;
use super::*;
use crate::block::{Block, Bytes};

/// A run of lines that follow each other: split, position, bytes, header, and why they are torn.
pub(super) type Run = (String, u64, Vec<u8>, Option<String>, Option<String>);

/// What an input reads, wherever its pieces end.
pub(super) fn runs(input: &Input) -> Result<Vec<Run>, SourceError> {
    let mut runs: Vec<Run> = Vec::new();
    input.data.read(&mut |piece| {
        let (split, header) = (piece.split.to_owned(), piece.header.map(str::to_owned));
        let torn = piece.torn.map(str::to_owned);
        match runs.last_mut() {
            Some((of, at, bytes, its, None))
                if torn.is_none()
                    && *of == split
                    && *its == header
                    && *at + bytes.len() as u64 == piece.position =>
            {
                bytes.extend_from_slice(piece.bytes);
            }
            _ => runs.push((split, piece.position, piece.bytes.to_vec(), header, torn)),
        }
    })?;
    Ok(runs)
}

/// The input as another process gets it: through text and through the door.
pub(super) fn elsewhere(input: &Input, reread: Option<&dyn Reread>) -> Result<Input, SourceError> {
    match input.carried()? {
        None => {
            let text = serde_json::to_string(&input.ranges).unwrap();
            let ranges: Vec<Range> = serde_json::from_str(&text).unwrap();
            reread.expect("this source has no ranges").input(&ranges)
        }
        Some((carried, blocks)) => {
            let text = serde_json::to_string(&carried).unwrap();
            let through = |block: &Block| Block::open_raw(Bytes::from(block.to_bytes())).unwrap();
            let blocks = blocks.iter().map(through).collect();
            Input::from_carried(serde_json::from_str(&text).unwrap(), blocks)
        }
    }
}

/// Compares all that a source gives; whether something was carried, and what was torn.
fn compare(url: &str, format: Format, options: &OpenOptions, partitions: usize) -> (bool, usize) {
    let mut source = open(url, format, options).unwrap();
    let reread = reread(url, format, options).unwrap();
    let (mut carried, mut torn) = (false, 0);
    loop {
        let cut = source.cut(partitions).unwrap();
        for input in &cut.inputs {
            carried |= input.carried().unwrap().is_some();
            let there = elsewhere(input, Some(&*reread)).unwrap();
            assert_eq!(there.ranges, input.ranges, "{url}");
            let expected = runs(input).unwrap();
            torn += expected.iter().filter(|run| run.4.is_some()).count();
            assert!(runs(&there).unwrap() == expected, "{url}");
            // Any number of times, and on from there.
            let again = elsewhere(&there, Some(&*reread)).unwrap();
            assert!(runs(&again).unwrap() == expected, "{url}");
        }
        if cut.ended {
            return (carried, torn);
        }
        if !source.bounded() {
            source.stop();
        }
    }
}

fn lines(from: usize, to: usize) -> String {
    (from..to).map(|i| format!("{i},{}\n", "x".repeat(i * 7 % 60))).collect()
}

fn url(path: &Path, options: &str) -> String {
    format!("file://{}?{options}", path.display())
}

#[test]
fn plain_and_compressed_files() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
    let long = format!("a,b\n1,2\n{},3\n{}4,5", "y".repeat(6000), lines(0, 100));
    for i in 0..20 {
        write(&format!("small{i:02}"), format!("a,b\n{}", lines(i, i + 3)).as_bytes());
    }
    write("empty", b"");
    write("large", format!("a,b\n{}", lines(0, 9000)).as_bytes());
    write("long", long.as_bytes());
    write("middle.gz", &gzip(format!("a,b\n{}end", lines(0, 5000)).as_bytes()));
    write("torn.zst", &zstd::encode_all(long.as_bytes(), 1).unwrap());
    let options = OpenOptions::default();
    for header in ["", "header&"] {
        for batch in ["", "batch=1KiB&split=300&", "batch_records=77&", "split=20KiB&"] {
            for max_line in ["", "max_line=5000", "max_line=50"] {
                let options_text = format!("{header}{batch}{max_line}");
                let format = if header.is_empty() { Format::Text } else { Format::Csv };
                let all = url(dir.path(), &options_text);
                let (carried, torn) = compare(&all, format, &options, 5);
                assert!(carried);
                assert_eq!(torn > 0, !max_line.is_empty(), "{all}");
                let plain = url(&dir.path().join("[sel]*[!.zst]"), &options_text);
                assert!(!compare(&plain, format, &options, 5).0);
            }
        }
    }
}

#[test]
fn generators() {
    let options = OpenOptions {
        interval: Duration::from_secs(20),
        header_default: true,
        ..OpenOptions::default()
    };
    for (url, format) in [
        ("generate://words?records=90000&batch_records=70001&seed=7", Format::Text),
        ("generate://words?records=70000&line=40", Format::Json),
        ("generate://page_views?records=70000", Format::Csv),
        ("generate://page_views?users=10", Format::Json),
    ] {
        assert!(!compare(url, format, &options, 3).0);
    }
    let generator = reread("generate://words", Format::Text, &options).unwrap();
    let input = |split: &str, start, end| {
        generator.input(&[Range { split: split.into(), start, end }]).err().unwrap().to_string()
    };
    assert!(input("generate://page_views", 0, 1).contains("no split of `generate://words`"));
    assert!(input("generate://words", 2, 1).contains("ends before it starts"));
}

#[test]
fn followed_files_whose_names_move_on() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let followed = url(dir.path(), "follow&header&max_line=70");
    let options = OpenOptions::default();
    let mut source = open(&followed, Format::Csv, &options).unwrap();
    fs::write(at("log"), format!("a,b\n{}{}\n", lines(0, 50), "z".repeat(71))).unwrap();
    fs::write(at("other.gz"), gzip(b"a,b\n1,2\n")).unwrap();
    let cut = source.cut(1).unwrap();
    let expected = runs(&cut.inputs[0]).unwrap();
    assert_eq!(expected.iter().filter(|run| run.4.is_some()).count(), 1);
    fs::rename(at("log"), at("log.1")).unwrap();
    fs::write(at("log"), "a,b\nnot this\n".repeat(1000)).unwrap();
    assert_eq!(runs(&elsewhere(&cut.inputs[0], None).unwrap()).unwrap(), expected);
}

#[test]
fn a_backlog_of_followed_files_is_read_by_name_unless_it_is_another_file() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("log"), lines(0, 200_000)).unwrap();
    let mut source =
        open(&url(dir.path(), "follow"), Format::Text, &OpenOptions::default()).unwrap();
    let cut = source.cut(1).unwrap();
    let (_, blocks) = cut.inputs[0].carried().unwrap().unwrap();
    assert!(blocks.is_empty());
    let there = elsewhere(&cut.inputs[0], None).unwrap();
    assert!(runs(&there).unwrap() == runs(&cut.inputs[0]).unwrap());
    fs::rename(at("log"), at("log.1")).unwrap();
    fs::write(at("log"), lines(0, 200_000)).unwrap();
    let again = elsewhere(&cut.inputs[0], None).unwrap();
    let error = runs(&again).unwrap_err().to_string();
    assert!(error.contains("was replaced by another file"), "{error}");
}

#[test]
fn a_file_that_is_gone_or_changed_is_the_same_error_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    let options = OpenOptions::default();
    for header in ["", "header"] {
        fs::write(&file, lines(0, 100)).unwrap();
        let url = url(&file, header);
        let mut source = open(&url, Format::Csv, &options).unwrap();
        let reread = reread(&url, Format::Csv, &options).unwrap();
        let input = &source.cut(1).unwrap().inputs[0];
        let there = reread.input(&input.ranges).unwrap();
        assert_eq!(runs(&there).unwrap(), runs(input).unwrap());
        let compare = |expected: &str| {
            let there = reread.input(&input.ranges).unwrap();
            let (here, there) = (runs(input).unwrap_err(), runs(&there).unwrap_err());
            assert_eq!(here.to_string(), there.to_string());
            assert!(here.to_string().contains(expected), "{here}");
        };
        fs::write(&file, lines(0, 50)).unwrap();
        compare("shrank while it was read");
        let other = dir.path().join("other");
        fs::write(&other, lines(0, 200)).unwrap();
        fs::rename(&other, &file).unwrap();
        compare("was replaced by another file");
        fs::remove_file(&file).unwrap();
        compare("is gone");
    }
    let packed = dir.path().join("x.gz");
    let split = packed.display().to_string().into();
    let reread = reread(&url(&packed, ""), Format::Text, &options).unwrap();
    let error = reread.input(&[Range { split, start: 0, end: 1 }]).err().unwrap().to_string();
    assert!(error.contains("is compressed"), "{error}");
}

#[test]
fn a_name_that_is_no_text_is_carried() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let name = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    fs::write(dir.path().join(name), lines(0, 100)).unwrap();
    assert!(compare(&url(dir.path(), ""), Format::Text, &OpenOptions::default(), 2).0);
}

#[test]
fn memory_and_lines_longer_than_blocks() {
    let mut source = MemorySource::new(vec![
        lines(0, 150_000).into_bytes(),
        Vec::new(),
        [b"x\n".repeat(500_000), b"y".repeat(5 << 20), b"\nend".to_vec()].concat(),
        [b"a\n".to_vec(), b"y".repeat(crate::block::MAX_BODY + 10), b"\nb\n".to_vec()].concat(),
    ])
    .header("a,b");
    loop {
        let cut = source.cut(1).unwrap();
        for input in &cut.inputs {
            let (_, blocks) = input.carried().unwrap().unwrap();
            assert!(blocks.iter().all(|block| block.body().len() <= crate::block::MAX_BODY));
            let there = elsewhere(input, None).unwrap();
            assert_eq!(there.ranges, input.ranges);
            assert!(runs(&there).unwrap() == runs(input).unwrap());
        }
        if cut.ended {
            return;
        }
    }
}

#[test]
fn what_clients_sent_has_no_ranges_to_read() {
    let options = OpenOptions::default();
    let error = reread("tcp://0.0.0.0:9000", Format::Text, &options).err().unwrap().to_string();
    assert!(error.contains("is carried"), "{error}");
    let error = reread("fiel://x", Format::Text, &options).err().unwrap().to_string();
    assert!(error.contains("did you mean `file`?"), "{error}");
    // Nothing is looked at before it is needed.
    assert!(reread("file:///no/such/file", Format::Text, &options).is_ok());
}

#[test]
fn hostile_carried_inputs_are_errors() {
    let mut source = MemorySource::new(vec![b"one\ntwo\n".to_vec()]);
    let input = &source.cut(1).unwrap().inputs[0];
    let (carried, blocks) = input.carried().unwrap().unwrap();
    let text = serde_json::to_string(&carried).unwrap();
    assert!(text.contains("\"len\":8"), "{text}");
    let refused = |from: &str, to: &str, blocks: Vec<Block>| {
        assert!(text.contains(from));
        let carried = serde_json::from_str(&text.replace(from, to)).unwrap();
        Input::from_carried(carried, blocks).err().unwrap().to_string()
    };
    let len = |len: u64| refused("\"len\":8", &format!("\"len\":{len}"), blocks.clone());
    assert!(len(9).contains("memory: was carried here and does not fit together: there are fewer"));
    assert!(len(u64::MAX).contains("position is too large") || len(u64::MAX).contains("fewer"));
    assert!(len(u64::MAX / 2).contains("fewer"));
    assert!(len(7).contains("more bytes"));
    assert!(refused("\"len\":8", "\"len\":8", Vec::new()).contains("fewer"));
    let position = format!("\"position\":{}", u64::MAX - 3);
    assert!(refused("\"position\":0", &position, blocks.clone()).contains("too large"));
    let continues = refused("\"continues\":false", "\"continues\":true", blocks.clone());
    assert!(continues.contains("nothing is continued"));
    let file = serde_json::from_str(
        r#"{"parts":[{"header":null,"position":5,"max_line":9,"framing":"Lines",
            "lines":{"File":{"split":"f","end":4,"mark":null}}}]}"#,
    );
    let error = Input::from_carried(file.unwrap(), Vec::new()).err().unwrap().to_string();
    assert!(error.contains("ends before it starts"), "{error}");
    let rows = {
        let mut rows = crate::block::RowsBuilder::<u64>::new(&crate::block::BufferPool::new(0), 1);
        rows.push(1).unwrap();
        rows.finish().unwrap()
    };
    let error = Input::from_carried(carried, vec![rows]).err().unwrap().to_string();
    assert!(error.contains("holds rows"), "{error}");
}
