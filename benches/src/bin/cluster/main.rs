//! What a cluster costs: real processes of real jobs, a master and two workers on this machine.
//!
//! ```text
//! cargo build --release -p dstream-bench
//! target/release/cluster cost          # the same work in one process and on a cluster, in turns
//! target/release/cluster latency       # from a client's send to the published result
//! target/release/cluster ingest        # how fast records are taken in, with two copies
//! target/release/cluster pressure      # memory and delay when an output is read slowly
//! target/release/cluster straggler     # one of four workers is slow
//! target/release/cluster recovery      # workers or the master are killed: draws the delay of results
//! target/release/cluster checkpoint-cost   # throughput with and without saving states
//! target/release/cluster journal-cost      # throughput and delay with and without a journal
//! target/release/cluster replication-cost  # records taken in, with one copy and with two
//! target/release/cluster idle          # processor time of a job that has nothing to do
//! ```
#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

mod cost;
mod durable;
mod idle;
mod ingest;
mod input;
mod latency;
mod pressure;
mod recovery;
mod replay;
mod replication;
mod sender;
mod started;
mod straggler;
mod usage;

use std::error::Error;

use clap::{Parser, Subcommand};

/// Measures what a cluster costs.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The same work in one process and on a cluster, in turns
    Cost(cost::Options),
    /// From a client's send to the published result
    Latency(latency::Options),
    /// How fast records are taken in
    Ingest(ingest::Options),
    /// Memory and delay when an output is read slowly
    Pressure(pressure::Options),
    /// How long batches take while one worker is slow
    Straggler(straggler::Options),
    /// By how much results are late when processes are killed
    Recovery(recovery::Options),
    /// Throughput with and without saving states
    CheckpointCost(durable::Options),
    /// Throughput and delay with and without a journal
    JournalCost(durable::JournalOptions),
    /// Records taken in, with one copy and with two
    ReplicationCost(replication::Options),
    /// Processor time of a job that has nothing to do
    Idle(idle::Options),
}

fn main() -> Result<(), Box<dyn Error>> {
    match Options::parse().what {
        What::Cost(options) => cost::measure(&options),
        What::Latency(options) => latency::measure(&options),
        What::Ingest(options) => ingest::measure(&options),
        What::Pressure(options) => pressure::measure(&options),
        What::Straggler(options) => straggler::measure(&options),
        What::Recovery(options) => recovery::measure(&options),
        What::CheckpointCost(options) => durable::checkpoints(&options),
        What::JournalCost(options) => durable::journal(&options),
        What::ReplicationCost(options) => replication::measure(&options),
        What::Idle(options) => idle::measure(&options),
    }
}
