//! A restart does not change the output.

use dstream::prelude::*;
use dstream::testing::{Done, Run};

use crate::{Tested, every};

#[dstream::job]
fn stateful() {
    let lines = source::text("none");
    let ones = lines.flat_map(|line| words(line)).map(|word| (word, 1u64));
    let running = ones.running_reduce(|a, b| a + b);
    let inverse = ones.reduce_by_key_and_window(|a, b| a + b, |a, b| a - b, "4s", "1s");
    let plain = ones.reduce_by_key_and_window(|a, b| a.max(b) + 1, "4s", "2s");
    let rows = lines.window("3s", "1s");
    running.save("none:");
    inverse.save("none:");
    plain.save("none:");
    rows.save("none:");
}

/// Everything that all outputs published.
fn bytes(done: &Done) -> Vec<(String, u64, Vec<String>)> {
    let mut all = Vec::new();
    for output in ["running", "inverse", "plain", "rows"] {
        for batch in 1..=done.batches() {
            all.push((output.to_owned(), batch, done.lines(output, batch).unwrap_or_default()));
        }
    }
    all
}

fn batches() -> Vec<Vec<String>> {
    let batch = |n: usize| match n % 5 {
        3 => vec![],
        _ => (0..9).map(|i| format!("k{} k{} {}", (n * i) % 7, n % 4, "z".repeat(i * 4))).collect(),
    };
    (1..=14).map(batch).collect()
}

#[test]
fn a_restart_after_any_batch_publishes_the_same_bytes() -> Tested {
    every(|partitions| {
        let run = || Run::new(stateful).input("lines", batches()).partitions(partitions);
        let whole = bytes(&run().run()?);
        for batch in 1..14 {
            assert_eq!(bytes(&run().restart_after(batch).run()?), whole, "after batch {batch}");
        }
        let often = (1..14).fold(run(), Run::restart_after);
        assert_eq!(bytes(&often.run()?), whole, "after every batch");
        Ok(())
    })
}

#[test]
fn blocks_in_files_change_nothing() -> Tested {
    every(|partitions| {
        let run = |memory| {
            Run::new(stateful).input("lines", batches()).partitions(partitions).memory(memory)
        };
        let whole = bytes(&run(u64::MAX).run()?);
        for memory in [0, 1000] {
            assert_eq!(bytes(&run(memory).run()?), whole, "{memory} bytes of memory");
        }
        assert_eq!(bytes(&run(0).restart_after(5).run()?), whole, "and a restart");
        Ok(())
    })
}

#[test]
fn threads_change_nothing() -> Tested {
    every(|partitions| {
        let run = |threads| {
            Run::new(stateful).input("lines", batches()).partitions(partitions).threads(threads)
        };
        let one = bytes(&run(1).run()?);
        for threads in [2, 5] {
            assert_eq!(bytes(&run(threads).run()?), one, "{threads} threads");
        }
        Ok(())
    })
}
