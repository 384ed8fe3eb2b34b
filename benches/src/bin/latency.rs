//! The cost of a batch without load: empty batches as fast as possible, and live batches of a millisecond.
//!
//! ```text
//! target/fat/latency                       # on all cores
//! taskset -c 0 target/fat/latency          # on one
//! ```
#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

use std::error::Error;
use std::time::{Duration, Instant};

use clap::Parser;
use dstream_bench::streams;
use dstream_runtime::driver::{self, BatchReport, LocalConfig, Observer, StopHandle};
use dstream_runtime::exec::job::{Bindings, BuiltJob};
use dstream_runtime::job::AnyJob;
use dstream_runtime::plan::Plan;
use dstream_runtime::sink;
use dstream_runtime::source::{self, MemorySource, OpenOptions, Source};

/// Measures the cost of a batch
#[derive(Parser)]
struct Options {
    /// Threads that run tasks.
    #[arg(long, default_value_t = 1)]
    cores: usize,
    /// Partitions of every dataset.
    #[arg(long, default_value_t = 8)]
    partitions: u32,
    /// Interval of live batches, in microseconds.
    #[arg(long, default_value_t = 1000)]
    interval_us: u64,
    /// Records per second of a live job.
    #[arg(long, default_value_t = 100_000)]
    rate: u64,
    /// Seconds of a live job.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Number of empty batches.
    #[arg(long, default_value_t = 20_000)]
    empty: usize,
    /// Only jobs whose name contains this.
    #[arg(default_value = "")]
    only: String,
}

#[derive(Default)]
struct Times {
    processing: Vec<Duration>,
    delay: Vec<Duration>,
    records: u64,
    /// Ends a live job after that many batches.
    stop: Option<(StopHandle, usize)>,
}

impl Observer for Times {
    fn on_batch(&mut self, report: &BatchReport<'_>) {
        self.processing.push(report.processing);
        self.delay.extend(report.delay);
        self.records += report.sources.iter().map(|source| source.records).sum::<u64>();
        if let Some((stop, batches)) = &self.stop
            && self.processing.len() == *batches
        {
            stop.stop();
        }
    }
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |share: f64| {
        let index = (times.len().saturating_sub(1) as f64 * share) as usize;
        times.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
    };
    format!(
        "p50 {:7.0} µs  p90 {:7.0} µs  p99 {:7.0} µs  max {:7.0} µs",
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    )
}

fn built(job: &dyn AnyJob) -> Result<(&'static Plan, BuiltJob), clap::Error> {
    let plan = job.plan();
    let matches = job.augment(clap::Command::new(plan.job)).try_get_matches_from([plan.job])?;
    Ok((plan, job.build(&matches, Bindings::default())?))
}

fn run(
    options: &Options,
    job: &dyn AnyJob,
    source: Box<dyn Source>,
    times: &mut Times,
    in_flight: u32,
) -> Result<Duration, Box<dyn Error>> {
    let (plan, built) = built(job)?;
    let config = LocalConfig {
        partitions: options.partitions,
        cores: options.cores,
        in_flight,
        interval: Some(Duration::from_micros(options.interval_us)),
        ..LocalConfig::default()
    };
    let open = |row: &dstream_runtime::plan::OutputRow| {
        sink::open("none:", row.name, &sink::Options::default())
    };
    let sinks = plan.outputs.iter().map(open).collect::<Result<_, _>>()?;
    let stop = times.stop.as_ref().map_or_else(StopHandle::new, |(stop, _)| stop.clone());
    let start = Instant::now();
    driver::run(built, config, vec![source], sinks, times, stop)?;
    Ok(start.elapsed())
}

fn empty(options: &Options, job: &dyn AnyJob, in_flight: u32) -> Result<(), Box<dyn Error>> {
    let mut times = Times::default();
    let source = Box::new(MemorySource::new(vec![Vec::new(); options.empty]));
    let took = run(options, job, source, &mut times, in_flight)?;
    println!(
        "{:18} empty, {in_flight} in flight: {:6.1} µs per batch  {}",
        job.plan().job,
        took.as_secs_f64() * 1e6 / options.empty as f64,
        percentiles(times.processing)
    );
    Ok(())
}

fn live(options: &Options, job: &dyn AnyJob) -> Result<(), Box<dyn Error>> {
    let interval = Duration::from_micros(options.interval_us);
    let batches = (options.seconds * 1_000_000 / options.interval_us.max(1)) as usize;
    let (plan, spec) = built(job)?;
    let url = format!("generate://words?rate={}", options.rate);
    let open = OpenOptions { interval, ..OpenOptions::default() };
    let format = spec.sources.first().map(|source| source.format);
    let source = source::open(&url, format.ok_or("the job has no source")?, &open)?;
    let mut times = Times { stop: Some((StopHandle::new(), batches)), ..Times::default() };
    let took = run(options, job, source, &mut times, 4)?;
    let quarter = times.delay.len() / 4;
    let (first, last) = (&times.delay[..quarter], &times.delay[times.delay.len() - quarter..]);
    let median = |delays: &[Duration]| {
        let mut delays = delays.to_vec();
        delays.sort_unstable();
        delays.get(delays.len() / 2).copied().unwrap_or_default()
    };
    println!(
        "{:18} live, every {interval:?}, {:.0} records/s, delay {}  (first quarter {:?}, last {:?})",
        plan.job,
        times.records as f64 / took.as_secs_f64(),
        percentiles(times.delay.clone()),
        median(first),
        median(last),
    );
    println!("{:18}   from cut to visible: {}", "", percentiles(times.processing));
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let jobs: [&dyn AnyJob; 4] =
        [&streams::grep, &streams::word_count, &streams::word_count_both, &streams::top_k_window];
    for job in jobs.into_iter().filter(|job| job.plan().job.contains(&options.only)) {
        empty(&options, job, 1)?;
        empty(&options, job, 4)?;
        live(&options, job)?;
    }
    Ok(())
}
