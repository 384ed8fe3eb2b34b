//! One of four workers is slow: how long batches take, with and without second runs of late tasks.
//!
//! The slow worker's process is stopped and continued in turns, so that it gets a fraction of its time; the
//! others are left alone. A batch takes from the cut of its input to its publication. The first batches of a
//! slow worker are shown by themselves: later it has lost partitions.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dstream_bench::runs::Spread;
use rustix::process::{Pid, Signal, kill_process};

use crate::started::{Started, streams};

/// Measures batches while one worker is slow.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The job.
    #[arg(long, default_value = "word_count_window")]
    job: String,
    /// Workers.
    #[arg(long, default_value_t = 4)]
    workers: u32,
    /// Records per second.
    #[arg(long, default_value_t = 2_000_000)]
    rate: u64,
    /// Partitions of every dataset.
    #[arg(long, default_value_t = 8)]
    partitions: u32,
    /// Batches that count, of each of the three runs.
    #[arg(long, default_value_t = 30)]
    batches: usize,
    /// For how long the slow worker is stopped, in milliseconds, and for how long it then runs.
    #[arg(long, value_delimiter = ',', default_value = "80,20")]
    duty: Vec<u64>,
    /// How often states are saved.
    #[arg(long, default_value = "10s")]
    checkpoint: String,
}

/// Batches at the start that do not count.
const WARM: usize = 5;
/// So many batches are what a slow worker costs before it has lost partitions.
const FIRST: usize = 5;

pub(crate) fn measure(options: &Options) -> Result<(), Box<dyn Error>> {
    let normal = one(options, "normal", false, true)?;
    let without = one(options, "one slow, without speculation", true, false)?;
    let with = one(options, "one slow, with speculation", true, true)?;
    println!(
        "with a slow worker a batch takes {:.2} x as long without speculation, {:.2} x with it",
        without / normal,
        with / normal
    );
    Ok(())
}

/// The median time of a batch, in milliseconds.
fn one(options: &Options, name: &str, slow: bool, speculate: bool) -> Result<f64, Box<dyn Error>> {
    let mut command = streams(&options.job)?;
    command.args(["--source", &format!("lines=generate://words?rate={}", options.rate)]);
    command.args(["--workers", &options.workers.to_string(), "--checkpoint", &options.checkpoint]);
    command.args(["--partitions", &options.partitions.to_string()]);
    command.args(["--speculate", if speculate { "on" } else { "off" }]);
    let job = Started::start_with_batches(command)?;
    let mut took = Vec::new();
    while took.len() < WARM {
        took.push(job.wait_for("batch")?["processing_ms"].as_f64().unwrap_or(f64::NAN));
    }
    took.clear();
    let family = job.family();
    let victim = family.iter().filter(|(name, _)| name != "master").nth(1).map(|(_, pid)| *pid);
    let victim = victim.and_then(|pid| Pid::from_raw(pid.cast_signed())).ok_or("no worker")?;
    let over = AtomicBool::new(false);
    let result = std::thread::scope(|scope| {
        if slow {
            scope.spawn(|| hog(victim, &options.duty, &over));
        }
        let result: Result<(), Box<dyn Error>> = (|| {
            while took.len() < options.batches {
                let batch = job.wait_for("batch")?;
                took.push(batch["processing_ms"].as_f64().unwrap_or(f64::NAN));
            }
            Ok(())
        })();
        over.store(true, Ordering::Relaxed);
        result
    });
    let said = job.all_said();
    result?;
    job.interrupt()?;
    let summary = job.end()?;
    let first = Spread::of(took.iter().take(FIRST).copied().collect());
    let all = Spread::of(took);
    println!(
        "{name:30}: median {:6.0} ms ({:.0}–{:.0}); of the first {FIRST} batches {:6.0} ms; second runs {}",
        all.median, all.min, all.max, first.median, summary["speculations"]
    );
    for news in
        said.iter().filter(|n| ["slow", "fast_again"].contains(&n["event"].as_str().unwrap_or("")))
    {
        println!("    {news}");
    }
    Ok(all.median)
}

/// Lets a process run for a part of the time only, until it is over.
fn hog(victim: Pid, duty: &[u64], over: &AtomicBool) {
    let [stopped, runs] =
        [0, 1].map(|at| Duration::from_millis(duty.get(at).copied().unwrap_or(50)));
    let begun = Instant::now();
    while !over.load(Ordering::Relaxed) && begun.elapsed() < Duration::from_secs(600) {
        // A process that is gone shows in what the job does.
        let _ = kill_process(victim, Signal::STOP);
        std::thread::sleep(stopped);
        let _ = kill_process(victim, Signal::CONT);
        std::thread::sleep(runs);
    }
}
