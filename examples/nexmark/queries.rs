//! The questions. What SQL answers with updates of updates is asked so that each answer is given once where it can be: an
//! auction has its winner when it is over.

use dstream::prelude::*;

use crate::events::{Auction, Bid, Event, Person};

#[dstream::operator]
fn bids(events: Stream<Event>) -> Stream<Bid> {
    events.filter_map(|e| e.bid)
}

#[dstream::operator]
fn auctions(events: Stream<Event>) -> Stream<Auction> {
    events.filter_map(|e| e.auction)
}

#[dstream::operator]
fn persons(events: Stream<Event>) -> Stream<Person> {
    events.filter_map(|e| e.person)
}

/// The highest bid for an auction while it was open; of equal ones the first.
#[derive(Record)]
pub(crate) struct Winner {
    category: u64,
    seller: u64,
    expires: i64,
    price: u64,
    at: i64,
    bidder: u64,
}

fn better<'a>(a: WinnerRef<'a>, b: WinnerRef<'a>) -> WinnerRef<'a> {
    let rank = |w: &WinnerRef<'_>| (w.price, std::cmp::Reverse((w.at, w.bidder)));
    if rank(&b) > rank(&a) { b } else { a }
}

/// The winner of each auction with bids, once it is over. Auctions last 20 s at most, so their bids are one session.
#[dstream::operator]
fn winners(events: Stream<Event>) -> Stream<(u64, Winner)> {
    let open = auctions(events).map(|a| (a.id, (a.category, a.seller, a.expires)));
    let offers = bids(events).map(|b, ctx| (b.auction, (b.price, ctx.event_time(), b.bidder)));
    let met = open.join_within(offers, "0s", "20s");
    let valid = met.filter(|(_, ((_, _, expires), (_, at, _)))| at <= expires);
    let bid = valid.map(|(id, ((category, seller, expires), (price, at, bidder)))| {
        (id, Winner { category, seller, expires, price, at, bidder })
    });
    bid.session("21s").reduce_by_key(|a, b| better(a, b))
}

/// Everything, to feed another system.
#[dstream::job]
pub(crate) fn events() {
    let events = source::json::<Event>("nexmark://events");
    events.save("json+stdout:");
}

/// q0: the bids as they are; what a job costs that does nothing.
#[dstream::job]
pub(crate) fn q0() {
    let events = source::json::<Event>("nexmark://events");
    let result = bids(events);
    result.save("csv+stdout:");
}

/// q1: bids in another currency.
#[dstream::job]
pub(crate) fn q1() {
    let events = source::json::<Event>("nexmark://events");
    let timed = events.event_time(|e| e.at, "500ms");
    let result =
        bids(timed).map(|b, ctx| (b.auction, b.bidder, b.price as f64 * 0.908, ctx.event_time()));
    result.save("csv+stdout:");
}

/// q2: bids for some auctions.
#[dstream::job]
pub(crate) fn q2() {
    let events = source::json::<Event>("nexmark://events");
    let result = bids(events).filter(|b| b.auction % 123 == 0).map(|b| (b.auction, b.price));
    result.save("csv+stdout:");
}

/// q3: who sells in three states, in category 10.
#[dstream::job]
pub(crate) fn q3() {
    let events = source::json::<Event>("nexmark://events");
    let near = persons(events).filter(|p| matches!(p.state, "OR" | "ID" | "CA"));
    let sellers = near.map(|p| (p.id, (p.name, p.city, p.state))).latest_by_key();
    let sold = auctions(events).filter(|a| a.category == 10).map(|a| (a.seller, a.id));
    let result = sold.join(sellers).map(|(_, (id, (name, city, state)))| (name, city, state, id));
    result.save("csv+stdout:");
}

/// q4: the mean of the winning prices of each category so far.
#[dstream::job]
pub(crate) fn q4() {
    let events = source::json::<Event>("nexmark://events");
    let won = winners(events.event_time(|e| e.at, "500ms"));
    let result = won.map(|(_, w)| (w.category, w.price)).running_aggregate(agg::mean());
    result.save("csv+stdout:");
}

/// Some rows with an equal score.
#[derive(Record)]
pub(crate) struct Best {
    score: u64,
    rows: Vec<(u64, u64)>,
}

/// Those with the greater score, or both.
fn best(a: BestRef<'_>, b: BestRef<'_>) -> Best {
    let mut rows: Vec<_> = if a.score >= b.score { a.rows.iter().collect() } else { Vec::new() };
    if b.score >= a.score {
        rows.extend(b.rows.iter());
    }
    Best { score: a.score.max(b.score), rows }
}

/// q5: the auctions with the most bids in the last 10 s, every 2 s.
#[dstream::job]
pub(crate) fn q5() {
    let events = source::json::<Event>("nexmark://events");
    let timed = events.event_time(|e| e.at, "500ms");
    let ones = bids(timed).map(|b| (b.auction, 1u64));
    let counts = ones.reduce_by_key_and_window(|a, b| a + b, "10s", "2s");
    // The results of a window have its last millisecond for their time, so each window's are by themselves.
    let each = counts.map(|(auction, n)| Best { score: n, rows: vec![(auction, n)] });
    let hottest = each.window("2s").reduce(|a, b| best(a, b));
    let result = hottest.flat_map(|best| best.rows);
    result.save("csv+stdout:");
}

/// q6: the mean of the winning prices of a seller's last ten auctions.
#[dstream::job]
pub(crate) fn q6() {
    let events = source::json::<Event>("nexmark://events");
    let won = winners(events.event_time(|e| e.at, "500ms"));
    let by_seller = won.map(|(id, w)| (w.seller, (w.expires, id, w.price)));
    // By when they were over, whatever order they come in.
    let result = by_seller.running_aggregate(agg::top_k(10)).map(|(seller, last)| {
        let sum: u64 = last.iter().map(|(_, _, price)| price).sum();
        (seller, sum as f64 / last.len() as f64)
    });
    result.save("csv+stdout:");
}

/// q7: the highest bids of every 10 s.
#[dstream::job]
pub(crate) fn q7() {
    let events = source::json::<Event>("nexmark://events");
    let timed = events.event_time(|e| e.at, "500ms");
    let each = bids(timed).map(|b| Best { score: b.price, rows: vec![(b.auction, b.bidder)] });
    let highest = each.window("10s").reduce(|a, b| best(a, b));
    let result = highest.flat_map(|best| best.rows.iter().map(move |(a, b)| (a, b, best.score)));
    result.save("csv+stdout:");
}

/// q8: who is new and sells in the same 10 s.
#[dstream::job]
pub(crate) fn q8() {
    let events = source::json::<Event>("nexmark://events");
    let timed = events.event_time(|e| e.at, "500ms");
    let new = persons(timed).map(|p| (p.id, Some(p.name)));
    let selling = auctions(timed).map(|a| (a.seller, None::<&str>));
    let both = new.union(selling).window("10s").group_by_key();
    let result = both.filter_map(|(id, of)| {
        let sells = of.iter().any(|name| name.is_none());
        let name = of.iter().find_map(|name| name);
        name.filter(|_| sells).map(|name| (id, name))
    });
    result.save("csv+stdout:");
}

/// q9: the winning bid of each auction.
#[dstream::job]
pub(crate) fn q9() {
    let events = source::json::<Event>("nexmark://events");
    let result = winners(events.event_time(|e| e.at, "500ms"));
    result.save("csv+stdout:");
}

/// q10: a log of all bids, in files.
#[dstream::job]
pub(crate) fn q10() {
    let events = source::json::<Event>("nexmark://events?batch_records=20000");
    let timed = events.event_time(|e| e.at, "500ms");
    let result = bids(timed).map(|b, ctx| (ctx.event_time(), b.auction, b.bidder, b.price));
    result.save("csv+file://out/bids");
}

/// q11: how many bids a person made in a visit.
#[dstream::job]
pub(crate) fn q11() {
    let events = source::json::<Event>("nexmark://events");
    let timed = events.event_time(|e| e.at, "500ms");
    let ones = bids(timed).map(|b| (b.bidder, 1u64));
    let result = ones.session("10s").reduce_by_key(|a, b| a + b);
    result.save("csv+stdout:");
}

/// q12: how many bids of a person arrived in 10 s.
#[dstream::job(interval = "1s")]
pub(crate) fn q12() {
    let events = source::json::<Event>("nexmark://events?batch_records=1000&windows=batches");
    let ones = bids(events).map(|b| (b.bidder, 1u64));
    let result = ones.reduce_by_key_and_window(|a, b| a + b, "10s", "10s");
    result.save("csv+stdout:");
}

/// q13: bids with what a table says.
#[dstream::job]
pub(crate) fn q13() {
    let events = source::json::<Event>("nexmark://events");
    let names = table::csv::<(u64, String)>("examples/nexmark/side_input.csv?header=false");
    let keyed = bids(events).map(|b| (b.auction % 100, (b.auction, b.bidder, b.price)));
    let result = keyed
        .join(names)
        .map(|(_, ((auction, bidder, price), name))| (auction, bidder, price, name));
    result.save("csv+stdout:");
}

fn time_of_day(at: i64) -> &'static str {
    match at.div_euclid(3_600_000).rem_euclid(24) {
        8..=18 => "day",
        0..=6 | 20..=23 => "night",
        _ => "other",
    }
}

/// q14: bids of some prices, with what a function of the program says.
#[dstream::job]
pub(crate) fn q14() {
    let events = source::json::<Event>("nexmark://events");
    let timed = events.event_time(|e| e.at, "500ms");
    let result = bids(timed).filter_map(|b, ctx| {
        let price = b.price as f64 * 0.908;
        let letters = b.extra.bytes().filter(|letter| *letter == b'c').count() as u64;
        let row = (b.auction, b.bidder, price, time_of_day(ctx.event_time()), letters);
        (price > 1_000_000.0 && price < 50_000_000.0).then_some(row)
    });
    result.save("csv+stdout:");
}

/// Which of three classes a price is in.
fn class(price: u64) -> u64 {
    match price {
        ..10_000 => 1,
        10_000..1_000_000 => 2,
        _ => 3,
    }
}

/// q15: bids, bidders and auctions of each day, and of each class of prices.
#[dstream::job]
pub(crate) fn q15() {
    let events = source::json::<Event>("nexmark://events");
    let timed = events.event_time(|e| e.at, "500ms");
    let result = bids(timed).window("1d").aggregate(
        agg::count(),
        agg::sum(|b| u64::from(class(b.price) == 1)),
        agg::sum(|b| u64::from(class(b.price) == 2)),
        agg::distinct(|b| b.bidder),
        agg::some(agg::distinct(), |b| (class(b.price) == 1).then_some(b.bidder)),
        agg::some(agg::distinct(), |b| (class(b.price) == 3).then_some(b.bidder)),
        agg::distinct(|b| b.auction),
        agg::some(agg::distinct(), |b| (class(b.price) == 2).then_some(b.auction)),
    );
    result.save("csv+stdout:");
}

/// q16: the same of each channel and day.
#[dstream::job]
pub(crate) fn q16() {
    let events = source::json::<Event>("nexmark://events");
    let timed = events.event_time(|e| e.at, "500ms");
    let values =
        bids(timed).map(|b, ctx| (b.channel, (ctx.event_time(), b.price, b.bidder, b.auction)));
    let result = values.window("1d").aggregate_by_key(
        agg::max(|(at, ..)| at / 60_000),
        agg::count(),
        agg::sum(|(_, price, ..)| u64::from(class(price) == 1)),
        agg::sum(|(_, price, ..)| u64::from(class(price) == 3)),
        agg::distinct(|(_, _, bidder, _)| bidder),
        agg::some(agg::distinct(), |(_, price, bidder, _)| (class(price) == 1).then_some(bidder)),
        agg::distinct(|(_, _, _, auction)| auction),
    );
    result.save("csv+stdout:");
}

/// q17: the bids for each auction and day.
#[dstream::job]
pub(crate) fn q17() {
    let events = source::json::<Event>("nexmark://events");
    let timed = events.event_time(|e| e.at, "500ms");
    let prices = bids(timed).map(|b| (b.auction, b.price));
    let result = prices.window("1d").aggregate_by_key(
        agg::count(),
        agg::sum(|price| u64::from(class(price) == 1)),
        agg::sum(|price| u64::from(class(price) == 2)),
        agg::sum(|price| u64::from(class(price) == 3)),
        agg::min(),
        agg::max(),
        agg::mean(),
        agg::sum(),
    );
    result.save("csv+stdout:");
}

/// q18: the last bid of each person for each auction, so far.
#[dstream::job]
pub(crate) fn q18() {
    let events = source::json::<Event>("nexmark://events");
    let timed = events.event_time(|e| e.at, "500ms");
    let each = bids(timed).map(|b, ctx| ((b.bidder, b.auction), (ctx.event_time(), b.price)));
    let result = each.running_aggregate(agg::max());
    result.save("csv+stdout:");
}

/// q19: the ten highest bids for each auction, so far.
#[dstream::job]
pub(crate) fn q19() {
    let events = source::json::<Event>("nexmark://events");
    let prices = bids(events).map(|b| (b.auction, (b.price, b.bidder)));
    let best = prices.running_aggregate(agg::top_k(10));
    let result = best.flat_map(|(auction, best)| {
        best.iter().zip(1u64..).map(move |((price, bidder), rank)| (auction, rank, price, bidder))
    });
    result.save("csv+stdout:");
}

/// q20: bids with their auction, in category 10.
#[dstream::job]
pub(crate) fn q20() {
    let events = source::json::<Event>("nexmark://events");
    let some = auctions(events).filter(|a| a.category == 10);
    let known = some.map(|a| (a.id, (a.item, a.initial, a.reserve, a.seller))).latest_by_key();
    let offers = bids(events).map(|b| (b.auction, (b.bidder, b.price)));
    let result = offers.join(known);
    result.save("csv+stdout:");
}

/// The number of a channel, which a URL has if its name is none of four.
fn channel_number<'a>(channel: &str, url: &'a str) -> Option<&'a str> {
    match channel.to_ascii_lowercase().as_str() {
        "apple" => Some("0"),
        "google" => Some("1"),
        "facebook" => Some("2"),
        "baidu" => Some("3"),
        _ => url.split(['?', '&']).find_map(|part| part.strip_prefix("channel_id=")),
    }
}

/// q21: bids with the number of their channel.
#[dstream::job]
pub(crate) fn q21() {
    let events = source::json::<Event>("nexmark://events");
    let result = bids(events).filter_map(|b| {
        let number = channel_number(b.channel, b.url)?;
        Some((b.auction, b.bidder, b.price, b.channel, number))
    });
    result.save("csv+stdout:");
}

/// q22: bids with the directories of their URL.
#[dstream::job]
pub(crate) fn q22() {
    let events = source::json::<Event>("nexmark://events");
    let result = bids(events).map(|b| {
        let mut dirs = b.url.split('/').skip(3);
        let mut next = || dirs.next().unwrap_or_default();
        (b.auction, b.bidder, b.price, b.channel, next(), next(), next())
    });
    result.save("csv+stdout:");
}
