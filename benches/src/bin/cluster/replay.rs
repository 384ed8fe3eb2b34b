//! Runs a job in several ways on the same input, as fast as possible, to compare throughput.
//!
//! The ways run in turns, and each run is compared with the first way's run of the same turn. Throughput is
//! measured between the first and the last batch reported, without start and end. Processor time covers all
//! processes from start to end.

use std::error::Error;
use std::process::Command;
use std::time::Instant;

use dstream_bench::runs::{self, Spread};

use crate::started::Started;

/// A way to run a job.
pub(crate) struct Way {
    /// For people.
    pub(crate) name: String,
    /// Options of the job.
    pub(crate) options: Vec<String>,
}

/// One run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// Records per second.
    pub(crate) rate: f64,
    /// Batches per second.
    pub(crate) batches: f64,
    /// Seconds of processor time.
    pub(crate) cpu: f64,
}

/// Runs a job to its end.
pub(crate) fn run(command: Command) -> Result<Run, Box<dyn Error>> {
    let before = runs::processor_time_of_children()?;
    let job = Started::start_with_batches(command)?;
    let (mut first, mut last) = (None, None);
    let (mut records, mut batches) = (0.0, 0.0);
    for news in job.until_its_end().filter(|news| news["event"] == "batch") {
        let now = Instant::now();
        // A log line covers all batches since the previous one.
        if first.is_some() {
            let number = |key: &str| news[key].as_f64().ok_or_else(|| format!("no {key}: {news}"));
            records += number("records")?;
            batches += number("batches")?;
        }
        first.get_or_insert(now);
        last = Some(now);
    }
    job.end()?;
    let cpu = runs::processor_time_of_children()? - before;
    match first.zip(last).map(|(first, last)| (last - first).as_secs_f64()) {
        Some(took) if took >= 1.0 => Ok(Run { rate: records / took, batches: batches / took, cpu }),
        took => Err(format!("too little input: batches were told of for {took:?} s").into()),
    }
}

/// Runs all ways in turns, and prints how they compare with the first.
pub(crate) fn compare(
    what: &str,
    ways: &[Way],
    turns: usize,
    run: impl Fn(&Way) -> Result<Run, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let mut all: Vec<Vec<Run>> = ways.iter().map(|_| Vec::new()).collect();
    for _ in 0..turns {
        for (way, runs) in ways.iter().zip(&mut all) {
            runs.push(run(way)?);
        }
    }
    for (way, runs) in ways.iter().zip(&all) {
        let spread = |value: &dyn Fn(&Run, &Run) -> f64| {
            let base = all.iter().take(1).flatten();
            Spread::of(base.zip(runs).map(|(base, run)| value(base, run)).collect())
        };
        let rate = spread(&|_, run| run.rate / 1e6);
        let (ratio, cpu) =
            (spread(&|base, run| run.rate / base.rate), spread(&|base, run| run.cpu / base.cpu));
        println!(
            "{what}, {:28}: {:5.2}M records/s ({:.2}–{:.2}), {:.3} x ({:.3}–{:.3}), processor time {:.3} x \
             ({:.3}–{:.3})",
            way.name,
            rate.median,
            rate.min,
            rate.max,
            ratio.median,
            ratio.min,
            ratio.max,
            cpu.median,
            cpu.min,
            cpu.max,
        );
    }
    Ok(())
}
