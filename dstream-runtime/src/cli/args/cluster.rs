//! Options of the roles of a cluster, and which of all options fit which role.
//!
//! An option that means nothing to a role is refused rather than ignored: whoever gives it expects
//! something of it.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, ValueEnum};

use super::super::value::{Limit, address, interval, limit, processes, size};

/// Options of a cluster.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Cluster")]
pub(in crate::cli) struct ClusterArgs {
    /// What this process is
    #[arg(long, value_enum, default_value = "local")]
    pub role: Role,

    /// local: run on so many worker processes of this host [default: 0, all in one process]; master:
    /// wait for so many workers before the first batch [default: 1]
    #[arg(long, value_name = "N", value_parser = processes)]
    pub workers: Option<u32>,

    #[command(flatten)]
    pub target: TargetArgs,

    /// Where it listens: a master for workers and clients, a worker for other workers and clients. Only
    /// this host reaches it unless an address of another kind is named [default: 127.0.0.1:7077 for a
    /// master, any port of 127.0.0.1 for a worker]
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub listen: Option<SocketAddr>,

    /// The port on the same address that carries blocks, for firewalls [default: any]
    #[arg(long, value_name = "PORT", default_value = "0")]
    pub bulk_port: u16,

    /// What a worker is called [default: HOST-PID]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// About how often workers save the state of each partition, in `--state`, which all of them must
    /// reach: then a worker may be lost and others go on with its partitions, and a master that starts
    /// again with the same `--state` goes on with the job. Without it the job ends with the first of
    /// them that is lost
    #[arg(long, value_name = "INTERVAL", value_parser = interval)]
    pub checkpoint: Option<std::time::Duration>,

    /// Begin with a savepoint, which `JOB savepoint` has written: its path or URL, or its name if it lies in
    /// the same --state. Other workers, and another number of them, may go on with it
    #[arg(long, value_name = "SAVEPOINT")]
    pub from: Option<String>,

    /// Wait until the master of the same `--state` is gone, and go on with its job then
    #[arg(long)]
    pub standby: bool,

    /// Whether tasks that are late are run on other workers too; with `--checkpoint` only [default: on]
    #[arg(long, value_enum, value_name = "WHETHER")]
    pub speculate: Option<Switch>,

    /// What a signal to a master ends: the job, or this master only, so that the next one of the same --state
    /// goes on with the job [default: stop]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub on_signal: Option<OnSignal>,

    /// How long a process may take to end after SIGINT, SIGTERM or SIGHUP; it ends as if it had been killed
    /// after that. `none` sets no limit
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = limit)]
    pub stop_timeout: Limit,

    /// How much memory a process that runs tasks uses for what grows with the input: half of it for blocks,
    /// of which the rest is in files; a quarter for what clients have sent and no batch has taken, who wait
    /// beyond that; the rest for buffers. Keyed states and what running tasks make are not in it
    #[arg(long, value_name = "SIZE", default_value = "2GiB", value_parser = size)]
    pub memory: u64,
}

/// Where the master is: for workers, and for what talks to a running master.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Cluster")]
pub(in crate::cli) struct TargetArgs {
    /// Where the master listens; several are tried in this order
    #[arg(long, value_name = "ADDR", value_delimiter = ',', global = true)]
    pub master: Vec<String>,

    /// The file of the token to join with: `JOB token` on the master's host makes one
    #[arg(long, value_name = "FILE", global = true)]
    pub token_file: Option<PathBuf>,

    /// Where the master keeps authority, tokens, its address, and with --checkpoint the journal and saved
    /// states (the latter may also be in an object store, `s3://BUCKET/PREFIX`); a worker its certificate
    /// [default: .dstream/JOB]
    #[arg(long, value_name = "DIR", global = true)]
    pub state: Option<PathBuf>,
}

/// Whether something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Switch {
    /// It is
    On,
    /// It is not
    Off,
}

/// What a signal to a master ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum OnSignal {
    /// The job: what was received is processed, and a standby ends too
    Stop,
    /// This master: the job goes on with a standby, or the next master
    Leave,
}

/// What a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Role {
    /// Master and workers of its own
    Local,
    /// Cuts batches, places partitions, publishes results
    Master,
    /// Runs tasks for a master elsewhere
    Worker,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Master => "master",
            Self::Worker => "worker",
        }
    }
}

use Role::{Local, Master, Worker};

const SHIPPED: &str = "a worker is told by its master: give it to the master";

/// Options that do not fit every role: the id, the roles it fits, and why not the others.
const FITS: &[(&str, &[Role], &str)] = &[
    ("bulk_port", &[Master, Worker], "a local job is reached by no other process"),
    ("on_signal", &[Master], "only the end of a master can leave the job to another one"),
    ("standby", &[Master], "it is a master that waits for another one to go"),
    ("workers", &[Local, Master], "the master is told for how many workers it waits"),
    (
        "listen",
        &[Master, Worker],
        "a local job is reached by no other process; start a cluster with --role master",
    ),
    ("master", &[Worker], "it is for workers, and for what talks to a running master"),
    (
        "token_file",
        &[Worker],
        "it is for whoever joins: a master makes tokens, and a local job needs none",
    ),
    ("checkpoint", &[Local, Master], SHIPPED),
    ("from", &[Local, Master], SHIPPED),
    ("speculate", &[Local, Master], SHIPPED),
    ("memory", &[Local, Worker], "a master runs no tasks: give it to the workers"),
    ("cores", &[Local, Worker], "a master runs no tasks: give it to the workers"),
    ("name", &[Worker], "it is the name of a worker"),
    ("sources", &[Local, Master], SHIPPED),
    ("sinks", &[Local, Master], SHIPPED),
    ("overwrite", &[Local, Master], "outputs are written by the master: give it to that"),
    ("sink_patience", &[Local, Master], "outputs are written by the master: give it to that"),
    ("interval", &[Local, Master], SHIPPED),
    ("partitions", &[Local, Master], SHIPPED),
];

/// What is wrong with the options of a role, if anything is. `own` are the ids of the job's parameters.
pub(super) fn misfit(args: &ClusterArgs, matches: &ArgMatches, own: &[String]) -> Option<String> {
    let role = args.role;
    let given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let wrong = |id: &str, why: &str| {
        let option = option_of(id);
        format!("{option} does not fit --role {}: {why}", role.name())
    };
    if let Some((id, _, why)) = FITS.iter().find(|(id, fits, _)| !fits.contains(&role) && given(id))
    {
        return Some(wrong(id, why));
    }
    if role == Worker
        && let Some(id) = own.iter().find(|id| given(id))
    {
        return Some(wrong(
            id,
            "parameters of the job are given to the master, which tells workers",
        ));
    }
    match role {
        Master if args.workers == Some(0) => Some(
            "--workers 0: without workers nothing runs; a master waits for at least one".to_owned(),
        ),
        Local if args.checkpoint.is_some() && args.workers.unwrap_or(0) == 0 => Some(
            "--checkpoint: a job in one process is lost as a whole; give it workers with --workers"
                .to_owned(),
        ),
        Local if args.target.state.is_some() && args.checkpoint.is_none() => Some(
            "--state: a local job keeps nothing without --checkpoint INTERVAL".to_owned(),
        ),
        Master if args.on_signal == Some(OnSignal::Leave) && args.checkpoint.is_none() => Some(
            "--on-signal leave: the next master has nothing to go on from without --checkpoint INTERVAL"
                .to_owned(),
        ),
        Master if args.standby && args.checkpoint.is_none() => Some(
            "--standby: a master leaves nothing to go on from without --checkpoint INTERVAL; give it to both"
                .to_owned(),
        ),
        Local | Master if args.from.is_some() && args.checkpoint.is_none() => Some(
            "--from: what a job begins with is part of its journal, which it has with --checkpoint INTERVAL"
                .to_owned(),
        ),
        Master if args.from.is_some() && args.standby => Some(
            "--from: a standby goes on with the job of the master that it waits for; begin that with the \
             savepoint"
                .to_owned(),
        ),
        Local | Master if args.speculate.is_some() && args.checkpoint.is_none() => Some(
            "--speculate: only what is kept until states are saved can be run twice; add --checkpoint"
                .to_owned(),
        ),
        Local | Master if args.checkpoint.is_some() && given("overwrite") => Some(
            "--overwrite: with --checkpoint the journal in --state says which batches are published, and the job \
             goes on after them; to begin anew, name another --state and other directories with --sink"
                .to_owned(),
        ),
        Worker if args.target.master.is_empty() => Some(
            "a worker has to know its master: --role worker --master ADDR --token-file FILE"
                .to_owned(),
        ),
        _ => None,
    }
}

fn option_of(id: &str) -> String {
    match id {
        "sources" => "--source".to_owned(),
        "sinks" => "--sink".to_owned(),
        id => format!("--{}", id.replace('_', "-")),
    }
}
