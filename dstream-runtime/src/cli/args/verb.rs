//! What a job binary does besides running its job.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::super::value::life;

/// What a job binary does besides running its job.
#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum Verb {
    /// Shows what the compiler made of the program
    Plan(PlanArgs),
    /// Makes a token that lets a worker or a client join; on the master's host
    Token(TokenArgs),
    /// Says how a running job is doing, how far behind it is, and why
    Status(FormArgs),
    /// Lists the workers of a running job
    Workers(FormArgs),
    /// Has a worker hand over what it holds, and leave
    Drain(DrainArgs),
    /// Writes down what a running job has come to, so that another one can begin there with --from
    Savepoint(SavepointArgs),
    /// Ends a running job: what was received is processed first
    Stop(StopArgs),
    /// Sends lines from standard input to a stream of a running job
    Send(SendArgs),
}

/// How the plan is shown.
#[derive(Debug, Clone, Args)]
#[group(multiple = false)]
pub(in crate::cli) struct PlanArgs {
    /// As source for Graphviz
    #[arg(long)]
    pub dot: bool,
    /// As a picture
    #[arg(long)]
    pub svg: bool,
    /// As JSON: all the tables
    #[arg(long)]
    pub json: bool,
    /// As Rust: the generated kernels
    #[arg(long)]
    pub code: bool,
}

/// What a token is made for.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct TokenArgs {
    /// Whom it lets in
    #[arg(long = "role", value_enum, default_value = "worker")]
    pub holder: Holder,
    /// How often it can be used
    #[arg(long, value_name = "N", default_value = "1")]
    pub uses: u32,
    /// For how long it can be used: `30m`, `24h`, `7d`
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = life)]
    pub expires: Duration,
    /// The file to write it to, readable by its owner only; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Whom a token lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Holder {
    /// It runs tasks
    Worker,
    /// It sends records, and asks
    Client,
}

/// How an answer is shown.
#[derive(Debug, Clone, Copy, Args)]
pub(in crate::cli) struct FormArgs {
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Which worker is drained.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct DrainArgs {
    /// The worker's name, as `workers` lists it
    #[arg(value_name = "WORKER")]
    pub worker: String,
}

/// What a savepoint is called.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct SavepointArgs {
    /// The savepoint's name: letters, digits, `-`, `_`, `.` and `=` [default: batch-N, with the last batch
    /// that is visible]
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// The answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// How a job is stopped.
#[derive(Debug, Clone, Copy, Args)]
pub(in crate::cli) struct StopArgs {
    /// At once: what was received and not published is not processed any more
    #[arg(long)]
    pub now: bool,
}

/// Where lines are sent.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct SendArgs {
    /// The stream
    #[arg(long, value_name = "NAME")]
    pub stream: String,
    /// Read the lines from a file instead of standard input
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
}
