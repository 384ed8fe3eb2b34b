//! A source of a program's own, as the engine cuts it, reads it, and goes on with it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::*;
use crate::record::Record;
use crate::source::{
    CsvRows, DeadLetter, Decode, DecodeScratch, JsonLines, SourceConnector, Sources, TextLines,
};

/// What the splits hold at the moment, by the place of the URL; each test has a place of its own.
static HELD: Mutex<BTreeMap<String, Held>> = Mutex::new(BTreeMap::new());

#[derive(Clone, Default)]
struct Held {
    splits: BTreeMap<&'static str, Vec<String>>,
    /// Records below it are gone.
    start: u64,
    live: bool,
    /// How many records of a range are not given.
    withheld: usize,
}

struct Test(String);

impl Test {
    fn held(&self) -> Held {
        HELD.lock().unwrap()[&self.0].clone()
    }
}

impl SplitSource for Test {
    fn bounded(&self) -> bool {
        !self.held().live
    }

    fn extents(&self) -> Result<Vec<Extent>, SourceError> {
        let held = self.held();
        let extent = |(split, records): (&&'static str, &Vec<String>)| Extent {
            start: held.start,
            ..Extent::to(*split, records.len() as u64)
        };
        // The order in which splits are named means nothing.
        Ok(held.splits.iter().rev().map(extent).collect())
    }

    fn read(&self, range: &Range, each: &mut dyn FnMut(&[u8])) -> Result<(), SourceError> {
        let held = self.held();
        let records = &held.splits[&*range.split][range.start as usize..range.end as usize];
        records[held.withheld..].iter().for_each(|record| each(record.as_bytes()));
        Ok(())
    }

    fn header(&self) -> Option<&str> {
        self.0.starts_with("named").then_some("n,text")
    }

    fn record_size(&self) -> u64 {
        SPLIT_BYTES / 4
    }
}

fn sources() -> Sources {
    const ALL: &[Format] = &[Format::Text, Format::Csv, Format::Json];
    let open: OpenSplits = |url, _| Ok(Box::new(Test(url.place().to_owned())));
    let row = SourceConnector::new("test", &["test://NAME"], "what a test holds", open);
    Sources::built_in().with(&[row.formats(ALL)]).unwrap()
}

fn hold(name: &str, splits: &[(&'static str, Vec<String>)]) -> String {
    let held = Held { splits: splits.iter().cloned().collect(), ..Held::default() };
    HELD.lock().unwrap().insert(name.to_owned(), held);
    format!("test://{name}")
}

fn change(name: &str, change: impl FnOnce(&mut Held)) {
    change(HELD.lock().unwrap().get_mut(name).unwrap());
}

fn numbered(name: &str, records: usize) -> Vec<String> {
    (0..records).map(|n| format!("{name}{n}")).collect()
}

fn open(url: &str, format: Format) -> Result<Box<dyn Source>, SourceError> {
    sources().open(url, format, &OpenOptions::default())
}

/// The records of an input, and where in which split those are that are none.
fn read<D: Decode>(input: &Input) -> (Vec<D::Record>, Vec<(String, u64)>) {
    let (mut records, mut dead, mut scratch) = (Vec::new(), Vec::new(), DecodeScratch::default());
    let read = input.data.read(&mut |piece| {
        let mut tell =
            |letter: DeadLetter<'_>| dead.push((letter.split.to_owned(), letter.position));
        D::decode(piece, &mut scratch, |view| records.push(D::Record::own(view)), &mut tell);
    });
    read.unwrap();
    (records, dead)
}

fn ranges(cut: &Cut) -> Vec<Vec<(&str, u64, u64)>> {
    let range = |range: &'_ Range| (range.start, range.end);
    cut.inputs
        .iter()
        .map(|input| input.ranges.iter().map(|r| (&*r.split, range(r).0, range(r).1)).collect())
        .collect()
}

#[test]
fn a_text_is_one_record_whatever_it_holds() {
    let odd = ["", "a\nb", "\n", "c\r", "\u{feff}d", "\"", "e\r\nf\r", "é\n", "last"];
    let records: Vec<String> = odd.iter().map(|text| (*text).to_owned()).collect();
    let url = hold("odd", &[("s", records.clone())]);
    let cut = open(&url, Format::Text).unwrap().cut(1).unwrap();
    assert_eq!(read::<TextLines>(&cut.inputs[0]), (records, Vec::new()));
    // Many more than fit into a piece, each with its number.
    let many: Vec<String> =
        (0..100_000).map(|n| format!("{n}{}", "\n".repeat(n / 30_000 % 2))).collect();
    let url = hold("many", &[("s", many.clone())]);
    let cut = open(&url, Format::Text).unwrap().cut(1).unwrap();
    assert_eq!(read::<TextLines>(&cut.inputs[0]).0, many);
}

#[test]
fn a_value_of_json_may_go_on_over_lines_and_a_dead_letter_has_its_number() {
    let records = ["1", "[2", "\n3\n", "4", "x\ny", "5"].map(str::to_owned).to_vec();
    let url = hold("json", &[("s", records)]);
    let cut = open(&url, Format::Json).unwrap().cut(1).unwrap();
    let dead = vec![("s".to_owned(), 1), ("s".to_owned(), 4)];
    assert_eq!(read::<JsonLines<u64>>(&cut.inputs[0]), (vec![1, 3, 4, 5], dead));
}

#[test]
fn an_open_quote_ends_with_its_record() {
    let records = ["1,a", "2,\"b\n\"\"c\"", "3,\"d", "4,e"].map(str::to_owned).to_vec();
    let url = hold("named csv", &[("s", records)]);
    let cut = open(&url, Format::Csv).unwrap().cut(1).unwrap();
    let (records, dead) = read::<CsvRows<(u64, String)>>(&cut.inputs[0]);
    let expected = [(1, "a"), (2, "b\n\"c"), (4, "e")].map(|(n, text)| (n, text.to_owned()));
    assert_eq!((records, dead), (expected.to_vec(), vec![("s".to_owned(), 2)]));
    let why = open("test://named csv?header=true", Format::Csv).err().unwrap().to_string();
    assert!(why.contains("unknown option `header`"), "{why}");
}

#[test]
fn a_bounded_one_is_read_split_by_split_to_its_end() {
    let url = hold("bounded", &[("a", numbered("a", 5)), ("b", numbered("b", 4))]);
    let mut source = open(&format!("{url}?batch_records=7"), Format::Text).unwrap();
    assert!(source.bounded() && !source.timed());
    let cut = source.cut(8).unwrap();
    // Four records are a task.
    assert_eq!(ranges(&cut), [vec![("a", 0, 3)], vec![("a", 3, 5), ("b", 0, 2)]]);
    assert!(!cut.ended);
    let last = source.cut(8).unwrap();
    assert_eq!((ranges(&last), last.ended), (vec![vec![("b", 2, 4)]], true));
    // Another process goes on from there, and reads the same.
    let mut again = open(&format!("{url}?batch_records=100"), Format::Text).unwrap();
    again.resume(&cut.position.unwrap()).unwrap();
    assert_eq!(ranges(&again.cut(8).unwrap()), [vec![("b", 2, 4)]]);
    let worker = sources().reread(&url, Format::Text, &OpenOptions::default()).unwrap();
    let there = worker.input(&cut.inputs[1].ranges).unwrap();
    assert_eq!(read::<TextLines>(&there).0, ["a3", "a4", "b0", "b1"]);
    assert!(there.carried().unwrap().is_none());
}

#[test]
fn of_a_live_one_each_split_gives_its_share() {
    let url = hold(
        "live",
        &[("a", numbered("a", 100)), ("b", numbered("b", 2)), ("c", numbered("c", 50))],
    );
    change("live", |held| held.live = true);
    let mut source = open(&url, Format::Text).unwrap();
    assert!(source.timed() && !source.bounded());
    source.limit(12 * SPLIT_BYTES / 4);
    let cut = source.cut(1).unwrap();
    assert_eq!(ranges(&cut), [vec![("a", 0, 5), ("b", 0, 2), ("c", 0, 5)]]);
    source.limit(0);
    assert_eq!(ranges(&source.cut(1).unwrap()), [vec![("c", 5, 6)]], "something is taken");
    assert_eq!(ranges(&source.cut(1).unwrap()), [vec![("a", 5, 100), ("c", 6, 50)]]);
    let nothing = source.cut(1).unwrap();
    assert!(nothing.inputs.is_empty() && !nothing.ended);
    change("live", |held| drop(held.splits.insert("d", numbered("d", 1))));
    assert_eq!(ranges(&source.cut(1).unwrap()), [vec![("d", 0, 1)]], "a split may come");
    source.stop();
    assert!(source.cut(1).unwrap().ended);
    let why = open(&format!("{url}?join=batch"), Format::Text).err().unwrap().to_string();
    assert!(why.contains("read to its end"), "{why}");
}

#[test]
fn what_is_gone_or_changed_is_an_error() {
    let url = hold("gone", &[("a", numbered("a", 10))]);
    let mut source = open(&format!("{url}?batch_records=4"), Format::Text).unwrap();
    let first = source.cut(1).unwrap();
    change("gone", |held| held.start = 6);
    let why = source.cut(1).err().unwrap().to_string();
    assert!(why.contains("records 4 to 6 are gone") && why.contains("--skip"), "{why}");
    source.give_up_unread(true);
    assert_eq!(ranges(&source.cut(1).unwrap()), [vec![("a", 6, 10)]]);
    assert!(source.news().warnings[0].contains("records 4 to 6"));
    change("gone", |held| held.splits.get_mut("a").unwrap().truncate(3));
    assert!(
        source.cut(1).err().unwrap().to_string().contains("ends at record 3, and 10 were read")
    );
    // A range that gives other records than it did.
    change("gone", |held| (held.withheld, held.splits) = (1, [("a", numbered("a", 10))].into()));
    let why = first.inputs[0].data.read(&mut |_| {}).unwrap_err().to_string();
    assert!(why.contains("gave 3 records for the 4 from 0 to 4"), "{why}");
}

#[test]
fn a_position_is_of_its_place() {
    let (here, there) =
        (hold("here", &[("a", numbered("a", 9))]), hold("there", &[("a", numbered("a", 9))]));
    let position = open(&format!("{here}?batch_records=4"), Format::Text)
        .unwrap()
        .cut(1)
        .unwrap()
        .position
        .unwrap();
    let mut other = open(&there, Format::Text).unwrap();
    assert!(matches!(other.resume(&position), Err(SourceError::Moved { .. })));
    other.resume_elsewhere(&position).unwrap();
    assert_eq!(ranges(&other.cut(1).unwrap()), [vec![("a", 0, 9)]]);
    let mut same = open(&here, Format::Text).unwrap();
    same.resume_elsewhere(&position).unwrap();
    assert_eq!(ranges(&same.cut(1).unwrap()), [vec![("a", 4, 9)]]);
    let generator =
        crate::source::open("generate://words?records=9", Format::Text, &OpenOptions::default());
    let why = generator.unwrap().resume(&position).unwrap_err().to_string();
    assert!(why.contains("one of a source of the program's own"), "{why}");
    for end in 0..position.len() {
        assert!(open(&here, Format::Text).unwrap().resume(&position[..end]).is_err());
    }
}
