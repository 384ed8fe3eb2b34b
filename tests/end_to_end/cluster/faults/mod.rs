//! Real faults of processes, networks and disks, placed while batches are in flight, so that the job cannot
//! go on without noticing.
//!
//! Every test first asserts that its fault took effect (a worker `left`, the job was `recovering`, a master
//! `resumed`, a warning was logged), then that the output equals one without faults.

mod cuts;
mod disks;
mod eio;
mod kills;
mod lifelines;
mod zombies;
