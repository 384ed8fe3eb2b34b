//! Thousands of batches leave nothing behind: neither the master nor a worker grows with their number.

use super::crew::{Cluster, Tap, all_end};
use crate::pressure::resident;

/// Batches with state and windows; memory is first measured after this many.
const BATCHES: usize = 2400;
const BEFORE: usize = 800;
/// Growth allowed after twice as many batches, in KiB: buffers come into use.
const MORE: u64 = 6 << 10;

#[test]
fn processes_do_not_grow_with_the_number_of_batches() {
    let cluster = Cluster::new("word_count");
    let words = "batch_records=20&words=40&windows=batches";
    let source = format!("generate://words?records={}&{words}", 20 * BATCHES);
    let job =
        cluster.master(2).source("lines", source).sink("windowed", "csv+stdout:?header=false");
    let mut master = job.args(["--interval", "1s"]).unread().start();
    let mut tap = Tap::on(&mut master);
    let addr = master.listening();
    let workers = cluster.crew(&["w1", "w2"], addr);
    let memory = || [&master, &workers[0], &workers[1]].map(|process| resident(process.pid()));
    // All words are in every window.
    tap.read(40 * BEFORE);
    let before = memory();
    tap.read(40 * (BATCHES - BEFORE) - 1);
    let after = memory();
    for (before, after) in before.iter().zip(after) {
        assert!(after < before + MORE, "{before} KiB, and then {after} KiB");
    }
    tap.read_all();
    master.end().code(0);
    all_end(workers);
}
