//! The duration of batches while one of four workers is slow, with and without speculation.
//!
//! The slow worker's process is stopped and continued in turns, so that it gets a fraction of its time. A
//! real hog would also slow the other workers, which share two cores here: that would measure a smaller
//! machine, not a slow worker. The period is shorter than a task. A batch lasts from its cut to its
//! publication. The first batches with a slow worker are also shown separately, since it loses partitions
//! later.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dstream_bench::runs::Spread;
use rustix::process::{Pid, Signal, kill_process};

use crate::started::{Started, streams};
use crate::usage::usage;

/// Measures batches with one slow worker
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The job; its batch interval is a second.
    #[arg(long, default_value = "word_count_window")]
    job: String,
    /// Workers.
    #[arg(long, default_value_t = 4)]
    workers: u32,
    /// Records per second: low enough that other workers can help, and high enough for tasks long enough to
    /// be speculated.
    #[arg(long, default_value_t = 600_000)]
    rate: u64,
    /// Partitions of every dataset.
    #[arg(long, default_value_t = 8)]
    partitions: u32,
    /// Measured batches per run.
    #[arg(long, default_value_t = 14)]
    batches: usize,
    /// Runs of each case, in turns.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Milliseconds for which the slow worker is stopped, and then runs.
    #[arg(long, value_delimiter = ',', default_value = "24,4")]
    duty: Vec<u64>,
    /// Checkpoint interval.
    #[arg(long, default_value = "10s")]
    checkpoint: String,
}

/// Warm-up batches, not measured.
const WARM: usize = 5;
/// Batches before a slow worker has lost partitions.
const FIRST: usize = 4;
/// The aim, in multiples of the normal duration.
const AIM: f64 = 1.8;

/// A case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Case {
    name: &'static str,
    hog: bool,
    speculate: &'static str,
}

const CASES: [Case; 3] = [
    Case { name: "normal", hog: false, speculate: "on" },
    Case { name: "one slow, without speculation", hog: true, speculate: "off" },
    Case { name: "one slow, with speculation", hog: true, speculate: "on" },
];

/// Median durations of batches in a run, in milliseconds.
struct Run {
    first: f64,
    all: f64,
}

pub(crate) fn measure(options: &Options) -> Result<(), Box<dyn Error>> {
    let mut runs: [Vec<Run>; 3] = Default::default();
    for _ in 0..options.runs {
        for (case, runs) in CASES.iter().zip(&mut runs) {
            runs.push(one(options, *case)?);
        }
    }
    println!();
    for (case, own) in CASES.iter().zip(&runs) {
        let spread = |value: fn(&Run) -> f64| Spread::of(own.iter().map(value).collect());
        // Relative to the normal run of the same turn.
        let times = |value: fn(&Run) -> f64| {
            let pairs = runs[0].iter().zip(own);
            Spread::of(pairs.map(|(normal, run)| value(run) / normal.all).collect())
        };
        let (took, all, first) =
            (spread(|run| run.all), times(|run| run.all), times(|run| run.first));
        println!(
            "{:30}: a batch takes {:4.0} ms ({:.0}–{:.0}), {:.2} x normal ({:.2}–{:.2}); the first {FIRST} {:.2} x \
             ({:.2}–{:.2})",
            case.name,
            took.median,
            took.min,
            took.max,
            all.median,
            all.min,
            all.max,
            first.median,
            first.min,
            first.max,
        );
    }
    println!("aim: with speculation at most {AIM} x normal");
    Ok(())
}

fn one(options: &Options, case: Case) -> Result<Run, Box<dyn Error>> {
    let mut command = streams(&options.job)?;
    command.args(["--source", &format!("lines=generate://words?rate={}", options.rate)]);
    command.args(["--workers", &options.workers.to_string(), "--checkpoint", &options.checkpoint]);
    command.args(["--partitions", &options.partitions.to_string()]);
    command.args(["--speculate", case.speculate]);
    let job = Started::start_with_batches(command)?;
    batches(&job, WARM)?;
    let mut family = job.family();
    family.retain(|(name, _)| name != "master");
    let second = family.get(1).map(|(_, pid)| *pid);
    let pid = second.ok_or("there is no second worker that could be slow")?;
    let victim = Pid::from_raw(pid.cast_signed()).ok_or("a worker without a process")?;
    let processor = || usage(pid).map_or(0.0, |usage| usage.cpu);
    let (begun, before) = (Instant::now(), processor());
    let over = AtomicBool::new(false);
    let took = std::thread::scope(|scope| {
        if case.hog {
            scope.spawn(|| hog(victim, &options.duty, &over));
        }
        // Skip batches cut before.
        let took = batches(&job, 1).and_then(|_| batches(&job, options.batches));
        over.store(true, Ordering::Relaxed);
        took
    })?;
    let share = (processor() - before) / begun.elapsed().as_secs_f64();
    let said = job.all_said();
    job.interrupt()?;
    let summary = job.end()?;
    let first = Spread::of(took.iter().take(FIRST).copied().collect());
    let all = Spread::of(took);
    println!(
        "{:30}: median {:4.0} ms ({:.0}–{:.0}), of the first {FIRST} batches {:4.0} ms; that worker had {:.0} % of a \
         core; second runs {}",
        case.name,
        all.median,
        all.min,
        all.max,
        first.median,
        share * 100.0,
        summary["speculations"]
    );
    let slow = ["slow", "fast_again"];
    for news in said.iter().filter(|news| slow.iter().any(|event| news["event"] == *event)) {
        println!("    {news}");
    }
    Ok(Run { first: first.median, all: all.median })
}

/// The durations of the next batches, in milliseconds.
fn batches(job: &Started, count: usize) -> Result<Vec<f64>, Box<dyn Error>> {
    let mut took = Vec::new();
    while took.len() < count {
        let news = job.wait_for("batch")?;
        if news["batches"] != 1 {
            return Err(format!("not every batch has a line: {news}").into());
        }
        let processing = news["processing_ms"].as_f64();
        took.push(processing.ok_or_else(|| format!("no processing_ms: {news}"))?);
    }
    Ok(took)
}

/// Lets a process run for a fraction of the time, until `over`.
fn hog(victim: Pid, duty: &[u64], over: &AtomicBool) {
    let [stopped, runs] =
        [0, 1].map(|at| Duration::from_millis(duty.get(at).copied().unwrap_or(10)));
    let mut next = Instant::now();
    let mut signal = |signal, length| {
        // The job reports a lost process.
        let _ = kill_process(victim, signal);
        // By the clock: a late turn shortens the next.
        next += length;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    };
    let begun = Instant::now();
    while !over.load(Ordering::Relaxed) && begun.elapsed() < Duration::from_secs(600) {
        signal(Signal::STOP, stopped);
        signal(Signal::CONT, runs);
    }
    let _ = kill_process(victim, Signal::CONT);
}
