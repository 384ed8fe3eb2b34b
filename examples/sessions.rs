//! Visits to a web server, by the times in its access log: requests of one host that are less than five minutes apart.
//!
//! ```text
//! cargo run --release --example sessions
//! cargo run --release --example sessions -- --source 'lines=/var/log/nginx/access.log*' --sink visits=csv+file://out/visits
//! cargo run --release --example sessions -- --source 'lines=/var/log/nginx/access.log?follow' --sink paths=json+stdout:
//! ```

use dstream::prelude::*;
use dstream::text::date_as;

/// A request, as the combined log format has it.
#[derive(Record)]
struct Request {
    at: i64,
    host: String,
    page: String,
    bytes: u64,
}

/// Reads `HOST - USER [DATE] "METHOD PAGE PROTOCOL" STATUS BYTES …`; nothing of a line that is none.
fn request(line: &str) -> Option<RequestRef<'_>> {
    let (host, rest) = line.split_once(' ')?;
    let (_, rest) = rest.split_once('[')?;
    let (date, rest) = rest.split_once("] \"")?;
    let (request, rest) = rest.split_once("\" ")?;
    let page = request.split(' ').nth(1)?;
    let bytes = rest.split(' ').nth(1)?.parse().unwrap_or(0);
    let at = date_as(date, "%d/%b/%Y:%H:%M:%S %z")?;
    Some(RequestRef { at, host, page, bytes })
}

/// Visits, with what was sent in each and the pages in the order in which they were asked for.
#[dstream::job(interval = "1s")]
fn sessions() {
    let lines = source::text("examples/access.log");
    let requests = lines.filter_map(|line| request(line)).event_time(|r| r.at, "10s");

    let sizes = requests.map(|r| (r.host, (1u64, r.bytes))).session("5min");
    let sums = sizes.reduce_by_key(|a, b| (a.0 + b.0, a.1 + b.1));
    let visits = sums.map(|(host, (requests, bytes)), ctx| {
        let seconds = (ctx.window().end - ctx.window().start) / 1000 - 300;
        (host, requests, bytes, seconds)
    });
    visits.save("csv+stdout:");

    let pages = requests.map(|r| (r.host, r.page)).session("5min").group_by_key();
    let paths = pages.filter(|(_, pages)| pages.len() > 1);
    paths.save("none:");
}

dstream::main!(sessions);
