//! Fuzz targets: URLs of sources, inputs that another process carried here, and records as text.

use rkyv::util::AlignedVec;

use super::framing::{Frames, Outer, Unfold};
use super::part::Part;
use super::{
    Carried, CsvRows, Decode, DecodeScratch, Framing, Input, JsonLines, MemorySource, OpenOptions,
    Piece, Range, Source, TextLines, carry, lines, reread,
};
use crate::block::{Block, Buffer};
use crate::connect::ConnectorUrl;
use crate::fuzzing::{Target, chosen, texts};
use crate::record::{Floats, Format, Record, write_csv, write_json};

pub(crate) const TARGETS: &[Target] = &[
    Target::new("source_urls", urls, url_seeds),
    Target::new("carried_inputs", carried, carried_seeds),
    Target::new("positions", positions, position_seeds).slow(20),
    Target::new("decoders", decoders, decoder_seeds),
    Target::new("framings", framings, framing_seeds),
];

/// A URL is taken apart, and its options read, as a worker does it: nothing is opened.
fn urls(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(url) = ConnectorUrl::source(text) {
        assert!(!url.scheme().is_empty());
        if url.scheme() == "generate"
            && ["words=", "urls="].iter().any(|table| text.contains(table))
        {
            // Allowed to be as large as they are long to make.
            return;
        }
    }
    let options = OpenOptions { header_default: true, ..OpenOptions::default() };
    for format in [Format::Text, Format::Csv, Format::Json] {
        match reread(text, format, &options) {
            Ok(generator) if text.starts_with("generate:") => {
                let split = text.split('?').next().unwrap_or_default().into();
                let Ok(input) = generator.input(&[Range { split, start: 5, end: 8 }]) else {
                    return;
                };
                let mut records = 0;
                let read = input.data.read(&mut |piece| records += lines::records(piece.bytes));
                assert!(read.is_ok() && records == 3, "{records} of 3");
            }
            Ok(_) => {}
            Err(error) => assert!(error.to_string().contains(text)),
        }
    }
}

fn url_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "file:///abs/dir?batch=64MiB&split=1_000&follow&max_line=5&header=false&on_error=stop",
        "file:/abs/a%20b%3F%zz",
        "logs/part-?.txt?batch_records=7",
        "tcp://[::1]:0?buffer=1MiB",
        "http://0.0.0.0:80/path",
        "generate://words?words=9&records=90000&batch_records=70001&seed=7&line=40",
        "generate://page_views?urls=9&rate=10&users=3&header",
        "tcp:9000",
        "fiel://x",
    ])
}

/// The first two bytes are the length of what says what is carried; the next is how many bytes of the
/// rest are in each block.
fn carried(bytes: &[u8]) {
    let [l0, l1, size, rest @ ..] = bytes else { return };
    let len = usize::from(u16::from_le_bytes([*l0, *l1]));
    let Some((said, beside)) = rest.split_at_checked(len) else { return };
    let Ok((said, [])) = postcard::take_from_bytes::<Carried>(said) else { return };
    let block = |bytes: &[u8]| {
        let mut body = AlignedVec::with_capacity(bytes.len());
        body.extend_from_slice(bytes);
        Block::raw(Buffer::unpooled(body))
    };
    let blocks: Vec<Block> = beside.chunks(usize::from(*size).max(1)).map(block).collect();
    let Ok((parts, ranges)) = carry::parts(said.clone(), blocks.clone()) else { return };
    assert!(ranges.iter().all(|range| range.start <= range.end));
    let input = Input::from_carried(said, blocks).expect("it fitted together before");
    assert_eq!(input.ranges, ranges);
    let (mut whole, mut taken) = (true, Vec::new());
    for part in &parts {
        match part {
            Part::Held(held) => {
                taken.extend_from_slice(held.as_bytes());
                whole &= held.torn.is_none() && held.max_line >= held.as_bytes().len() as u64;
            }
            // It names a file, and not for this test to read.
            Part::Stored(_) => return,
        }
    }
    assert_eq!(taken, beside);
    let mut read = Vec::new();
    let done = input.data.read(&mut |piece| read.extend_from_slice(piece.bytes));
    assert!(done.is_ok() && (read == beside || !whole));
}

fn carried_seeds() -> Vec<Vec<u8>> {
    let text = b"a,b\n1,2\n3,4\nand a line that is too long for it\n5,6";
    let mut source = MemorySource::new(vec![text.to_vec()]).header("a,b");
    let input = source.cut(1).expect("it is in memory").inputs.remove(0);
    let (memory, _) = input.carried().expect("it can be").expect("it must be");
    let lines = Carried::lines("tcp:1".into(), 9, Some("a,b".into()), 51);
    [memory, lines]
        .into_iter()
        .flat_map(|carried| {
            let said = postcard::to_allocvec(&carried).expect("it can be written");
            [7, 255].map(|size| {
                let head = [&(said.len() as u16).to_le_bytes()[..], &[size]].concat();
                [&head, said.as_slice(), text].concat()
            })
        })
        .chain([vec![1, 0, 1, 0]])
        .collect()
}

/// Sources that can go on, each with a few cuts to make.
fn resumable(choice: u8) -> Option<Box<dyn Source>> {
    // Files that are there, and do not change while this runs.
    const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/source/generate");
    let options = OpenOptions::default();
    let open = |url: &str| super::open(url, Format::Text, &options).expect("it can be opened");
    Some(match choice {
        0 => open(&format!("{FILES}?batch=5KiB&split=1KiB")),
        1 => open(&format!("{FILES}?follow&batch=5KiB")),
        2 => open("generate://words?words=9&records=50&batch_records=12"),
        3 => open("generate://page_views?urls=9&rate=7"),
        4 => Box::new(MemorySource::new(vec![b"a\nb\n".to_vec(), Vec::new(), b"c\n".to_vec()])),
        _ => return None,
    })
}

/// The first byte says which source goes on from the position that the others are: it does, or says
/// why not.
fn positions(bytes: &[u8]) {
    let Some((choice, position)) = bytes.split_first() else { return };
    let Some(mut source) = resumable(*choice) else { return };
    if source.resume(position).is_ok()
        && let Ok(cut) = source.cut(2)
    {
        let mut bytes = 0;
        for input in &cut.inputs {
            assert!(input.ranges.iter().all(|range| range.start <= range.end));
            // What was renamed or removed meanwhile is an error, and that is well.
            let _ = input.data.read(&mut |piece| bytes += piece.bytes.len());
        }
        assert!(bytes < 1 << 20, "{bytes}");
    }
}

fn position_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for choice in 0..5 {
        let mut source = resumable(choice).expect("there are five");
        for _ in 0..4 {
            let cut = source.cut(2).expect("it can be read");
            seeds.extend(cut.position.map(|position| [&[choice], &*position].concat()));
        }
    }
    seeds
}

/// The first byte says how the others are read: the format, what the records are, and whether the
/// first line is their header.
fn decoders(bytes: &[u8]) {
    let [choice, bytes @ ..] = bytes else { return };
    match choice {
        0 => lines_of_text(bytes),
        1 => json::<(String, u64)>(bytes),
        2 => json::<(Option<String>, f64, Vec<(String, bool)>)>(bytes),
        3 => csv::<(String, u64)>(bytes, None),
        4 => csv::<(String, Option<i32>, char)>(bytes, None),
        5 => {
            let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
            let (header, rows) = bytes.split_at(end);
            let header = String::from_utf8_lossy(header);
            csv::<(f64, String, bool)>(rows, Some(&header));
        }
        _ => {}
    }
}

/// What a piece is decoded into; each record is told to `each`.
fn decode<D: Decode>(
    (position, bytes): (u64, &[u8]),
    header: Option<&str>,
    mut each: impl FnMut(D::Record),
) -> u64 {
    let (framing, torn) = (Framing::of(D::FORMAT), None);
    let piece = Piece { bytes, split: "s", position, numbered: false, header, framing, torn };
    let (mut records, mut dead) = (0, 0);
    let mut scratch = DecodeScratch::default();
    D::decode(
        piece,
        &mut scratch,
        |view| {
            records += 1;
            each(D::Record::own(view));
        },
        &mut |letter| {
            dead += 1;
            let at = usize::try_from(letter.position - position).expect("it is in the piece");
            assert!(!letter.reason.is_empty() && bytes[at..].starts_with(letter.bytes));
        },
    );
    assert!(records + dead <= lines::records(bytes));
    records + dead
}

/// Every line that is text is a record, every other line is not.
fn lines_of_text(bytes: &[u8]) {
    let mut got = Vec::new();
    let all = decode::<TextLines>((0, bytes), None, |line| got.push(line));
    assert_eq!(all, lines::records(bytes));
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').filter_map(|line| {
        let line = std::str::from_utf8(line).ok()?;
        let line = line.strip_suffix('\n').unwrap_or(line);
        Some(line.strip_suffix('\r').unwrap_or(line))
    });
    assert!(lines.eq(got.iter().map(String::as_str)));
}

/// A record that was read is written as a line that is read as one record, which is written as the same
/// line.
fn json<R: Record>(bytes: &[u8]) {
    decode::<JsonLines<R>>((0, bytes), None, |record| {
        once::<JsonLines<R>>(&record, json_line::<R>)
    });
}

fn csv<R: Record>(bytes: &[u8], header: Option<&str>) {
    decode::<CsvRows<R>>((0, bytes), header, |record| once::<CsvRows<R>>(&record, csv_row::<R>));
}

fn json_line<R: Record>(record: &R) -> Vec<u8> {
    let mut line = Vec::new();
    let written = write_json::<R>(record.view(), Floats::Refuse, &mut line);
    written.expect("what was read has no float that JSON cannot hold");
    line
}

fn csv_row<R: Record>(record: &R) -> Vec<u8> {
    let mut row = Vec::new();
    write_csv::<R>(record.view(), &mut row);
    row
}

fn once<D: Decode>(record: &D::Record, write: fn(&D::Record) -> Vec<u8>) {
    let (line, mut again) = (write(record), Vec::new());
    // Not at the beginning of a file, where a byte order mark would be one.
    decode::<D>((9, &line), None, |record| again.push(write(&record)));
    assert!(again.len() == 1 && again[0] == line, "{}", line.escape_ascii());
}

/// The first byte says which framing, the second where the others are divided: the ends of records do not depend
/// on that.
fn framings(bytes: &[u8]) {
    let [choice, cut, bytes @ ..] = bytes else { return };
    let cut = usize::from(*cut) % (bytes.len() + 1);
    match choice {
        0 => {
            let whole = ends(&[bytes]);
            assert_eq!(ends(&[&bytes[..cut], &bytes[cut..]]), whole);
            let framing = Framing::of(Format::Csv);
            assert_eq!(framing.last_end(bytes), whole.last().copied());
            assert_eq!(framing.count(bytes), whole.len() as u64);
        }
        1 => {
            let all = |pieces: &[&[u8]]| {
                let mut unfold = Unfold::new(Outer::default());
                let mut out = Vec::new();
                pieces.iter().for_each(|piece| out.extend_from_slice(&unfold.feed(piece)));
                out.extend(unfold.finish());
                out
            };
            let whole = all(&[bytes]);
            assert_eq!(all(&[&bytes[..cut], &bytes[cut..]]), whole);
            assert!((bytes.len()..=bytes.len() + 2).contains(&whole.len()));
        }
        _ => {}
    }
}

fn ends(pieces: &[&[u8]]) -> Vec<usize> {
    let (mut frames, mut ends, mut base) = (Frames::new(Framing::of(Format::Csv)), Vec::new(), 0);
    for piece in pieces {
        let mut at = 0;
        while let Some(end) = frames.first_end(&piece[at..]) {
            at += end;
            ends.push(base + at);
        }
        base += piece.len();
    }
    ends
}

fn framing_seeds() -> Vec<Vec<u8>> {
    let csv = "\n1,\"a\nb\",\"\"\"\n\"\r\n2,c\"d\n\"e\"f\n3,\"open\n";
    let json = "\n[{\"a\":\"]\\\"\"},\n [1,\n{}], \"x\ny\", 3,]\n{\n\"b\":\n{}\n}\n";
    let one = |text: &str| vec![text.as_bytes().to_vec()];
    chosen(0, one(csv)).chain(chosen(1, one(json))).collect()
}

fn decoder_seeds() -> Vec<Vec<u8>> {
    let long = "x".repeat(70);
    let text = format!("a line\r\n\nöäü €\n{long}\n{long}ß{long}\nlast");
    let json1 = "[\"a\",1]\n[\"\\u00fc\\n\",18446744073709551615]\n\n {} \n[\"ü\",2]";
    let json2 = "[null,1.5e10,[[\"a\",true]]]\r\n[\"x\",5e90,[]]\n[\"x\",-0.0,[]]";
    let csv1 = "a,1\r\n\"a \"\"b\"\", c\",2\n\n\"\",3\nno quote\" here,4\n\"open,5\nüü,6";
    let csv2 = "a,,x\nb,-7,ü\n\"\",2147483648,\"\"\"\"\n";
    let csv3 = "0,1,2\n1.5,a,true\nNaN,\"b\",false\n-inf,,true\n\u{feff}1,2,3";
    let one = |text: &str| vec![text.as_bytes().to_vec()];
    chosen(0, one(&text))
        .chain(chosen(1, one(json1)))
        .chain(chosen(2, one(json2)))
        .chain(chosen(3, one(csv1)))
        .chain(chosen(4, one(csv2)))
        .chain(chosen(5, one(csv3)))
        .collect()
}
