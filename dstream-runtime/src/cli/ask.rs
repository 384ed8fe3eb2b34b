//! What talks to a running master: `status`, `workers`, `drain`, `savepoint`, `stop`; and how it is found.

use std::time::Duration;

use serde::Serialize;

use super::args::{FormArgs, Invocation, SavepointArgs};
use super::host::{self, host, state};
use super::value::resolve;
use super::{Failed, answer, show, status};
use crate::driver::JobError;
use crate::driver::cluster::{
    Access, ClientTarget, ClusterError, ClusterStatus, MasterPaths, Question, Reply,
    SavepointReport, ask,
};
use crate::net::{CloseReason, NetError};

/// How long an answer may take: a master that lives answers in milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a savepoint may take: all states are copied. A master that is gone is noticed before.
const COPIES: Duration = Duration::from_secs(3600);

/// `JOB status`.
pub(super) fn status(invocation: &Invocation<'_>, form: FormArgs) -> Result<(), Failed> {
    let status = look(invocation, Question::Status)?;
    if form.json { json(&status) } else { answer(&status::status(&status)) }
}

/// `JOB workers`.
pub(super) fn workers(invocation: &Invocation<'_>, form: FormArgs) -> Result<(), Failed> {
    let status = look(invocation, Question::Workers)?;
    if form.json { json(&status.workers) } else { answer(&status::workers_alone(&status)) }
}

/// `JOB drain WORKER`.
pub(super) fn drain(invocation: &Invocation<'_>, worker: &str) -> Result<(), Failed> {
    order(invocation, Question::Drain { worker: worker.to_owned() })
}

/// `JOB savepoint`.
pub(super) fn savepoint(invocation: &Invocation<'_>, args: &SavepointArgs) -> Result<(), Failed> {
    let target = ClientTarget { patience: COPIES, ..target(invocation)? };
    let report = match ask(&target, Question::Savepoint { name: args.name.clone() })? {
        Reply::Savepoint(report) => report,
        other => return Err(unexpected(other)),
    };
    if args.json {
        return json(&report);
    }
    let SavepointReport { name, url, published, cut, bytes } = &report;
    let again = match cut.0.saturating_sub(published.0) {
        0 => String::new(),
        n => format!("; the {n} after it are run again"),
    };
    let bytes = super::words::bytes(*bytes);
    let path = url.strip_prefix("file://").unwrap_or(url);
    answer(&format!(
        "savepoint `{name}`, {bytes}: everything up to {published} is visible{again}\n  a job begins with it \
         with: --from {path}, and another --state"
    ))
}

/// `JOB stop`.
pub(super) fn stop(invocation: &Invocation<'_>, now: bool) -> Result<(), Failed> {
    order(invocation, Question::Stop { now })
}

fn look(invocation: &Invocation<'_>, question: Question) -> Result<ClusterStatus, Failed> {
    match put(invocation, question)? {
        Reply::Status(status) => Ok(*status),
        other => Err(unexpected(other)),
    }
}

fn order(invocation: &Invocation<'_>, question: Question) -> Result<(), Failed> {
    match put(invocation, question)? {
        Reply::Done(what) => {
            show::lines(&[what]);
            Ok(())
        }
        other => Err(unexpected(other)),
    }
}

fn put(invocation: &Invocation<'_>, question: Question) -> Result<Reply, Failed> {
    ask(&target(invocation)?, question).map_err(|error| {
        let is_named = !invocation.target.master.is_empty();
        match &error {
            JobError::Cluster(cluster) if !is_named && is_silence(cluster) => {
                let state = state(invocation);
                Failed::Job(format!(
                    "{error}\n  help: the job has been killed, or its host is down: start it again with --state {}, \
                     and it resumes if it was durable",
                    state.display()
                ))
            }
            _ => error.into(),
        }
    })
}

/// Whether no process answers at the address that was asked.
fn is_silence(error: &ClusterError) -> bool {
    let ClusterError::Net(error) = error else { return false };
    matches!(
        **error,
        NetError::NotThere { .. }
            | NetError::Broken { reason: CloseReason::Unreachable | CloseReason::Silent, .. }
    )
}

/// A reply that is no answer to the question.
pub(super) fn unexpected(reply: Reply) -> Failed {
    match reply {
        Reply::Refused(why) => Failed::Job(why),
        // Master and client are of the same version, or they would not talk to each other.
        _ => JobError::Internal("the master answers another question".to_owned()).into(),
    }
}

fn json(value: &impl Serialize) -> Result<(), Failed> {
    let text = serde_json::to_string(value)
        .map_err(|error| JobError::Internal(format!("no JSON: {error}")))?;
    answer(&text)
}

/// The master that the command line means: the one named, or the one whose state directory it is.
pub(super) fn target(invocation: &Invocation<'_>) -> Result<ClientTarget, Failed> {
    let args = &invocation.target;
    let plan = invocation.job.plan();
    let paths = MasterPaths::new(state(invocation));
    let cluster = |error: ClusterError| Failed::from(JobError::from(error));
    let named = !args.master.is_empty();
    let masters = match named {
        true => resolve(&args.master).map_err(Failed::Usage)?,
        false => vec![paths.find(plan.job).map_err(cluster)?.reachable()],
    };
    let name = host::name(&["client", &host()]);
    let access = match &args.token_file {
        Some(token) => {
            paths.create().map_err(cluster)?;
            Access::Token { token: token.clone(), identity: paths.identity(&name) }
        }
        None if paths.authority().is_dir() => Access::Authority { state: paths.state().to_owned() },
        None => {
            return Err(Failed::Usage(
                "nothing here lets this process in: name the file of a client's token with --token-file \
                 FILE (`token --role client` on the master's host makes one), or the master's state with \
                 --state DIR"
                    .to_owned(),
            ));
        }
    };
    let (job, plan) = (plan.job.to_owned(), plan.hash);
    Ok(ClientTarget { job, plan, masters, access, name, patience: PATIENCE })
}
