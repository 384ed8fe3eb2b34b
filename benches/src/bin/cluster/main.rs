//! Benchmarks of clusters: real processes, a master and workers on this machine.
//!
//! ```text
//! cargo build --release -p dstream-bench
//! target/fat/cluster cost          # one process and a cluster, in turns
//! target/fat/cluster latency       # from a client's send to the published result
//! target/fat/cluster ingest        # ingest with two copies
//! target/fat/cluster pressure      # memory and delay with a slow output
//! target/fat/cluster straggler     # one of four workers is slow
//! target/fat/cluster recovery      # kills workers or the master, draws the delay
//! target/fat/cluster checkpoint-cost   # throughput with and without checkpoints
//! target/fat/cluster journal-cost      # throughput and delay with and without a journal
//! target/fat/cluster replication-cost  # ingest with one copy and with two
//! target/fat/cluster idle          # processor time of an idle job
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

/// Benchmarks of clusters
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// One process and a cluster on the same work, in turns
    Cost(cost::Options),
    /// Latency from a client's send to the published result
    Latency(latency::Options),
    /// Throughput of ingest
    Ingest(ingest::Options),
    /// Memory and delay with a slow output
    Pressure(pressure::Options),
    /// Duration of batches with one slow worker
    Straggler(straggler::Options),
    /// Delay of results when processes are killed
    Recovery(recovery::Options),
    /// Throughput with and without checkpoints
    CheckpointCost(durable::Options),
    /// Throughput and delay with and without a journal
    JournalCost(durable::JournalOptions),
    /// Ingest with one copy and with two
    ReplicationCost(replication::Options),
    /// Processor time of an idle job
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
