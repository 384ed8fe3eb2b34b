//! What a job binary does besides running its job.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand, ValueEnum};

use super::super::value::life;

/// What a job binary does besides running its job.
#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum Verb {
    /// Show the compiled plan
    Plan(PlanArgs),
    /// List what this binary can read: schemes of URLs, and their options
    Sources(ListArgs),
    /// List what this binary can write: schemes of URLs, and their options
    Sinks(ListArgs),
    /// Explain an operator (`explain window`), a mistake (`explain E0201`), or a name of another system
    Explain(ExplainArgs),
    /// Create a token that lets a worker or a client join; run it on the master's host
    Token(TokenArgs),
    /// Show the progress of a running job, its delay, and the cause of that
    Status(FormArgs),
    /// List the workers of a running job
    Workers(FormArgs),
    /// Drain a worker: move its partitions and data to others, and let it leave
    Drain(DrainArgs),
    /// Create a savepoint of a running job, from which another one can start with --from
    Savepoint(SavepointArgs),
    /// Stop a running job; received data is processed first
    Stop(StopArgs),
    /// Send lines from standard input or a file to a stream of a running job
    Send(SendArgs),
}

/// How the plan is shown.
#[derive(Debug, Clone, Args)]
#[group(multiple = false)]
pub(in crate::cli) struct PlanArgs {
    /// Graphviz source
    #[arg(long)]
    pub dot: bool,
    /// A picture, as SVG
    #[arg(long)]
    pub svg: bool,
    /// All tables, as JSON
    #[arg(long)]
    pub json: bool,
    /// The generated kernels, as Rust
    #[arg(long)]
    pub code: bool,
}

/// What is explained.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct ExplainArgs {
    /// An operator or the code of a mistake; all operators without it
    pub name: Option<String>,
}

/// How connectors are listed.
#[derive(Debug, Clone, Args)]
#[group(multiple = false)]
pub(in crate::cli) struct ListArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Print Markdown
    #[arg(long)]
    pub markdown: bool,
}

/// What a token is made for.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct TokenArgs {
    /// Who can join with it
    #[arg(long = "role", value_enum, default_value = "worker")]
    pub holder: Holder,
    /// Number of times it can be used
    #[arg(long, value_name = "N", default_value = "1")]
    pub uses: u32,
    /// How long it is valid: `30m`, `24h`, `7d`
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = life)]
    pub expires: Duration,
    /// File to write it to, readable by its owner only; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Whom a token lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Holder {
    /// Runs tasks
    Worker,
    /// Sends records and asks questions
    Client,
}

/// How an answer is shown.
#[derive(Debug, Clone, Copy, Args)]
pub(in crate::cli) struct FormArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Which worker is drained.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct DrainArgs {
    /// Name of the worker, as `workers` lists it
    #[arg(value_name = "WORKER")]
    pub worker: String,
}

/// What a savepoint is called.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct SavepointArgs {
    /// Name of the savepoint: letters, digits, `-`, `_`, `.` and `=` [default: batch-N, with the last batch
    /// published]
    #[arg(value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// How a job is stopped.
#[derive(Debug, Clone, Copy, Args)]
pub(in crate::cli) struct StopArgs {
    /// Stop at once: received data that is not published yet is not processed
    #[arg(long)]
    pub now: bool,
}

/// Where lines are sent.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct SendArgs {
    /// The stream to send to
    #[arg(long, value_name = "NAME")]
    pub stream: String,
    /// File to read [default: standard input]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
}
