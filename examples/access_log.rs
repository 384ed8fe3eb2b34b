//! The access log of a web server, by the times in its lines: requests per minute and status, the pages with the most
//! bytes in five minutes, and minutes in which too many requests failed.
//!
//! ```text
//! cargo run --release --example access_log -- --sink alerts=stdout:
//! cargo run --release --example access_log -- --source 'lines=/var/log/nginx/access.log*' --sink requests=csv+file://out/requests
//! cargo run --release --example access_log -- --source 'lines=/var/log/nginx/access.log?follow' --sink top=json+stdout:
//! ```

use dstream::prelude::*;
use dstream::text::date_as;

/// A request, as the combined log format has it.
#[derive(Record)]
struct Request {
    at: i64,
    page: String,
    status: u64,
    bytes: u64,
}

/// Reads `HOST - USER [DATE] "METHOD PAGE PROTOCOL" STATUS BYTES …`; nothing of a line that is none.
fn request(line: &str) -> Option<RequestRef<'_>> {
    let (_, rest) = line.split_once('[')?;
    let (date, rest) = rest.split_once("] \"")?;
    let (request, rest) = rest.split_once("\" ")?;
    let page = request.split(' ').nth(1)?;
    let page = page.split('?').next()?;
    let mut numbers = rest.split(' ');
    let (status, bytes) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().unwrap_or(0));
    let at = date_as(date, "%d/%b/%Y:%H:%M:%S %z")?;
    Some(RequestRef { at, page, status, bytes })
}

/// A day of a web server, a window at a time.
#[dstream::job(interval = "1s")]
fn access_log() {
    let lines = source::text("examples/access.log");
    let requests = lines.filter_map(|line| request(line)).event_time(|r| r.at, "10s");

    let by_status = requests.map(|r| (r.status, 1u64));
    let per_minute = by_status.reduce_by_key_and_window(|a, b| a + b, "1min");
    per_minute.save("csv+stdout:");

    let sizes = requests.map(|r| (r.page, r.bytes));
    let largest = sizes.reduce_by_key_and_window(|a, b| a + b, "5min", "1min");
    let top = largest.top_k(3, |(_, bytes)| bytes);
    top.save("none:");

    let failed = requests.map(|r| ("all", (u64::from(r.status >= 500), 1u64)));
    let rates = failed.reduce_by_key_and_window(|a, b| (a.0 + b.0, a.1 + b.1), "1min");
    let bad = rates.filter(|(_, (failed, all))| failed * 20 > all);
    let alerts = bad.map(|(_, (failed, all))| format!("{failed} of {all} requests failed"));
    alerts.save("none:");
}

dstream::main!(access_log);
