//! Fuzz target: values of options.

use std::time::Duration;

use super::value;
use crate::fuzzing::{Target, texts};

pub(crate) const TARGETS: &[Target] = &[Target::new("options", options, seeds)];

/// What is taken is within the bounds that the help names.
fn options(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(interval) = value::interval(text) {
        assert!((1..=86_400_000).contains(&interval.as_millis()), "{interval:?}");
    }
    if let Ok(life) = value::life(text) {
        assert!(life >= Duration::from_secs(60) && life <= Duration::from_secs(31_536_000));
    }
    if let Ok(size) = value::size(text) {
        assert!((1 << 20..=9_000_000_000_000_000).contains(&size));
    }
    if let Ok(count) = value::count(text) {
        assert!((1..=4096).contains(&count));
    }
    if let Ok(processes) = value::processes(text) {
        assert!(processes <= 1024);
    }
    let _ = value::address(text);
}

fn seeds() -> Vec<Vec<u8>> {
    texts(&[
        "500ms",
        "1.5s",
        "2m",
        "24h",
        "7d",
        "512MiB",
        "2GiB",
        "1.5GB",
        "4096",
        "0",
        "nan s",
        "infms",
        "0.0.0.0:7077",
        "[::]:0",
        "localhost:1",
        "1e3ms",
        "-1s",
    ])
}
