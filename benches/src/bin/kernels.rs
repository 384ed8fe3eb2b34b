//! Compares dstream's table and splitter with the loops written by hand, in memory, on one thread.
#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use clap::Parser;
use dstream_bench::counts::Counts;
use dstream_bench::data;
use dstream_bench::expert::ExpertCounts;
use dstream_bench::plain::PlainCounts;
use dstream_runtime::exec::table::{Gather, KeyTable, hash_key};
use dstream_runtime::text::{Pattern, words};

/// Compares dstream's table and splitter with the loops written by hand.
#[derive(Parser)]
struct Options {
    /// Lines of 100 bytes.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Runs of every kernel, of which the median counts.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Only kernels with this in their name.
    #[arg(default_value = "")]
    only: String,
}

/// A loop over a text, and what it found.
type Kernel = fn(&str) -> u64;

/// In groups of the same work; the first of a group is what the others are compared with.
const KERNELS: [&[(&str, Kernel)]; 3] = [
    &[("words/std", words_std), ("words/dstream", words_dstream)],
    &[("grep/plain", grep::<PlainCounts>), ("grep/dstream", grep_dstream)],
    &[
        ("count/plain", count::<PlainCounts>),
        ("count/expert", count::<ExpertCounts>),
        ("count/dstream, no gather", count_singly),
        ("count/dstream", count_dstream),
    ],
];

/// Is in few lines.
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

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let mut bytes = Vec::new();
    data::write_words(options.rows, 1, &mut bytes)?;
    let text = String::from_utf8(bytes)?;
    for group in KERNELS {
        let group: Vec<_> = group.iter().filter(|(name, _)| name.contains(&options.only)).collect();
        let mut seconds = vec![Vec::new(); group.len()];
        let mut results = Vec::new();
        // In turns, so that a slow moment of the machine strikes all alike.
        for _ in 0..options.runs {
            for ((_, kernel), seconds) in group.iter().zip(&mut seconds) {
                let start = Instant::now();
                results.push(kernel(black_box(&text)));
                seconds.push(start.elapsed().as_secs_f64());
            }
        }
        if results.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(format!("kernels of the same work differ: {results:x?}").into());
        }
        let medians: Vec<f64> = seconds.into_iter().map(median).collect();
        for ((name, _), median) in group.iter().zip(&medians) {
            let rate = options.rows as f64 / median / 1e6;
            println!("{name:26} {rate:7.2}M lines/s {:6.2}x", medians[0] / median);
        }
    }
    Ok(())
}
