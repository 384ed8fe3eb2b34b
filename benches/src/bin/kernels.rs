//! Compares dstream with hand-written loops in memory, on one thread: its table and splitter alone, and
//! whole fused stages compiled by its macros.
#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use clap::Parser;
use dstream_bench::counts::Counts;
use dstream_bench::expert::ExpertCounts;
use dstream_bench::fused::Stage;
use dstream_bench::plain::PlainCounts;
use dstream_bench::runs::Spread;
use dstream_bench::{data, streams};
use dstream_runtime::exec::table::{Gather, KeyTable, hash_key};
use dstream_runtime::text::{Pattern, words};

/// Compares dstream with hand-written loops
#[derive(Parser)]
struct Options {
    /// Lines of 100 bytes, and rows of CSV.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Runs of each kernel; the median counts.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Only kernels whose name contains this.
    #[arg(default_value = "")]
    only: String,
}

/// A loop over a text; returns a checksum.
type Kernel = Box<dyn FnMut(&'static str) -> u64>;

/// Kernels of the same work; the others are compared with the first.
struct Group {
    csv: bool,
    kernels: Vec<(&'static str, Kernel)>,
}

fn groups() -> Result<Vec<Group>, Box<dyn Error>> {
    let pattern = streams::GrepParams { pattern: RARE.to_owned() };
    let mut grep_job = Stage::new(streams::grep, pattern);
    let mut count_job = Stage::without_params(streams::word_count)?;
    let mut csv_job = Stage::without_params(streams::csv_sum)?;
    let text = |kernels| Group { csv: false, kernels };
    let kernel = |kernel: fn(&'static str) -> u64| Box::new(kernel) as Kernel;
    Ok(vec![
        text(vec![("words/std", kernel(words_std)), ("words/dstream", kernel(words_dstream))]),
        text(vec![
            ("grep/plain", kernel(grep::<PlainCounts>)),
            ("grep/expert", kernel(grep::<ExpertCounts>)),
            ("grep/dstream, loop", kernel(grep_dstream)),
            ("grep/dstream, stage", Box::new(move |text| grep_job.records(text))),
        ]),
        text(vec![
            ("count/plain", kernel(count::<PlainCounts>)),
            ("count/expert", kernel(count::<ExpertCounts>)),
            ("count/dstream, no gather", kernel(count_singly)),
            ("count/dstream, loop", kernel(count_dstream)),
            ("count/dstream, stage", Box::new(move |text| count_job.checksum(text))),
        ]),
        Group {
            csv: true,
            kernels: vec![
                ("csv/plain", kernel(csv::<PlainCounts>)),
                ("csv/expert", kernel(csv::<ExpertCounts>)),
                ("csv/dstream, stage", Box::new(move |text| csv_job.checksum(text))),
            ],
        },
    ])
}

/// Occurs in few lines.
const RARE: &str = "needle";

fn text_lines(text: &str) -> impl Iterator<Item = &str> {
    let (mut from, mut ends) = (0, memchr::memchr_iter(b'\n', text.as_bytes()));
    std::iter::from_fn(move || {
        let end = ends.next()?;
        let line = &text[from..end];
        from = end + 1;
        Some(line)
    })
}

fn words_std(text: &str) -> u64 {
    let words = text_lines(text).flat_map(str::split_ascii_whitespace);
    words.map(|word| black_box(word).len() as u64).sum()
}

fn words_dstream(text: &str) -> u64 {
    let mut sum = 0;
    for line in text_lines(text) {
        for word in words(line) {
            sum += black_box(word).len() as u64;
        }
    }
    sum
}

fn grep<C: Counts>(text: &str) -> u64 {
    let mut found = 0;
    C::grep(text.as_bytes(), RARE, |_| found += 1);
    found
}

fn grep_dstream(text: &str) -> u64 {
    let pattern = Pattern::new(RARE);
    text_lines(text).filter(|line| pattern.is_in(line)).count() as u64
}

/// A checksum of counts.
fn checksum<'a>(counts: impl Iterator<Item = (&'a [u8], u64)>) -> u64 {
    counts.fold(0, |sum, (word, n)| sum.wrapping_add(hash_key(word).wrapping_mul(n)))
}

fn count<C: Counts>(text: &str) -> u64 {
    let mut counts = C::default();
    counts.add_words(text.as_bytes());
    let mut sum = 0u64;
    counts.each(|word, n| sum = sum.wrapping_add(checksum([(word, n)].into_iter())));
    sum
}

fn csv<C: Counts>(text: &str) -> u64 {
    let mut sums = C::default();
    sums.add_csv(text.as_bytes());
    let mut sum = 0u64;
    sums.each(|url, n| sum = sum.wrapping_add(checksum([(url, n)].into_iter())));
    sum
}

fn count_singly(text: &str) -> u64 {
    let mut table = KeyTable::new();
    for line in text_lines(text) {
        for word in words(line) {
            let hash = hash_key(word.as_bytes());
            table.upsert_with(word.as_bytes(), hash, 1u64, |n| n, |sum, n| *sum += n);
        }
    }
    checksum(table.iter().map(|(word, _, n)| (word, *n)))
}

fn count_dstream(text: &str) -> u64 {
    let (mut table, mut gather) = (KeyTable::new(), Gather::new());
    for line in text_lines(text) {
        for word in words(line) {
            if gather.push(word.as_bytes(), 1u64) {
                gather.drain(&mut table, |n| n, |sum, n| *sum += n);
            }
        }
    }
    gather.drain(&mut table, |n| n, |sum, n| *sum += n);
    checksum(table.iter().map(|(word, _, n)| (word, *n)))
}

/// The text, or the rows of CSV.
fn made(options: &Options, csv: bool) -> Result<&'static str, Box<dyn Error>> {
    let mut bytes = Vec::new();
    if csv {
        data::write_csv(options.rows, 1, &mut bytes)?;
        // Stages get what follows the header.
        let header = memchr::memchr(b'\n', &bytes).map_or(0, |end| end + 1);
        bytes.drain(..header);
    } else {
        data::write_words(options.rows, 1, &mut bytes)?;
    }
    Ok(String::from_utf8(bytes)?.leak())
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let (text, rows) = (made(&options, false)?, made(&options, true)?);
    for Group { csv, kernels } in groups()? {
        let text = if csv { rows } else { text };
        let mut kernels: Vec<_> =
            kernels.into_iter().filter(|(name, _)| name.contains(&options.only)).collect();
        let mut seconds = vec![Vec::new(); kernels.len()];
        let mut results = Vec::new();
        // In turns, so that a slow moment affects all alike.
        for _ in 0..options.runs {
            for ((_, kernel), seconds) in kernels.iter_mut().zip(&mut seconds) {
                let start = Instant::now();
                results.push(kernel(black_box(text)));
                seconds.push(start.elapsed().as_secs_f64());
            }
        }
        if results.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(format!("kernels of the same work differ: {results:x?}").into());
        }
        let spreads: Vec<_> = seconds.into_iter().map(Spread::of).collect();
        for ((name, _), Spread { median, min, .. }) in kernels.iter().zip(&spreads) {
            let rate = options.rows as f64 / median / 1e6;
            println!(
                "{name:26} {rate:7.2}M lines/s {:6.2}x, at best {:6.2}x",
                spreads[0].median / median,
                spreads[0].min / min
            );
        }
    }
    Ok(())
}
