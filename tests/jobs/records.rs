//! Records with fields of every type, from CSV or JSON into both.

use std::net::IpAddr;
use std::time::Duration;

use dstream::prelude::*;

/// What a visitor did.
#[derive(Record)]
#[record(rename_all = "kebab-case")]
enum Action {
    View,
    AddToCart,
    #[record(rename = "purchase")]
    Buy,
}

/// The number of an account.
#[derive(Record)]
struct Account(u64);

/// What happened.
#[derive(Record)]
#[record(rename_all = "camelCase")]
struct Event {
    at: Timestamp,
    account: Account,
    action: Action,
    source_address: IpAddr,
    took: Duration,
    #[record(alias = "price", alias = "cents")]
    amount: i128,
    #[record(default)]
    country: String,
    #[record(default, rename = "type")]
    kind: Option<Action>,
    #[record(skip)]
    seen: u32,
}

#[dstream::job]
fn rows() {
    let events = source::csv::<Event>("events.csv");
    let as_csv = events.filter(|e| e.seen == 0);
    let as_json = events.filter(|e| e.amount % 2 != 7);
    as_csv.save("csv+stdout:");
    as_json.save("json+stdout:");
}

#[dstream::job]
fn objects() {
    let events = source::json::<Event>("events.json");
    let as_csv = events.map(|e| e);
    let as_json = events.filter(|e| e.action == Action::Buy || e.took < Duration::MAX);
    as_csv.save("csv+stdout:");
    as_json.save("json+stdout:");
}

dstream::main!(rows, objects);
