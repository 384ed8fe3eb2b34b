//! Tests: a source that goes on in another process gives what it would have given in the first one.

use std::fs;
use std::time::Duration;

use proptest::prelude::*;

use super::elsewhere::{Run, elsewhere, runs};
use super::texts::{Texts, short_texts, texts, write};
use super::*;

type Opens<'a> = &'a dyn Fn() -> Box<dyn Source>;

/// What a cut gave: per input its ranges and what it reads.
struct Given {
    inputs: Vec<(Vec<Range>, Vec<Run>)>,
    ended: bool,
    position: Position,
}

fn give(cut: &Cut) -> Given {
    let input = |input: &Input| (input.ranges.clone(), runs(input).unwrap());
    let inputs = cut.inputs.iter().map(input).collect();
    Given { inputs, ended: cut.ended, position: cut.position.clone().unwrap() }
}

/// Cuts until nothing more comes.
fn rest(source: &mut dyn Source, partitions: usize) -> Vec<Given> {
    let mut all = Vec::new();
    loop {
        let given = give(&source.cut(partitions).unwrap());
        let over = given.ended || !source.bounded() && (given.inputs.is_empty() || all.len() > 40);
        all.push(given);
        if over {
            return all;
        }
    }
}

/// Stops after every cut and goes on in a new source; reads there what was cut before. Gives how many
/// cuts there were and how long their positions are at most.
fn check(open: Opens<'_>, reread: Option<&dyn Reread>, partitions: usize) -> (usize, usize) {
    let whole = check_cuts(open, reread, partitions);
    for given in whole.first().into_iter().chain(whole.get(whole.len() / 2)) {
        damage(open, &given.position, partitions);
    }
    let longest = whole.iter().map(|given| given.position.len()).max();
    (whole.len(), longest.unwrap_or_default())
}

/// The same without damaged positions.
fn check_cuts(open: Opens<'_>, reread: Option<&dyn Reread>, partitions: usize) -> Vec<Given> {
    let whole = rest(&mut *open(), partitions);
    for before in 1..=whole.len() {
        let mut source = open();
        source.resume(&whole[before - 1].position).unwrap();
        for (ranges, expected) in whole[..before].iter().flat_map(|given| &given.inputs) {
            let input = source.input(ranges).unwrap();
            assert_eq!(&input.ranges, ranges);
            assert!(runs(&input).unwrap() == *expected, "{ranges:?}");
            let there = elsewhere(&input, reread).unwrap();
            assert_eq!(&there.ranges, ranges);
            assert!(runs(&there).unwrap() == *expected, "{ranges:?}");
        }
        for expected in &whole[before..] {
            let given = give(&source.cut(partitions).unwrap());
            assert_eq!(given.ended, expected.ended);
            assert_eq!(given.position, expected.position);
            assert_eq!(given.inputs.len(), expected.inputs.len());
            for (given, expected) in given.inputs.iter().zip(&expected.inputs) {
                assert_eq!(given.0, expected.0);
                assert!(given.1 == expected.1, "{:?}", given.0);
            }
        }
        if whole[before - 1].ended {
            let cut = source.cut(partitions).unwrap();
            assert!(cut.ended && cut.inputs.is_empty());
        }
    }
    whole
}

/// A damaged position is an error or another position; never a panic, and never without end.
fn damage(open: Opens<'_>, position: &[u8], partitions: usize) {
    let try_it = |bytes: &[u8]| {
        let mut source = open();
        match source.resume(bytes) {
            Ok(()) => drop(source.cut(partitions)),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    };
    for end in 0..position.len() {
        let cut_off = open().resume(&position[..end]);
        assert!(cut_off.is_err(), "{end} of {position:?}");
    }
    for at in (0..position.len()).step_by(position.len().div_ceil(12)) {
        for bit in [0, 3, 7] {
            let mut bytes = position.to_vec();
            bytes[at] ^= 1 << bit;
            try_it(&bytes);
        }
        try_it(&[&position[..at], &[0xff; 9], &position[at..]].concat());
    }
}

fn check_url(
    url: &str,
    format: Format,
    options: &OpenOptions,
    partitions: usize,
) -> (usize, usize) {
    let opens = || open(url, format, options).unwrap();
    let reread = reread(url, format, options).unwrap();
    check(&opens, Some(&*reread), partitions)
}

#[test]
fn generators() {
    let options = OpenOptions {
        interval: Duration::from_millis(700),
        header_default: true,
        ..OpenOptions::default()
    };
    for (url, format) in [
        ("generate://words?records=1000&batch_records=333&line=20&words=50", Format::Text),
        ("generate://page_views?records=200&rate=33&urls=50", Format::Csv),
        ("generate://page_views?records=0&urls=9", Format::Json),
    ] {
        let (cuts, longest) = check_url(url, format, &options, 3);
        assert!(longest <= 2 + 3 + 5, "{cuts} {longest}");
    }
    let url = "generate://page_views?rate=3&urls=50";
    let mut live = open(url, Format::Json, &options).unwrap();
    let mut numbers = Vec::new();
    for _ in 0..20 {
        let cut = live.cut(2).unwrap();
        numbers.extend(cut.inputs.iter().flat_map(|i| &i.ranges).map(|r| (r.start, r.end)));
        live = open(url, Format::Json, &options).unwrap();
        live.resume(&cut.position.unwrap()).unwrap();
    }
    let together = numbers.iter().fold(0, |at, (start, end)| if *start == at { *end } else { 0 });
    assert_eq!(together, 3 * 20 * 7 / 10);
}

#[test]
fn a_generator_that_became_shorter_says_so() {
    let options = OpenOptions::default();
    let opens = |records| {
        let url = format!("generate://words?records={records}&batch_records=60&words=9");
        open(&url, Format::Text, &options).unwrap()
    };
    let position = opens(100).cut(1).unwrap().position.unwrap();
    let error = opens(50).resume(&position).unwrap_err().to_string();
    assert!(error.contains("60 records were cut before, and it has 50 now"), "{error}");
    let mut longer = opens(61);
    longer.resume(&position).unwrap();
    assert!(longer.cut(1).unwrap().ended);
}

#[test]
fn memory() {
    let batches = [&b"a\nb\nc\n"[..], b"", b"d\n", b"e\nf\ng"].map(<[u8]>::to_vec).to_vec();
    for partitions in [1, 2, 5] {
        let opens =
            || -> Box<dyn Source> { Box::new(MemorySource::new(batches.clone()).header("x")) };
        assert_eq!(check(&opens, None, partitions).0, 4);
    }
    let source = MemorySource::new(batches);
    let input = |split: &str, start, end| {
        source.input(&[Range { split: split.into(), start, end }]).map(drop)
    };
    assert!(input("memory", 0, 6).is_ok());
    for (split, start, end) in [("memory", 2, 1), ("memory", 0, 8), ("memory", 0, 99), ("m", 0, 1)]
    {
        let error = input(split, start, end).unwrap_err().to_string();
        assert!(error.contains(&format!("no batch holds the range from {start} to {end}")));
    }
}

#[test]
fn a_position_of_another_source_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "a\n").unwrap();
    let path = file.display();
    let urls = [format!("{path}"), format!("{path}?follow"), "generate://words".to_owned()];
    let opens = |url: &String| open(url, Format::Text, &OpenOptions::default()).unwrap();
    for from in &urls {
        let position = opens(from).cut(1).unwrap().position.unwrap();
        for to in &urls {
            let resumed = opens(to).resume(&position);
            assert_eq!(resumed.is_ok(), from == to, "{from} {to}");
            if let Err(error) = resumed {
                assert!(error.to_string().contains("give the URL that the job was started with"));
            }
        }
    }
}

#[derive(Debug, Clone)]
struct Case {
    files: Texts,
    options: String,
    header: bool,
    partitions: usize,
}

fn cases() -> impl Strategy<Value = Case> {
    let batch = prop_oneof![
        (50..800_u32).prop_map(|b| format!("batch={b}")),
        (3..40_u32).prop_map(|n| format!("batch_records={n}"))
    ];
    let more = (1..300_u32, prop_oneof![Just(""), Just("&max_line=25")], any::<bool>());
    let options = (batch, more).prop_map(|(batch, (split, line, follow))| {
        format!("{batch}&split={split}{line}{}", if follow { "&follow" } else { "" })
    });
    (texts(25), options, any::<bool>(), 1..5_usize).prop_map(
        |(files, options, header, partitions)| Case { files, options, header, partitions },
    )
}

/// How many cases are tried: `usual`, or as `DSTREAM_CASES` says.
fn wanted(usual: u32) -> ProptestConfig {
    let asked = std::env::var("DSTREAM_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: asked.unwrap_or(usual), ..ProptestConfig::default() }
}

/// Cases with short texts and few cuts, of which many can be tried: empty lines, headers and ends are frequent.
fn small_cases() -> impl Strategy<Value = Case> {
    let options = (1..4_u32, prop_oneof![Just(""), Just("&max_line=3")], any::<bool>());
    let options = options.prop_map(|(records, line, follow)| {
        format!("batch_records={records}{line}{}", if follow { "&follow" } else { "" })
    });
    (short_texts(), options, any::<bool>(), 1..3_usize).prop_map(
        |(files, options, header, partitions)| Case { files, options, header, partitions },
    )
}

proptest! {
    #![proptest_config(wanted(64))]

    #[test]
    fn small_files(case in small_cases()) {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &case.files);
        let options = OpenOptions { header_default: case.header, ..OpenOptions::default() };
        let format = if case.header { Format::Csv } else { Format::Text };
        let url = format!("file://{}?{}", dir.path().display(), case.options);
        let reread = reread(&url, format, &options).unwrap();
        let opens = || open(&url, format, &options).unwrap();
        check_cuts(&opens, Some(&*reread), case.partitions);
    }
}

proptest! {
    #![proptest_config(wanted(24))]

    #[test]
    fn files(case in cases()) {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &case.files);
        let options = OpenOptions { header_default: case.header, ..OpenOptions::default() };
        let format = if case.header { Format::Csv } else { Format::Text };
        for path in [dir.path().to_owned(), dir.path().join("?*"), dir.path().join("0*")] {
            let url = format!("file://{}?{}", path.display(), case.options);
            check_url(&url, format, &options, case.partitions);
        }
    }
}

#[test]
fn records_that_span_lines_go_on_whole() {
    let dir = tempfile::tempdir().unwrap();
    let row = |i: usize| format!("{i},\"{}\"\n", "a\n\"\"b,".repeat(i * 7 % 11));
    let rows: String = (0..60).map(row).collect();
    // Of the same content and time, the second file would be a copy of the first one where files are followed.
    let [csv, other] =
        [60, 61].map(|last| format!("\u{feff}\"x\ny\",z\n{last},1\n{rows}{last},\"open\n"));
    let array = format!(
        "[{}]",
        (0..50).map(|i| format!("\n {{\n \"x\": {i}}}")).collect::<Vec<_>>().join(",")
    );
    let csv = vec![(csv, ""), (other, ".gz"), (String::new(), "")];
    let json = vec![(array.clone(), ""), (array, ".zst"), ("{}\n{}\n".repeat(30), "")];
    for (format, texts) in [(Format::Csv, csv), (Format::Json, json)] {
        let path = dir.path().join(format!("{format:?}"));
        fs::create_dir(&path).unwrap();
        write(&path, &texts);
        let header = if format == Format::Csv { "&header" } else { "" };
        for options in
            ["batch=90&split=20", "batch_records=4&split=30", "batch=400&max_line=30", ""]
        {
            let url = format!("file://{}?{options}{header}", path.display());
            check_url(&url, format, &OpenOptions::default(), 3);
            let mut source = open(&url, format, &OpenOptions::default()).unwrap();
            let framing = Framing::of(format);
            for given in rest(&mut *source, 3) {
                for (split, _, bytes, header, torn) in given.inputs.into_iter().flat_map(|it| it.1)
                {
                    assert_eq!(header.is_some(), format == Format::Csv, "{split}");
                    // What is a record ends where a record ends, or is the last of its file.
                    let whole = framing.last_end(&bytes) == Some(bytes.len());
                    let last =
                        bytes.ends_with(b"open\n") || bytes.ends_with(b"]") || bytes.is_empty();
                    assert!(whole || last || torn.is_some(), "{}", bytes.escape_ascii());
                }
            }
        }
        if format == Format::Csv {
            check_url(
                &format!("file://{}?follow&batch=90{header}", path.display()),
                format,
                &OpenOptions::default(),
                2,
            );
        }
    }
}

#[test]
fn long_lines_are_torn_again() {
    let dir = tempfile::tempdir().unwrap();
    // Incompressible, so that the decoder does not give it all at once; longer than it gives at a time.
    let mut draw = 1_u64;
    let mut noise = |length: usize| -> String {
        let letter = |_| {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'a' + (draw >> 33) as u8 % 26)
        };
        (0..length).map(letter).collect()
    };
    let (long, longer) = (noise(1_500_000), noise(3_000_000));
    let text = format!("a\n{long}\nb\nc\n{longer}\n{}\nd\n{longer}", noise(1_100_000));
    write(dir.path(), &[(text.clone(), ".gz"), (text.clone(), ".zst"), (text, "")]);
    for options in ["batch=1", "batch_records=2"] {
        for max_line in ["max_line=100", "max_line=1500000"] {
            let url = format!("file://{}?{options}&{max_line}", dir.path().display());
            let open = || open(&url, Format::Text, &OpenOptions::default()).unwrap();
            let mut source = open();
            let again = open();
            loop {
                let cut = source.cut(1).unwrap();
                for input in &cut.inputs {
                    let made = again.input(&input.ranges).unwrap();
                    assert!(runs(&made).unwrap() == runs(input).unwrap(), "{url}");
                }
                if cut.ended {
                    break;
                }
            }
        }
    }
}
