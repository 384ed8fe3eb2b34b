//! The same work in one process and on a cluster with as many threads, in turns.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use dstream_bench::runs::Spread;

use crate::input;
use crate::started::{Started, streams};
use crate::usage::{self, Usage};

/// Compares one process with a cluster.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Jobs to run.
    #[arg(long, value_delimiter = ',', default_value = "word_count")]
    jobs: Vec<String>,
    /// Lines of input.
    #[arg(long, default_value_t = 4_000_000)]
    rows: u64,
    /// Lines per batch.
    #[arg(long, default_value_t = 500_000)]
    batch_records: u64,
    /// Numbers of workers; 0 is one process.
    #[arg(long, value_delimiter = ',', default_value = "0,2")]
    workers: Vec<u32>,
    /// Threads that run tasks, over all workers.
    #[arg(long, default_value_t = 2)]
    cores: u32,
    /// Runs of each case; the median counts.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Partitions of every dataset.
    #[arg(long, default_value_t = 8)]
    partitions: u32,
    /// The sink.
    #[arg(long, default_value = "none:")]
    sink: String,
    /// The directory for data.
    #[arg(long, default_value = "target/bench-data")]
    data: PathBuf,
}

/// One run.
struct Run {
    wall: f64,
    /// Seconds from the placement (in one process, the start) to the end.
    elapsed: f64,
    family: Vec<(String, u32)>,
    usages: Vec<Usage>,
    bytes: u64,
    batches: f64,
}

impl Run {
    fn cpu(&self) -> f64 {
        self.usages.iter().map(|usage| usage.cpu).sum()
    }
}

pub(crate) fn measure(options: &Options) -> Result<(), Box<dyn Error>> {
    let input = input::words(&options.data, options.rows)?;
    for job in &options.jobs {
        let mut runs: Vec<Vec<Run>> = options.workers.iter().map(|_| Vec::new()).collect();
        // One extra run to warm programs and data.
        for round in 0..=options.runs {
            for (workers, runs) in options.workers.iter().zip(&mut runs) {
                let run = run(options, job, *workers, &input)?;
                if round > 0 {
                    runs.push(run);
                }
            }
        }
        let median =
            |runs: &[Run], value: fn(&Run) -> f64| Spread::of(runs.iter().map(value).collect());
        let base = median(&runs[0], |run| run.elapsed).median;
        let base_cpu = median(&runs[0], Run::cpu).median;
        for (workers, runs) in options.workers.iter().zip(&runs) {
            let elapsed = median(runs, |run| run.elapsed);
            let (wall, cpu) = (median(runs, |run| run.wall), median(runs, Run::cpu));
            println!(
                "{job} on {workers} workers: {:5.2}M records/s ({:.2} s, {:.2}–{:.2}; process {:.2} s), {:.2}x  \
                 cpu {:.2} s, {:.2}x",
                options.rows as f64 / elapsed.median / 1e6,
                elapsed.median,
                elapsed.min,
                elapsed.max,
                wall.median,
                base / elapsed.median,
                cpu.median,
                base_cpu / cpu.median,
            );
            if let Some(last) = runs.last() {
                explain(last);
            }
        }
    }
    Ok(())
}

/// Prints where a run's processor time went.
fn explain(run: &Run) {
    for ((name, _), usage) in run.family.iter().zip(&run.usages) {
        let threads: Vec<_> =
            usage.threads.iter().map(|(kind, cpu)| format!("{kind} {cpu:.2}")).collect();
        println!(
            "    {name:7} {:5.2} s ({}), {:.0} wake-ups per batch, {} MB",
            usage.cpu,
            threads.join(", "),
            usage.sleeps as f64 / run.batches,
            usage.memory >> 20,
        );
    }
    println!("    through the loopback: {:.1} MB per batch", run.bytes as f64 / 1e6 / run.batches);
}

fn run(
    options: &Options,
    job: &str,
    workers: u32,
    input: &std::path::Path,
) -> Result<Run, Box<dyn Error>> {
    let mut command = streams(job)?;
    let source = format!(
        "lines=file://{}?batch_records={}&windows=batches",
        input.display(),
        options.batch_records
    );
    command.args(["--source", &source, "--workers", &workers.to_string()]);
    command.args(["--cores", &options.cores.to_string()]);
    command.args(["--partitions", &options.partitions.to_string()]);
    let outputs: &[&str] = match job {
        "grep" => &["matches"],
        "word_count_both" => &["counts", "windowed"],
        _ => &["counts"],
    };
    for output in outputs {
        command.args(["--sink", &format!("{output}={}", options.sink)]);
    }
    let (start, before) = (Instant::now(), usage::loopback());
    let mut job = Started::start(command)?;
    let mut family = job.family();
    let mut usages: BTreeMap<u32, Usage> = BTreeMap::new();
    let mut placed = None;
    while !job.has_ended()? {
        if placed.is_none() && job.said("placed") {
            placed = Some(Instant::now());
        }
        if family.len() <= workers as usize {
            family = job.family();
        }
        for (_, pid) in &family {
            // An exiting process has no memory and no threads.
            if let Some(usage) = usage::usage(*pid).filter(|usage| usage.memory > 0) {
                usages.entry(*pid).or_default().grow(usage);
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let (wall, bytes) = (start.elapsed().as_secs_f64(), usage::loopback() - before);
    let elapsed = placed.unwrap_or(start).elapsed().as_secs_f64();
    let summary = job.end()?;
    if summary["records"] != options.rows {
        return Err(format!("not all records were read: {summary}").into());
    }
    let usages = family.iter().map(|(_, pid)| usages.remove(pid).unwrap_or_default()).collect();
    let batches = summary["batches"].as_f64().unwrap_or(f64::NAN);
    Ok(Run { wall, elapsed, family, usages, bytes, batches })
}
