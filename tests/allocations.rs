//! Counts a job's allocations: per distinct word, block and piece of input, never per record.
//!
//! A test binary of its own, because the allocator counts for the whole process.

#![expect(unsafe_code, reason = "a global allocator is unsafe to write")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use dstream::prelude::*;
use dstream::testing::{Error, Run};

/// Counts calls to the system's allocator.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller upholds the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller upholds the contract.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller upholds the contract.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// One measurement at a time.
static ALONE: Mutex<()> = Mutex::new(());

#[dstream::job]
fn word_count() {
    let lines = source::text("none");
    let ones = lines.flat_map(|line| words(line)).map(|word| (word, 1u64));
    let counts = ones.reduce_by_key(|a, b| a + b);
    counts.save("none:");
}

#[dstream::job]
fn grep() {
    let lines = source::text("none");
    let matches = lines.filter(|line| line.contains("7"));
    matches.save("none:");
}

#[dstream::job]
fn over_time() {
    let lines = source::text("none");
    let ones = lines.flat_map(|line| words(line)).map(|word| (word, 1u64));
    let running = ones.running_reduce(|a, b| a + b);
    let windowed = ones.reduce_by_key_and_window(|a, b| a + b, |a, b| a - b, "2s", "1s");
    running.save("none:");
    windowed.save("none:");
}

#[dstream::job]
fn shouting() {
    let lines = source::text("none");
    let loud = lines.map(|line| line.to_uppercase());
    loud.save("none:");
}

/// Batches of lines with eight words each, from a vocabulary. Every word is in every batch.
fn text(batches: usize, lines: usize, vocabulary: usize) -> Vec<Vec<u8>> {
    assert!(lines * 8 >= vocabulary);
    let line = |n: usize| {
        let word = |i: usize| format!("a-word-of-some-length-{}", (n * 8 + i) % vocabulary);
        (0..8).map(word).collect::<Vec<_>>().join(" ") + "\n"
    };
    (0..batches).map(|_| (0..lines).map(line).collect::<String>().into_bytes()).collect()
}

const BATCHES: usize = 3;
const PARTITIONS: usize = 4;

/// The allocations of a run, the least of several: other interleavings of threads use other buffers.
macro_rules! allocations {
    ($job:expr, $lines:expr, $vocabulary:expr) => {{
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut least = u64::MAX;
        for _ in 0..3 {
            let input = text(BATCHES, $lines, $vocabulary);
            let run = Run::new($job).raw("lines", input).partitions(PARTITIONS as u32);
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            let done = run.run()?;
            least = least.min(ALLOCATIONS.load(Ordering::Relaxed) - before);
            assert_eq!(done.batches(), BATCHES as u64);
        }
        least
    }};
}

/// Extra allocations allowed for other interleavings of threads and for buffers that double once more: a few per
/// task.
const SLACK: u64 = 8 * (BATCHES * PARTITIONS * 2) as u64;

/// The number of words in a run with that many lines per batch.
fn words_of(lines: usize) -> u64 {
    (BATCHES * lines * 8) as u64
}

#[test]
fn an_allocation_per_record_would_be_seen() -> Result<(), Error> {
    let counted = allocations!(shouting, 4_000, 1_000);
    assert!(counted > words_of(4_000) / 8, "{counted}");
    Ok(())
}

#[test]
fn a_word_count_allocates_neither_per_word_nor_per_line() -> Result<(), Error> {
    let (lines, vocabulary) = (4_000, 1_000);
    let once = allocations!(word_count, lines, vocabulary);
    assert!(once < words_of(lines) / 40, "{once} for {} words", words_of(lines));
    let twice = allocations!(word_count, 2 * lines, vocabulary);
    assert!(twice.abs_diff(once) < SLACK, "{once}, with as many words again {twice}");
    // Distinct words may allocate, but they share buffers that double.
    let more = allocations!(word_count, lines, 4 * vocabulary);
    assert!(more.abs_diff(once) < 2 * SLACK, "{once}, with four times the vocabulary {more}");
    Ok(())
}

#[test]
fn windows_and_state_allocate_neither_per_word_nor_per_line() -> Result<(), Error> {
    let (lines, vocabulary) = (4_000, 1_000);
    let once = allocations!(over_time, lines, vocabulary);
    let twice = allocations!(over_time, 2 * lines, vocabulary);
    assert!(twice.abs_diff(once) < 2 * SLACK, "{once}, with as many words again {twice}");
    Ok(())
}

#[test]
fn grep_allocates_per_piece_of_input() -> Result<(), Error> {
    let once = allocations!(grep, 4_000, 1_000);
    assert!(once < words_of(4_000) / 80, "{once}");
    let four = allocations!(grep, 16_000, 1_000);
    assert!(four.abs_diff(once) < SLACK, "{once}, with four times the lines {four}");
    Ok(())
}
