//! The thread that spills blocks to files.
//!
//! It starts when memory is first full and ends with the store. A block stays readable in memory until it is
//! written; failed writes are retried.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::kept::Entry;
use super::segment::{Segment, room_for};
use super::{Shared, SpillError};
use crate::block::Block;

/// Bytes written and mapped at once: few maps, but memory is freed soon.
const RUN: u64 = 4 << 20;

/// Pause before a full disk is tried again.
const AGAIN: Duration = Duration::from_millis(250);

/// Spills blocks while memory exceeds the bound, until the store is closed.
pub(super) fn serve(shared: &Shared) {
    let mut segment = None;
    while shared.wait_for_work() {
        // Free slightly more than necessary, so that not every new block starts a spill.
        while shared.memory() > shared.options.memory / 8 * 7 {
            match run(shared, &mut segment) {
                Ok(true) => shared.tell(None),
                Ok(false) => {
                    // Blocks are being added or dropped right now.
                    std::thread::yield_now();
                    break;
                }
                Err(error) => {
                    segment = None;
                    shared.tell(Some(error));
                    if !shared.sleep(AGAIN) {
                        return;
                    }
                }
            }
        }
        shared.tell(None);
    }
}

/// Spills the least recently used blocks; returns `false` if there are none.
fn run(shared: &Shared, segment: &mut Option<Segment>) -> Result<bool, SpillError> {
    let chosen = choose(shared);
    let written = write(shared, segment, &chosen);
    if written.is_err() {
        for (entry, _) in &chosen {
            shared.queue(entry);
        }
    }
    written.map(|()| !chosen.is_empty())
}

fn choose(shared: &Shared) -> Vec<(Arc<Entry>, Block)> {
    let (mut chosen, mut bytes) = (Vec::new(), 0);
    let excess = shared.memory().saturating_sub(shared.options.memory / 8 * 7);
    let look = |entry: &Weak<Entry>| entry.upgrade().map(|e| (Arc::clone(&e), e.used()));
    while bytes < RUN.min(excess) {
        let Some(entry) = shared.lock_lru().take_oldest(look) else { break };
        if let Some(block) = entry.in_memory() {
            bytes += entry.memory;
            chosen.push((entry, block));
        }
    }
    chosen
}

fn write(
    shared: &Shared,
    segment: &mut Option<Segment>,
    chosen: &[(Arc<Entry>, Block)],
) -> Result<(), SpillError> {
    if chosen.is_empty() {
        return Ok(());
    }
    let options = &shared.options;
    let blocks: Vec<Block> = chosen.iter().map(|(_, block)| block.clone()).collect();
    let need: u64 = blocks.iter().map(room_for).sum();
    let segment = match segment {
        Some(segment) if segment.room() >= need => segment,
        used_up => {
            // Release the old segment before reserving the new one, so that its space can count as free.
            *used_up = None;
            let bytes = options.segment.max(need);
            let new = Segment::create(&options.dir, bytes, &shared.reserved, options.disk)?;
            used_up.insert(new)
        }
    };
    let run = segment.append(&options.dir, &blocks)?;
    for ((entry, block), start) in chosen.iter().zip(&run.starts) {
        entry.spilled(block, &run, *start);
    }
    Ok(())
}
