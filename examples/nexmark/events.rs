//! The events of an auction house, as Nexmark has them (Tucker et al., "NEXMark", 2008, with the proportions of Apache
//! Beam's suite): of fifty, one is a new person, three are new auctions, and the others are bids. Each depends on its
//! number alone.

use std::fmt::Write as _;

use dstream::connect::{
    ConnectorUrl, Extent, Format, OptionRow, Range, SourceConnector, SourceError, SplitSource,
};
use dstream::prelude::*;

/// Someone who sells or bids.
#[derive(Record)]
pub(crate) struct Person {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) city: String,
    pub(crate) state: String,
}

/// Something for sale, until `expires`.
#[derive(Record)]
pub(crate) struct Auction {
    pub(crate) id: u64,
    pub(crate) item: String,
    pub(crate) initial: u64,
    pub(crate) reserve: u64,
    pub(crate) expires: i64,
    pub(crate) seller: u64,
    pub(crate) category: u64,
}

/// An offer for an auction, in cents.
#[derive(Record)]
pub(crate) struct Bid {
    pub(crate) auction: u64,
    pub(crate) bidder: u64,
    pub(crate) price: u64,
    pub(crate) channel: String,
    pub(crate) url: String,
    pub(crate) extra: String,
}

/// What happened: one of the three.
#[derive(Record)]
pub(crate) struct Event {
    /// When it happened, in milliseconds since 1970; at most 500 ms out of order.
    pub(crate) at: i64,
    pub(crate) person: Option<Person>,
    pub(crate) auction: Option<Auction>,
    pub(crate) bid: Option<Bid>,
}

/// `nexmark://events`.
pub(crate) const NEXMARK: SourceConnector = SourceConnector::new(
    "nexmark",
    &["nexmark://events"],
    "the events of an auction house: persons, auctions and bids",
    open,
)
.ends("ends")
.formats(&[Format::Json])
.options(&[
    OptionRow::count("records", 1, "How many events there are").or("100000"),
    OptionRow::count("rate", 1, "How many events happen in a second").or("1000"),
    OptionRow::count("seed", 0, "Another seed makes other events").or("1"),
]);

fn open(url: &ConnectorUrl, _: Format) -> Result<Box<dyn SplitSource>, SourceError> {
    let (records, rate) = (url.count("records")?, url.count("rate")?);
    Ok(Box::new(Events { records, rate, seed: url.count("seed")? }))
}

struct Events {
    records: u64,
    rate: u64,
    seed: u64,
}

impl SplitSource for Events {
    fn bounded(&self) -> bool {
        true
    }

    /// One split: its ranges are read at once, and those that come later have later times.
    fn extents(&self) -> Result<Vec<Extent>, SourceError> {
        Ok(vec![Extent::to("events", self.records)])
    }

    fn read(&self, range: &Range, each: &mut dyn FnMut(&[u8])) -> Result<(), SourceError> {
        let mut line = String::with_capacity(512);
        for number in range.start..range.end {
            line.clear();
            // Writing to a String cannot fail.
            let _ = self.event(number, &mut line);
            each(line.as_bytes());
        }
        Ok(())
    }

    fn record_size(&self) -> u64 {
        200
    }
}

/// Thirty seconds before a new day.
const BEGIN: i64 = 1_764_547_170_000;
/// How far out of order events are, in milliseconds.
const DISORDER: u64 = 500;
/// The first number of a person and of an auction.
const FIRST: u64 = 1000;
/// Events in a round, and auctions among them; one is a person.
const ROUND: u64 = 50;
const AUCTIONS: u64 = 3;
/// How many of the newest persons act, and how many of the newest auctions get bids.
const ACTIVE: u64 = 1000;
const OPEN: u64 = 100;

const STATES: [(&str, &str); 6] = [
    ("AZ", "Phoenix"),
    ("CA", "San Francisco"),
    ("ID", "Boise"),
    ("OR", "Portland"),
    ("WA", "Seattle"),
    ("WY", "Cheyenne"),
];
const FIRST_NAMES: [&str; 8] = ["Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gil", "Hana"];
const LAST_NAMES: [&str; 6] = ["Abbot", "Baker", "Cole", "Dunn", "Ellis", "Frost"];
const CHANNELS: [&str; 4] = ["Apple", "Google", "Facebook", "Baidu"];

/// Numbers that look random, of an event (SplitMix64: Steele, Lea and Flood, OOPSLA 2014).
struct Draws(u64);

impl Draws {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(x ^ (x >> 31)) * u128::from(n)) >> 64) as u64
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }

    /// A price in cents: each number of digits is as frequent.
    fn price(&mut self) -> u64 {
        let power = 10u64.pow(self.below(6) as u32);
        100 * (power + self.below(9 * power))
    }

    /// One of the numbers from 1000 to `last`: in half of the cases a hot one, which changes every hundred, else one of
    /// the newest.
    fn number(&mut self, last: u64, newest: u64) -> u64 {
        if self.below(2) == 0 {
            return (last / 100 * 100).max(FIRST);
        }
        last - self.below(newest.min(last - FIRST + 1))
    }
}

impl Events {
    fn event(&self, number: u64, out: &mut String) -> std::fmt::Result {
        let mut draws = Draws(number.wrapping_mul(0xa076_1d64_78bd_642f) ^ (self.seed << 32));
        let (round, place) = (number / ROUND, number % ROUND);
        let sent = (number as u128 * 1000 / u128::from(self.rate)) as i64;
        let at = BEGIN + sent - draws.below(DISORDER + 1) as i64;
        write!(out, r#"{{"at":{at},"#)?;
        match place {
            0 => person(FIRST + round, &mut draws, out)?,
            1..=AUCTIONS => {
                let id = FIRST + round * AUCTIONS + place - 1;
                auction(id, at, FIRST + round, &mut draws, out)?;
            }
            _ => bid(FIRST + (round + 1) * AUCTIONS - 1, FIRST + round, &mut draws, out)?,
        }
        out.push('}');
        Ok(())
    }
}

fn person(id: u64, draws: &mut Draws, out: &mut String) -> std::fmt::Result {
    let (first, last) = (draws.one(&FIRST_NAMES), draws.one(&LAST_NAMES));
    let (state, city) = STATES[draws.below(STATES.len() as u64) as usize];
    write!(
        out,
        r#""person":{{"id":{id},"name":"{first} {last}","email":"{first}.{last}@example.org","city":"{city}","state":"{state}"}}"#
    )
}

fn auction(id: u64, at: i64, newest: u64, draws: &mut Draws, out: &mut String) -> std::fmt::Result {
    let initial = draws.price();
    let reserve = initial + draws.price();
    let expires = at + 1000 + draws.below(19_001) as i64;
    let seller = draws.number(newest, ACTIVE);
    let category = 10 + draws.below(5);
    write!(
        out,
        r#""auction":{{"id":{id},"item":"item {}","initial":{initial},"reserve":{reserve},"expires":{expires},"seller":{seller},"category":{category}}}"#,
        draws.below(10_000)
    )
}

fn bid(
    newest_auction: u64,
    newest_person: u64,
    draws: &mut Draws,
    out: &mut String,
) -> std::fmt::Result {
    let auction = draws.number(newest_auction, OPEN);
    let bidder = draws.number(newest_person, ACTIVE);
    let price = draws.price();
    let path = format!(
        "{}/{}/item{}",
        draws.one(&["a", "b", "c"]),
        draws.one(&["x", "y", "z"]),
        draws.below(100)
    );
    // Half of the bids come by one of four channels, the others by one of many.
    let (channel, query) = if draws.below(2) == 0 {
        (draws.one(&CHANNELS).to_owned(), "")
    } else {
        let number = draws.below(10_000);
        (format!("channel-{number}"), "?channel_id=")
    };
    let id = channel.strip_prefix("channel-").unwrap_or_default();
    let extra: String = (0..16).map(|_| (b'a' + draws.below(6) as u8) as char).collect();
    write!(
        out,
        r#""bid":{{"auction":{auction},"bidder":{bidder},"price":{price},"channel":"{channel}","url":"https://www.nexmark.com/{path}{query}{id}","extra":"{extra}"}}"#
    )
}
