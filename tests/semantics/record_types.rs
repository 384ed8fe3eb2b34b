//! Types of fields beyond numbers and text, and what fields say of their text: in CSV and JSON, as keys, in state and
//! over restarts.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use dstream::Timestamp;
use dstream::prelude::*;
use dstream::testing::Run;

use crate::{Tested, every, published};

/// What a visitor did.
#[derive(Record, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[record(rename_all = "kebab-case")]
enum Action {
    View,
    AddToCart,
    #[record(rename = "purchase")]
    Buy,
}

/// The number of an account.
#[derive(Record, Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Account(u64);

/// Where something comes from.
#[derive(Record, Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Referrer(String);

#[derive(Record, Debug, Clone, PartialEq)]
#[record(rename_all = "camelCase")]
struct Event {
    at: Timestamp,
    account: Account,
    action: Action,
    source_address: IpAddr,
    took: Duration,
    referrer: Option<Referrer>,
    #[record(alias = "price", alias = "cents")]
    amount: u64,
    #[record(default)]
    country: String,
    #[record(default, rename = "type")]
    kind: Option<Action>,
    big: u128,
    #[record(skip)]
    seen: u32,
}

#[dstream::job(interval = "1s")]
fn types() {
    let events = source::json::<Event>("none");
    let timed = events.event_time(|e| e.at, "1s");
    let same = events.map(|e| e);
    let noted = events.map(|e| Event { seen: e.amount as u32 + 1, ..owned(e) });
    let by_action = events.map(|e| (e.action, e.amount)).reduce_by_key(|a, b| a + b);
    let by_account = events.map(|e| (e.account, e.took)).running_reduce(|a, b| a + b);
    let by_address = timed
        .map(|e| ((e.source_address, e.action), 1u64))
        .window("10s")
        .reduce_by_key(|a, b| a + b);
    let latest = events.map(|e| (e.referrer, e.at)).running_reduce(|a, b| a.max(b));
    let seen = noted.filter(|e| e.action == Action::Buy).map(|e| (e.account.0, e.seen));
    let greatest = events.aggregate(agg::max(|e| e.big), agg::min(|e| e.at));
    same.save("none:");
    by_action.save("none:");
    by_account.save("none:");
    by_address.save("none:");
    latest.save("none:");
    seen.save("none:");
    greatest.save("none:");
}

fn owned(event: EventRef<'_>) -> Event {
    dstream::__private::AsRecord::into_record(event)
}

const ACTIONS: [Action; 3] = [Action::View, Action::AddToCart, Action::Buy];

fn event(n: u64) -> Event {
    Event {
        at: Timestamp::from_millis(1_796_047_200_000 + n as i64 * 700),
        account: Account(n % 3),
        action: ACTIONS[(n % 7 % 3) as usize],
        source_address: match n % 2 {
            0 => IpAddr::from([10, 0, 0, (n % 4) as u8]),
            _ => "2001:db8::1".parse().expect("an address"),
        },
        took: Duration::from_nanos(n * 1_234_567),
        referrer: (!n.is_multiple_of(4)).then(|| Referrer(format!("r{}", n % 5))),
        amount: n * 10,
        country: if n.is_multiple_of(2) { String::new() } else { "de".to_owned() },
        kind: n.is_multiple_of(5).then_some(Action::View),
        big: u128::from(n) << 70,
        seen: 0,
    }
}

/// The event as another program would write it, with other names and without what may be absent.
fn line(event: &Event, n: u64) -> String {
    let action = |action| match action {
        Action::View => "view",
        Action::AddToCart => "add-to-cart",
        Action::Buy => "purchase",
    };
    let at = match n % 3 {
        0 => event.at.millis().to_string(),
        _ => format!("\"{}\"", event.at),
    };
    let referrer = event.referrer.as_ref().map_or("null".to_owned(), |of| format!("{:?}", of.0));
    let amount = ["amount", "price", "cents"][(n % 3) as usize];
    let country = match event.country.as_str() {
        "" if n.is_multiple_of(4) => "\"country\":null,".to_owned(),
        "" => String::new(),
        country => format!("\"country\":{country:?},"),
    };
    let kind = event.kind.map_or(String::new(), |of| format!("\"type\":{:?},", action(of)));
    format!(
        "{{\"at\":{at},\"account\":{},\"action\":\"{}\",\"sourceAddress\":\"{}\",\"took\":\"{}ns\",\
         \"referrer\":{referrer},{country}{kind}\"big\":{},\"{amount}\":{},\"seen\":77}}",
        event.account.0,
        action(event.action),
        event.source_address,
        event.took.as_nanos(),
        event.big,
        event.amount
    )
}

fn batches() -> Vec<Vec<Event>> {
    (0..6).map(|batch| (batch * 5..batch * 5 + 5).map(event).collect()).collect()
}

#[test]
fn values_of_every_type_are_read_kept_and_grouped_as_they_are() -> Tested {
    let batches = batches();
    let raw: Vec<String> = batches
        .iter()
        .map(|batch| batch.iter().map(|e| line(e, e.amount / 10) + "\n").collect())
        .collect();
    every(|partitions| {
        let run = Run::new(types).raw("events", raw.clone()).partitions(partitions);
        let done = run.restart_after(2).run()?;
        let same = published::<Event>(&done, "same", 6)?;
        let by_action = published::<(Action, u64)>(&done, "by_action", 6)?;
        let by_account = published::<(Account, Duration)>(&done, "by_account", 6)?;
        let latest = published::<(Option<Referrer>, Timestamp)>(&done, "latest", 6)?;
        let seen = published::<(u64, u32)>(&done, "seen", 6)?;
        let greatest = published::<(u128, Timestamp)>(&done, "greatest", 6)?;
        let mut windows = BTreeMap::new();
        for n in 1..=6usize {
            let (now, ever) = (&batches[n - 1], batches[..n].concat());
            let mut expected = now.clone();
            expected.sort_by_key(|e| e.at);
            let mut found = same[n - 1].clone();
            found.sort_by_key(|e| e.at);
            assert_eq!(found, expected);
            let mut sums = BTreeMap::new();
            now.iter().for_each(|e| *sums.entry(e.action).or_insert(0) += e.amount);
            let mut found = by_action[n - 1].clone();
            found.sort();
            assert_eq!(found, sums.into_iter().collect::<Vec<_>>());
            let mut took: BTreeMap<Account, Duration> = BTreeMap::new();
            ever.iter().for_each(|e| *took.entry(e.account.clone()).or_default() += e.took);
            took.retain(|account, _| now.iter().any(|e| e.account == *account));
            let mut found = by_account[n - 1].clone();
            found.sort();
            assert_eq!(found, took.into_iter().collect::<Vec<_>>());
            let mut last: BTreeMap<Option<Referrer>, Timestamp> = BTreeMap::new();
            for e in now {
                let last = last.entry(e.referrer.clone()).or_insert(e.at);
                *last = e.at.max(*last);
            }
            let mut found = latest[n - 1].clone();
            found.sort();
            assert_eq!(found, last.into_iter().collect::<Vec<_>>());
            let bought = now.iter().filter(|e| e.action == Action::Buy);
            let mut bought: Vec<_> = bought.map(|e| (e.account.0, e.amount as u32 + 1)).collect();
            bought.sort_unstable();
            let mut found = seen[n - 1].clone();
            found.sort_unstable();
            assert_eq!(found, bought);
            let big = now.iter().map(|e| e.big).max().expect("five of them");
            assert_eq!(greatest[n - 1], [(big, now[0].at)]);
            for ((address, action), count) in
                published::<((IpAddr, Action), u64)>(&done, "by_address", 6)?[n - 1].clone()
            {
                *windows.entry((address, action)).or_insert(0) += count;
            }
        }
        let mut all = BTreeMap::new();
        batches
            .iter()
            .flatten()
            .for_each(|e| *all.entry((e.source_address, e.action)).or_insert(0u64) += 1);
        // Each record is in one window, and all windows have closed with the input.
        assert_eq!(windows, all);
        Ok(())
    })
}
