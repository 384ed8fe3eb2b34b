//! Made-up records that are always the same.
//!
//! Record n is a function of the options and n alone, so a range of record numbers is all the
//! lineage there is, and tasks make the records themselves. Nothing here reads a clock: a live
//! generator puts rate × interval records into each batch, and carries fractions over.

mod page_views;
mod words;
mod zipf;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::connector::{ALL_FORMATS, Opener, SourceConnector};
use super::form::{Form, HeaderRow};
use super::lines::PIECE;
use super::position::{self, Kind};
use super::reread::forward;
use super::{
    Cut, Ends, Framing, Input, OpenOptions, Piece, Range, ReadRange, Reread, Source, SourceError,
};
use crate::connect::{ConnectorUrl, OptionRow, unknown};
use crate::mix::{STEP, mix};
use crate::record::Format;

const BATCH_RECORDS: u64 = 1_000_000;
const RATE: u64 = 10_000;
/// An input is no smaller than this unless the batch is: about 6 MB of words, a few milliseconds.
const SPLIT_RECORDS: u64 = 1 << 16;
/// A record, in billionths.
const ONE: u128 = 1_000_000_000;

/// Writes records, each with its line end.
trait Generate: Send + Sync {
    /// The CSV header of what it makes.
    fn header(&self) -> &'static str;

    /// Appends records from `from` on, at most to `to`, until there are about [`PIECE`] bytes; the
    /// number of the first one that was not made.
    fn append(&self, from: u64, to: u64, out: &mut Vec<u8>) -> u64;
}

/// Records that are made up.
pub(super) const CONNECTOR: SourceConnector = SourceConnector {
    scheme: "generate",
    urls: &["generate://words", "generate://page_views"],
    about: "synthetic records, a function of the options alone: lines of words, or page views",
    ends: Ends::If("ends with `records`"),
    formats: ALL_FORMATS,
    options: &[
        OptionRow::count("rate", 1, "Records per second")
            .depends("10000; with `records`, as fast as they are read"),
        OptionRow::count("records", 0, "How many records there are; without, there is no end"),
        OptionRow::count("batch_records", 1, "With `records`: how many a batch takes")
            .depends("1000000, or what `rate` says"),
        OptionRow::count("seed", 0, "Another seed makes other records").or("1"),
        OptionRow::count("words", 1, "Of `words`: how many there are")
            .at_most(words::MAX_WORDS)
            .or("100000"),
        OptionRow::count("line", 2, "Of `words`: the length of a line, in bytes")
            .at_most(64 << 10)
            .or("100"),
        OptionRow::count("users", 1, "Of `page_views`: how many users there are")
            .at_most(1 << 32)
            .or("100000"),
        OptionRow::count("urls", 1, "Of `page_views`: how many pages there are")
            .at_most(10_000_000)
            .or("10000"),
    ],
    lacks: &["delimiter", "quote", "comment", "null"],
    opener: Opener::Ranges { open, reread },
};

fn open(
    url: &ConnectorUrl,
    format: Format,
    options: &OpenOptions,
) -> Result<Box<dyn Source>, SourceError> {
    let recipe = recipe(url, format, options)?;
    let given = |name| url.if_given(name, ConnectorUrl::count);
    let (rate, records) = (given("rate")?, given("records")?);
    let batch = match (given("batch_records")?, rate) {
        (Some(_), _) if records.is_none() => {
            let why = "`batch_records` is for a bounded generator: give `records` too";
            return Err(url.fail(why).into());
        }
        (Some(records), _) => Batch::Records(records),
        (None, None) if records.is_some() => Batch::Records(BATCH_RECORDS),
        (None, rate) => {
            Batch::Rate { rate: rate.unwrap_or(RATE), interval: options.interval, carry: 0 }
        }
    };
    Ok(Box::new(Generator { recipe, batch, next: 0, end: records, stopped: false }))
}

/// What makes ranges of records again.
fn reread(
    url: &ConnectorUrl,
    format: Format,
    options: &OpenOptions,
) -> Result<Box<dyn Reread>, SourceError> {
    Ok(Box::new(recipe(url, format, options)?))
}

/// What is made.
fn recipe(
    url: &ConnectorUrl,
    format: Format,
    options: &OpenOptions,
) -> Result<Recipe, SourceError> {
    const WORDS: [&str; 2] = ["words", "line"];
    const PAGE_VIEWS: [&str; 2] = ["users", "urls"];
    let others = match url.place() {
        "words" => PAGE_VIEWS,
        "page_views" => WORDS,
        other => {
            let known = ["words", "page_views"];
            return Err(url.fail(unknown("generator", other, "known", &known)).into());
        }
    };
    if let Some(option) = others.iter().find(|option| url.has(option)) {
        let why = format!("`generate://{}` has no option `{option}`", url.place());
        return Err(url.fail(why).into());
    }
    let seed = url.count("seed")?;
    let count = |name| {
        let count = url.count(name)?;
        Ok::<_, SourceError>(usize::try_from(count).unwrap_or(usize::MAX))
    };
    let generate: Arc<dyn Generate> = if url.place() == "words" {
        Arc::new(words::Words::new(seed, count("words")?, count("line")?, format))
    } else {
        Arc::new(page_views::PageViews::new(seed, count("urls")?, url.count("users")?, format))
    };
    let form = Form::of(url, format, options)?;
    let header = (form.header == HeaderRow::Yes).then(|| generate.header());
    let framing = form.framing;
    Ok(Recipe { split: format!("generate://{}", url.place()).into(), generate, header, framing })
}

/// What the records are; with a range of numbers, all there is to know.
struct Recipe {
    split: Arc<str>,
    generate: Arc<dyn Generate>,
    header: Option<&'static str>,
    framing: Framing,
}

impl Recipe {
    fn input(&self, start: u64, end: u64) -> Input {
        let range = Range { split: self.split.clone(), start, end };
        Input { ranges: vec![range.clone()], data: Arc::new(self.records(vec![range])) }
    }

    fn records(&self, ranges: Vec<Range>) -> Generated {
        let (header, framing) = (self.header, self.framing);
        Generated { ranges, generate: self.generate.clone(), header, framing }
    }
}

impl Reread for Recipe {
    fn input(&self, ranges: &[Range]) -> Result<Input, SourceError> {
        for range in ranges {
            forward(range)?;
            if range.split != self.split {
                let why = format!("is no split of `{}`", self.split);
                return Err(SourceError::Data { what: range.split.to_string(), why });
            }
        }
        let ranges = ranges.to_vec();
        Ok(Input { ranges: ranges.clone(), data: Arc::new(self.records(ranges)) })
    }
}

/// How many records a batch takes.
enum Batch {
    Records(u64),
    Rate {
        /// Records per second.
        rate: u64,
        interval: Duration,
        /// Billionths of a record.
        carry: u64,
    },
}

impl Batch {
    fn take(&mut self) -> u64 {
        match self {
            Self::Records(records) => *records,
            Self::Rate { rate, interval, carry } => {
                let total = interval.as_nanos().saturating_mul(u128::from(*rate));
                let total = total.saturating_add(u128::from(*carry));
                *carry = (total % ONE) as u64;
                u64::try_from(total / ONE).unwrap_or(u64::MAX)
            }
        }
    }
}

/// How far it has been cut.
#[derive(Serialize, Deserialize)]
struct Place {
    next: u64,
    /// Billionths of a record, which a rate carries over.
    carry: u64,
}

struct Generator {
    recipe: Recipe,
    batch: Batch,
    next: u64,
    /// How many records there are; `None` without end.
    end: Option<u64>,
    stopped: bool,
}

impl Generator {
    fn place(&self) -> Place {
        let carry = match self.batch {
            Batch::Rate { carry, .. } => carry,
            Batch::Records(_) => 0,
        };
        Place { next: self.next, carry }
    }
}

impl Source for Generator {
    fn bounded(&self) -> bool {
        self.end.is_some()
    }

    fn timed(&self) -> bool {
        matches!(self.batch, Batch::Rate { .. })
    }

    fn immediate(&self) -> bool {
        true
    }

    fn cut(&mut self, partitions: usize) -> Result<Cut, SourceError> {
        if self.stopped {
            let position = Some(position::write(Kind::Generator, &self.place())?);
            return Ok(Cut { ended: true, position, ..Cut::default() });
        }
        let start = self.next;
        let last = self.end.unwrap_or(u64::MAX);
        self.next = start.saturating_add(self.batch.take()).min(last);
        let records = self.next - start;
        let inputs = records.div_ceil(SPLIT_RECORDS).min(partitions.max(1) as u64);
        let bound = |input: u64| {
            start + (u128::from(records) * u128::from(input) / u128::from(inputs)) as u64
        };
        let inputs = (0..inputs).map(|i| self.recipe.input(bound(i), bound(i + 1))).collect();
        let position = Some(position::write(Kind::Generator, &self.place())?);
        Ok(Cut { inputs, ended: self.next == last, position, ..Cut::default() })
    }

    fn resume(&mut self, position: &[u8]) -> Result<(), SourceError> {
        let place: Place = position::read(Kind::Generator, position)?;
        if u128::from(place.carry) >= ONE {
            return Err(position::damaged());
        }
        if let Some(end) = self.end.filter(|end| place.next > *end) {
            let (what, next) = (self.recipe.split.to_string(), place.next);
            let why = format!("{next} records were cut before, and it has {end} now: `records`");
            return Err(SourceError::Data { what, why });
        }
        self.next = place.next;
        if let Batch::Rate { carry, .. } = &mut self.batch {
            *carry = place.carry;
        }
        Ok(())
    }

    fn input(&self, ranges: &[Range]) -> Result<Input, SourceError> {
        Reread::input(&self.recipe, ranges)
    }

    fn stop(&mut self) {
        self.stopped = true;
    }
}

struct Generated {
    ranges: Vec<Range>,
    generate: Arc<dyn Generate>,
    header: Option<&'static str>,
    framing: Framing,
}

impl ReadRange for Generated {
    fn read(&self, each: &mut dyn FnMut(Piece<'_>)) -> Result<(), SourceError> {
        self.read_while(&|| true, each)
    }

    /// To make records takes about as long as to use them.
    fn read_while(
        &self,
        goes_on: &dyn Fn() -> bool,
        each: &mut dyn FnMut(Piece<'_>),
    ) -> Result<(), SourceError> {
        let mut out = Vec::with_capacity(PIECE + (64 << 10));
        for range in &self.ranges {
            let mut next = range.start;
            while next < range.end {
                if !goes_on() {
                    return Ok(());
                }
                let position = next;
                out.clear();
                next = self.generate.append(next, range.end, &mut out);
                let (split, header) = (&*range.split, self.header);
                let (framing, torn) = (self.framing, None);
                each(Piece { bytes: &out, split, position, numbered: true, header, framing, torn });
            }
        }
        Ok(())
    }
}

/// Random numbers of one record: SplitMix64, started at a hash of seed and record number.
struct Draws(u64);

impl Draws {
    fn new(seed: u64, record: u64) -> Self {
        Self(mix(mix(seed.wrapping_add(STEP)) ^ record.wrapping_mul(STEP)))
    }

    #[inline(always)]
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::open;

    fn source(url: &str, format: Format, interval: Duration) -> Box<dyn Source> {
        open(url, format, &OpenOptions { interval, ..OpenOptions::default() }).unwrap()
    }

    fn cut(source: &mut dyn Source, partitions: usize) -> (Vec<(u64, u64)>, String, bool) {
        let cut = source.cut(partitions).unwrap();
        let mut bytes = Vec::new();
        for input in &cut.inputs {
            input.data.read(&mut |piece| bytes.extend_from_slice(piece.bytes)).unwrap();
        }
        let ranges = cut.inputs.iter().flat_map(|i| &i.ranges).map(|r| (r.start, r.end)).collect();
        (ranges, String::from_utf8(bytes).unwrap(), cut.ended)
    }

    #[test]
    fn batches_and_inputs_do_not_change_the_records() {
        let second = Duration::from_secs(1);
        for (place, format) in [("words", Format::Text), ("page_views", Format::Json)] {
            let url = format!("generate://{place}?records=200000");
            let mut whole = source(&url, format, second);
            assert!(whole.bounded() && whole.immediate());
            let (ranges, expected, ended) = cut(&mut *whole, 1);
            assert_eq!((ranges, ended), (vec![(0, 200_000)], true));
            assert_eq!(expected.lines().count(), 200_000);
            let mut parts = source(&format!("{url}&batch_records=70001"), format, second);
            let mut together = String::new();
            for (records, inputs, last) in
                [(70_001, 2, false), (70_001, 2, false), (59_998, 1, true)]
            {
                let (ranges, text, ended) = cut(&mut *parts, 5);
                assert_eq!((text.lines().count(), ranges.len(), ended), (records, inputs, last));
                together.push_str(&text);
            }
            assert!(together == expected);
        }
    }

    #[test]
    fn nothing_is_made_for_who_does_not_want_it() {
        let url = "generate://words?records=200000";
        let mut all = source(url, Format::Text, Duration::ZERO);
        let input = all.cut(1).unwrap().inputs.remove(0);
        let (asked, mut pieces) = (std::cell::Cell::new(0), 0);
        let goes_on = || asked.replace(asked.get() + 1) < 2;
        input.data.read_while(&goes_on, &mut |_| pieces += 1).unwrap();
        assert_eq!((asked.get(), pieces), (3, 2), "it is not asked again");
    }

    #[test]
    fn the_seed_matters() {
        let text = |seed| {
            let url = format!("generate://words?records=10&seed={seed}");
            cut(&mut *source(&url, Format::Text, Duration::ZERO), 1).1
        };
        assert_eq!(text(1), text(1));
        assert_ne!(text(1), text(2));
    }

    #[test]
    fn a_rate_carries_fractions_over() {
        let url = "generate://page_views?rate=2500";
        let mut live = source(url, Format::Csv, Duration::from_millis(1));
        assert!(!live.bounded());
        let sizes: Vec<_> = (0..4).map(|_| cut(&mut *live, 3).1.lines().count()).collect();
        assert_eq!(sizes, [2, 3, 2, 3]);
        live.stop();
        assert_eq!(cut(&mut *live, 3), (Vec::new(), String::new(), true));
        let mut slow = source("generate://words?rate=1", Format::Text, Duration::from_millis(300));
        let sizes: Vec<_> = (0..7).map(|_| cut(&mut *slow, 3).0.len()).collect();
        assert_eq!(sizes, [0, 0, 0, 1, 0, 0, 1]);
        // A bounded one of a given rate has that many records per interval of history.
        let mut history =
            source("generate://words?rate=7&records=10", Format::Text, Duration::from_secs(1));
        assert_eq!(cut(&mut *history, 1).0, [(0, 7)]);
        assert_eq!(cut(&mut *history, 1).0, [(7, 10)]);
    }

    #[test]
    fn nothing_at_all() {
        let mut none = source("generate://words?records=0", Format::Text, Duration::ZERO);
        assert_eq!(cut(&mut *none, 3), (Vec::new(), String::new(), true));
    }

    #[test]
    fn mistakes_in_the_url() {
        let fail =
            |url: &str| open(url, Format::Text, &OpenOptions::default()).err().unwrap().to_string();
        assert!(fail("generate://wrods").contains("did you mean `words`?"));
        assert!(fail("generate://words?users=3").contains("has no option `users`"));
        assert!(fail("generate://words?batch_records=3").contains("give `records` too"));
        assert!(fail("generate://words?words=0").contains("from 1 to"));
        assert!(fail("genrate://words").contains("did you mean `generate`?"));
    }
}
