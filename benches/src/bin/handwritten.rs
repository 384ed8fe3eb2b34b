//! Runs a hand-written job and prints its speed as a line of JSON.
#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

use std::error::Error;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use dstream_bench::counts::Counts;
use dstream_bench::expert::ExpertCounts;
use dstream_bench::jobs::{self, Setup};
use dstream_bench::output::Output;
use dstream_bench::plain::PlainCounts;
use dstream_bench::{data, input};

#[derive(Clone, Copy, ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
enum Job {
    Grep,
    WordCount,
    CsvSum,
    WordCountWindow,
    WordCountBoth,
    TopKWindow,
}

#[derive(Clone, Copy, ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
enum Style {
    /// Good libraries, no tricks.
    Plain,
    /// As fast as possible.
    Expert,
}

/// Runs a hand-written job and prints its speed as a line of JSON
#[derive(Parser)]
struct Options {
    job: Job,
    /// Input file, from `data`.
    file: PathBuf,
    #[arg(long, default_value = "plain")]
    style: Style,
    #[arg(long, default_value = "1")]
    threads: NonZeroUsize,
    /// Lines per batch.
    #[arg(long, default_value = "1000000")]
    batch_records: NonZeroUsize,
    /// Pattern of grep [default: a word in about one line of 900].
    #[arg(long)]
    pattern: Option<String>,
    /// Output file.
    #[arg(long, required_unless_present = "no_output")]
    output: Option<PathBuf>,
    /// Count results without writing them.
    #[arg(long, conflicts_with = "output")]
    no_output: bool,
}

/// The printed figures.
#[derive(serde::Serialize)]
struct Figures {
    job: Job,
    style: Style,
    threads: usize,
    records: usize,
    seconds: f64,
    records_per_second: f64,
    rows: u64,
    checksum: String,
}

fn run<C: Counts>(options: &Options, setup: Setup<'_>, output: &mut Output) {
    match options.job {
        Job::Grep => {
            let pattern = options.pattern.clone().unwrap_or_else(|| data::word(1000));
            jobs::grep::<C>(setup, &pattern, output);
        }
        Job::WordCount => jobs::word_count::<C>(setup, output),
        Job::CsvSum => jobs::csv_sum::<C>(setup, output),
        Job::WordCountWindow => jobs::word_count_window::<C>(setup, output),
        Job::WordCountBoth => jobs::word_count_both::<C>(setup, output),
        Job::TopKWindow => jobs::top_k_window::<C>(setup, output),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let mut output = Output::new(options.output.as_deref())?;
    let start = Instant::now();
    let text = input::map(&options.file)
        .map_err(|error| format!("cannot map {}: {error}", options.file.display()))?;
    let threads = options.threads.get();
    let setup = Setup { text: &text, threads, batch_records: options.batch_records.get() };
    match options.style {
        Style::Plain => run::<PlainCounts>(&options, setup, &mut output),
        Style::Expert => run::<ExpertCounts>(&options, setup, &mut output),
    }
    output.finish()?;
    let seconds = start.elapsed().as_secs_f64();
    let records = input::count_lines(&text);
    let figures = Figures {
        job: options.job,
        style: options.style,
        threads,
        records,
        seconds,
        records_per_second: records as f64 / seconds,
        rows: output.rows,
        checksum: format!("{:016x}", output.checksum),
    };
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}
