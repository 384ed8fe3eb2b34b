//! The cost of checkpoints and of the journal without failures.
//!
//! Input is read as fast as possible, so batches take less than their interval. `--checkpoint`, which counts
//! batches, is scaled so that states are saved at an interval of real time.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use dstream_bench::runs::Spread;
use serde_json::Value;

use crate::input;
use crate::replay::{self, Run, Way};
use crate::started::{Started, streams};

/// Measures the cost of checkpoints
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Jobs to run.
    #[arg(long, value_delimiter = ',', default_value = "word_count,word_count_window")]
    jobs: Vec<String>,
    /// Checkpoint intervals, in seconds.
    #[arg(long, value_delimiter = ',', default_value = "10,2")]
    checkpoints: Vec<f64>,
    #[command(flatten)]
    load: Load,
}

/// Measures the cost of the journal
#[derive(clap::Args)]
pub(crate) struct JournalOptions {
    /// The job; without state, so that only the journal is written.
    #[arg(long, default_value = "word_count")]
    job: String,
    /// A directory in memory, to separate the cost of the disk.
    #[arg(long, default_value = "/dev/shm")]
    memory: PathBuf,
    /// Seconds of live batches of 100 ms for the delay.
    #[arg(long, default_value_t = 10)]
    seconds: usize,
    #[command(flatten)]
    load: Load,
}

/// The load.
#[derive(clap::Args)]
struct Load {
    /// Lines of the input file.
    #[arg(long, default_value_t = 4_000_000)]
    rows: u64,
    /// How often the file is read.
    #[arg(long, default_value_t = 20)]
    times: usize,
    /// Lines per batch.
    #[arg(long, default_value_t = 1_000_000)]
    batch_records: u64,
    /// Workers, with one thread each.
    #[arg(long, default_value_t = 2)]
    workers: u32,
    /// Runs of each way, in turns.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// The directory for data and states.
    #[arg(long, default_value = "target/bench-data")]
    data: PathBuf,
}

impl Load {
    /// Replays the input, with a state directory below `place` if needed.
    fn replay(&self, job: &str, way: &Way, place: &Path) -> Result<Run, Box<dyn Error>> {
        let file = input::words(&self.data, self.rows)?;
        let dir = input::again(&file, self.times)?;
        let mut command = streams(job)?;
        let source = format!("lines=file://{}?batch_records={}", dir.display(), self.batch_records);
        command.args(["--source", &source, "--workers", &self.workers.to_string()]);
        command.args(["--cores", &self.workers.to_string()]);
        // Removed after the run.
        let state = tempfile::tempdir_in(place)?;
        give(&mut command, way, state.path());
        replay::run(command)
    }

    /// The `--checkpoint` option for that many seconds, at a measured pace of batches.
    fn every(&self, seconds: f64, batches: f64) -> [String; 2] {
        ["--checkpoint".to_owned(), format!("{:.0}ms", (seconds * batches).max(1.0).round() * 1e3)]
    }

    /// Runs the job once without durability; returns its batches per second.
    fn pace(&self, job: &str) -> Result<f64, Box<dyn Error>> {
        let run = self.replay(job, &nothing(), &self.data)?;
        println!("{job}: {:.2}M records/s, {:.2} batches per second", run.rate / 1e6, run.batches);
        Ok(run.batches)
    }
}

fn nothing() -> Way {
    Way { name: "nothing durable".to_owned(), options: Vec::new() }
}

/// Adds the options of a way, and a state directory if needed.
fn give(command: &mut Command, way: &Way, state: &Path) {
    command.args(&way.options);
    if !way.options.is_empty() {
        command.args(["--state".as_ref(), state.as_os_str()]);
    }
}

pub(crate) fn checkpoints(options: &Options) -> Result<(), Box<dyn Error>> {
    let load = &options.load;
    fs::create_dir_all(&load.data)?;
    for job in &options.jobs {
        let pace = load.pace(job)?;
        let mut ways = vec![nothing()];
        ways.extend(options.checkpoints.iter().map(|seconds| Way {
            name: format!("states saved every {seconds} s"),
            options: load.every(*seconds, pace).to_vec(),
        }));
        replay::compare(job, &ways, load.runs, |way| load.replay(job, way, &load.data))?;
    }
    Ok(())
}

pub(crate) fn journal(options: &JournalOptions) -> Result<(), Box<dyn Error>> {
    let (load, job) = (&options.load, &options.job);
    fs::create_dir_all(&load.data)?;
    let pace = load.pace(job)?;
    let way = |name: &str| Way { name: name.to_owned(), options: load.every(10.0, pace).to_vec() };
    let ways = [nothing(), way("a journal in memory"), way("a journal on the disk")];
    let place = |way: &Way| match way.name.as_str() {
        "a journal in memory" => options.memory.clone(),
        _ => load.data.clone(),
    };
    replay::compare(job, &ways, load.runs, |way| load.replay(job, way, &place(way)))?;
    let mut delays: Vec<Vec<(f64, f64)>> = ways.iter().map(|_| Vec::new()).collect();
    for _ in 0..load.runs {
        for (way, delays) in ways.iter().zip(&mut delays) {
            delays.push(live(options, way, &place(way))?);
        }
    }
    for (way, delays) in ways.iter().zip(delays) {
        let [half, most] = [|d: &(f64, f64)| d.0, |d: &(f64, f64)| d.1]
            .map(|which| Spread::of(delays.iter().map(which).collect()));
        println!(
            "batches of 100 ms, {:28}: delay p50 {:5.1} ms ({:.1}–{:.1}), p99 {:5.1} ms ({:.1}–{:.1})",
            way.name, half.median, half.min, half.max, most.median, most.min, most.max,
        );
    }
    Ok(())
}

/// The median and the 99th percentile of the delay of live batches of 100 ms.
fn live(options: &JournalOptions, way: &Way, place: &Path) -> Result<(f64, f64), Box<dyn Error>> {
    let mut command = streams(&options.job)?;
    command.args(["--source", "lines=generate://words?rate=100000", "--interval", "100ms"]);
    command.args(["--workers", &options.load.workers.to_string()]);
    command.args(["--cores", &options.load.workers.to_string()]);
    let state = tempfile::tempdir_in(place)?;
    let way = match way.options.is_empty() {
        true => nothing(),
        false => Way { name: String::new(), options: vec!["--checkpoint".into(), "10s".into()] },
    };
    give(&mut command, &way, state.path());
    let job = Started::start_with_batches(command)?;
    // One line per second.
    for _ in 0..options.seconds {
        job.wait_for("batch")?;
    }
    job.interrupt()?;
    let summary = job.end()?;
    let delay = |key: &str| summary["latency"][key].as_f64();
    let both = delay("p50_ms").zip(delay("p99_ms"));
    both.ok_or_else(|| Value::to_string(&summary).into())
}
