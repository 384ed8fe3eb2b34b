//! Options of the roles of a cluster, and which of all options fit which role.
//!
//! An option that means nothing to a role is refused rather than ignored: the user who gives it
//! expects something of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, ValueEnum};

use super::super::value::{Limit, address, interval, limit, processes, size};
use crate::connect::{NOT_HOME, is_home};
use crate::driver::cluster::Ingest;

/// Options of a cluster.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Cluster")]
pub(in crate::cli) struct ClusterArgs {
    /// What this process does
    #[arg(long, value_enum, default_value = "local")]
    pub role: Role,

    /// Number of workers. local: start these as processes of this host, or run all in one process (0); master:
    /// wait for them before the first batch [default: 0 (local), 1 (master)]
    #[arg(long, value_name = "N", value_parser = processes)]
    pub workers: Option<u32>,

    #[command(flatten)]
    pub target: TargetArgs,

    /// Address to listen on: a master for workers and clients, a worker for other workers and clients. Other hosts
    /// can connect only if it is not a loopback address [default: 127.0.0.1:7077 for a master, any port of 127.0.0.1
    /// for a worker]
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub listen: Option<SocketAddr>,

    /// Port on the same address for data blocks, to be opened in firewalls; 0 is any
    #[arg(long, value_name = "PORT", default_value = "0")]
    pub bulk_port: u16,

    /// Name of this worker [default: HOST-PID]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// Save the state of each partition about every INTERVAL in `--state`, which all processes must reach. Then the
    /// job survives the loss of a worker, and resumes when it is started again with the same `--state`. Without it,
    /// the job ends with the first worker that is lost [default: 10s for a local job with `--state`]
    #[arg(long, value_name = "INTERVAL", value_parser = interval)]
    pub checkpoint: Option<Duration>,

    /// When records that clients push are acknowledged: once two workers hold them in memory (the only one, if there is
    /// one), or once they are also in `--state`, so that no crash of all processes loses them [default: durable for a
    /// local job with `--state`, else memory]
    #[arg(long, value_enum, value_name = "WHEN")]
    pub ingest: Option<Ingest>,

    /// Start from a savepoint that `JOB savepoint` has created: its path or URL, or its name if it is in the same
    /// `--state`. The number of workers may differ
    #[arg(long, value_name = "SAVEPOINT")]
    pub from: Option<String>,

    /// Go on without acknowledged records that no process holds any more: the job has stopped and named them. Nothing
    /// else is dropped: published results are not taken back, and running results go on without these records
    #[arg(long)]
    pub accept_loss: bool,

    /// A job that starts again: give up what it has read of this source and cannot read any more, and keep its
    /// state. What is lost is reported
    #[arg(long, value_name = "NAME")]
    pub skip: Vec<String>,

    /// A job that starts again: accept that this source reads something else than before, under another URL.
    /// What has not been read of it is read, and the state is kept
    #[arg(long, value_name = "NAME")]
    pub accept_source: Vec<String>,

    /// Wait until the master with the same `--state` is lost, and take over its job
    #[arg(long)]
    pub standby: bool,

    /// Whether to run slow tasks on a second worker; requires `--checkpoint` [default: on]
    #[arg(long, value_enum, value_name = "WHEN")]
    pub speculate: Option<Switch>,

    /// What a signal to a master ends: the job, or this master only, so that the next one of the same --state
    /// goes on with the job [default: stop]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub on_signal: Option<OnSignal>,

    /// How long a process may take to end after SIGINT, SIGTERM or SIGHUP; it ends as if it had been killed
    /// after that. `none` sets no limit
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = limit)]
    pub stop_timeout: Limit,

    /// Memory for data in each process that runs tasks: half of it for blocks (excess blocks spill to files), a
    /// quarter for received data (beyond that, clients wait), the rest for buffers. Not included: keyed state, what
    /// running tasks make, the program, and about 32 MiB for threads, connections and the allocator
    #[arg(long, value_name = "SIZE", default_value = "2GiB", value_parser = size)]
    pub memory: u64,
}

/// Where the master is: for workers, and for what talks to a running master.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Cluster")]
pub(in crate::cli) struct TargetArgs {
    /// Address of the master; several are tried in order
    #[arg(long, value_name = "ADDR", value_delimiter = ',', global = true)]
    pub master: Vec<String>,

    /// File with a token to join with: `JOB token` on the master's host creates one
    #[arg(long, value_name = "FILE", global = true)]
    pub token_file: Option<PathBuf>,

    /// Where a job keeps its journal and saved states, to resume from when it is started again (for a master: with
    /// `--checkpoint`; these may be in an object store, `s3://BUCKET/PREFIX`), and its authority, tokens and
    /// address; where a worker keeps its certificate [default: .dstream/JOB]
    #[arg(long, value_name = "DIR", global = true)]
    pub state: Option<PathBuf>,
}

/// Whether slow tasks run twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Switch {
    /// Duplicate slow tasks
    On,
    /// Never
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
    /// Run the whole job, in this process or with workers of its own
    Local,
    /// Cut batches, place partitions, publish results
    Master,
    /// Run tasks for a master
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

/// How often a local job saves its states in the `--state` that it is given.
const CHECKPOINT: Duration = Duration::from_secs(10);

impl ClusterArgs {
    /// What follows from the options: a local job with `--state` is durable.
    pub(super) fn complete(&mut self) {
        if self.role == Local && self.target.state.is_some() {
            self.checkpoint.get_or_insert(CHECKPOINT);
            self.ingest.get_or_insert(Ingest::Durable);
        }
    }
}

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
        "workers need it to join: a master makes tokens, and a local job needs none",
    ),
    ("checkpoint", &[Local, Master], SHIPPED),
    ("ingest", &[Local, Master], SHIPPED),
    ("from", &[Local, Master], SHIPPED),
    ("accept_loss", &[Local, Master], SHIPPED),
    ("skip", &[Local, Master], SHIPPED),
    ("accept_source", &[Local, Master], SHIPPED),
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
    let homes = [
        ("--state", args.target.state.as_deref().and_then(|path| path.to_str())),
        ("--from", args.from.as_deref()),
    ];
    let home = |(_, path): &(&str, Option<&str>)| path.is_some_and(is_home);
    if let Some((option, Some(path))) = homes.into_iter().find(home) {
        return Some(format!("{option} {path}: {NOT_HOME}: {option} \"$HOME{}\"", &path[1..]));
    }
    match role {
        Master if args.workers == Some(0) => Some(
            "--workers 0: without workers nothing runs; a master waits for at least one".to_owned(),
        ),
        Local
            if args.checkpoint.is_some()
                && args.workers.unwrap_or(0) == 0
                && args.target.state.is_none() =>
        {
            Some(
                "--checkpoint: a job in one process resumes from its --state: add --state DIR"
                    .to_owned(),
            )
        }
        Master if args.on_signal == Some(OnSignal::Leave) && args.checkpoint.is_none() => Some(
            "--on-signal leave: the next master has nothing to go on from without --checkpoint INTERVAL"
                .to_owned(),
        ),
        Master if args.standby && args.checkpoint.is_none() => Some(
            "--standby: a master leaves nothing to go on from without --checkpoint INTERVAL; give it to both"
                .to_owned(),
        ),
        Master if args.ingest == Some(Ingest::Durable) && args.checkpoint.is_none() => Some(
            "--ingest durable: records are kept for the next start, which has nothing to go on from without \
             --checkpoint INTERVAL"
                .to_owned(),
        ),
        Local if args.ingest == Some(Ingest::Durable) && args.target.state.is_none() => Some(
            "--ingest durable: records are kept in --state: add --state DIR".to_owned(),
        ),
        Local | Master if args.from.is_some() && args.checkpoint.is_none() => Some(
            "--from requires --checkpoint INTERVAL: the savepoint becomes part of the job's journal"
                .to_owned(),
        ),
        Local | Master if !args.skip.is_empty() && args.checkpoint.is_none() => Some(
            "--skip: only a job that goes on with its state has read something before; add --checkpoint"
                .to_owned(),
        ),
        Local | Master if !args.accept_source.is_empty() && args.checkpoint.is_none() => Some(
            "--accept-source: only a job that goes on with its state has read something before; add \
             --checkpoint"
                .to_owned(),
        ),
        Master if args.from.is_some() && args.standby => Some(
            "--from: a standby goes on with the job of the master that it waits for; begin that with the \
             savepoint"
                .to_owned(),
        ),
        Local | Master if args.accept_loss && args.checkpoint.is_none() => Some(
            "--accept-loss: it is for a job that goes on from its --state, with --checkpoint INTERVAL"
                .to_owned(),
        ),
        Local | Master if args.speculate.is_some() && args.checkpoint.is_none() => Some(
            "--speculate: only what is kept until states are saved can be run twice; add --checkpoint"
                .to_owned(),
        ),
        Local | Master if args.checkpoint.is_some() && given("overwrite") => Some(
            "--overwrite: a job with --state or --checkpoint goes on after what it has published, and never replaces it; to \
             begin anew, name another --state, and other directories with --sink"
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
