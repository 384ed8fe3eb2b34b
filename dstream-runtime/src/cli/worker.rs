//! `--role worker`: runs tasks for a master elsewhere, until the job is over or it is told to leave.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use super::Failed;
use super::args::{Invocation, LogFormat};
use super::host::{self, absolute, host, state};
use super::run::{cores, no_signals};
use super::show::Speaker;
use super::signals::{Notice, Signals};
use super::value::resolve;
use crate::driver::cluster::{
    JobSetup, MasterPaths, Reach, WorkerNews, WorkerOptions, serve_worker,
};
use crate::driver::{JobError, StopHandle};
use crate::job::AnyJob;

/// Names the process that started this one as a part of itself: without it, this one ends.
pub(super) const PARENT: &str = "DSTREAM_PARENT";

/// Runs the worker to its end.
pub(super) fn run(invocation: &Invocation<'_>) -> Result<(), Failed> {
    let own_master = die_with_parent()?;
    let options = options(invocation)?;
    // The worker goes to its master's directory once it knows it.
    let paths = MasterPaths::new(absolute(&state(invocation)));
    paths.create().map_err(|error| Failed::Job(error.to_string()))?;
    let speaker = Speaker::new(&invocation.engine);
    let stop = StopHandle::new();
    let signals = Signals::catch().map_err(no_signals)?;
    let told = Notice::teller(speaker.clone(), "this worker hands over its data and leaves");
    let limit = invocation.cluster.stop_timeout.0;
    signals.stop(stop.clone(), limit, told, || ()).map_err(no_signals)?;
    let identity = options.identity.clone();
    let done = serve(invocation.job, options, &speaker, own_master, stop);
    if invocation.cluster.name.is_none() {
        // The name holds the process id, so no later worker can use this certificate.
        let _ = fs::remove_file(identity);
    }
    done.map_err(|error| Failed::Job(error.to_string()))
}

/// Runs tasks for a master until the job is over. `own_master`: this process, or the one that started it, says
/// much of the same.
pub(super) fn serve(
    job: &dyn AnyJob,
    options: WorkerOptions,
    speaker: &Speaker,
    own_master: bool,
    stop: StopHandle,
) -> Result<(), JobError> {
    let build = |setup: &JobSetup| job.build_from(&setup.params, setup.bindings());
    let told_by_master = own_master && speaker.log == LogFormat::Text;
    let log = |news| {
        if !(told_by_master && says_its_master(&news)) {
            speaker.tell(&news);
        }
    };
    serve_worker(job.plan(), &build, options, &log, stop)
}

/// What the command line says about a worker.
fn options(invocation: &Invocation<'_>) -> Result<WorkerOptions, Failed> {
    let Invocation { cluster, target, .. } = invocation;
    let master = resolve(&target.master).map_err(Failed::Usage)?;
    let listen = cluster.listen.unwrap_or((Ipv4Addr::LOCALHOST, 0).into());
    check_reach(&master, listen).map_err(Failed::Usage)?;
    let name = match &cluster.name {
        Some(name) => {
            crate::wire::check_name(name).map_err(|wrong| Failed::Usage(wrong.to_string()))?;
            name.clone()
        }
        None => host::name(&[&host(), &std::process::id().to_string()]),
    };
    let paths = MasterPaths::new(state(invocation));
    Ok(WorkerOptions {
        master,
        listen,
        public: !listen.ip().is_loopback(),
        bulk_port: cluster.bulk_port,
        reach: Reach::Network,
        token: target.token_file.as_deref().map(absolute),
        identity: paths.identity(&name),
        spill: paths.spill(&name),
        name,
        keeps_name: cluster.name.is_some(),
        cores: cores(invocation),
        memory: cluster.memory,
        durable: None,
    })
}

/// Workers of other hosts must be able to reach this one.
fn check_reach(masters: &[SocketAddr], listen: SocketAddr) -> Result<(), String> {
    match masters.iter().find(|master| !master.ip().is_loopback()) {
        Some(master) if listen.ip().is_loopback() => Err(format!(
            "the master at {master} is on a network and other workers may be too, but they could not \
             reach this one at {listen}; open it to them with --listen 0.0.0.0:0, or name one of this \
             host's addresses"
        )),
        _ => Ok(()),
    }
}

/// Whether the master that started this worker says as much, in the same place.
fn says_its_master(news: &WorkerNews) -> bool {
    use WorkerNews::{
        Certified, Connected, Drained, Draining, MasterGone, Over, Placed, Receiving, Warning,
    };
    match news {
        Certified { .. } | Connected { .. } | Placed { .. } | Receiving { .. } => true,
        Draining | Drained | Over => true,
        MasterGone { .. } | Warning(_) => false,
    }
}

/// A worker that another process started as a part of itself ends with it, however that ends. Whether
/// this is one.
fn die_with_parent() -> Result<bool, Failed> {
    let Some(parent) = std::env::var(PARENT).ok().and_then(|pid| pid.parse().ok()) else {
        return Ok(false);
    };
    let failed = |error| Failed::Job(format!("cannot follow the process that started it: {error}"));
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(failed)?;
    // It may have ended before it could be followed.
    if getppid().map(Pid::as_raw_nonzero).map(std::num::NonZero::get) == Some(parent) {
        Ok(true)
    } else {
        Err(Failed::Job("the process that started it is gone".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_on_a_network_listens_there() {
        let addr = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (near, far) = (addr("127.0.0.1:7077"), addr("10.0.0.1:7077"));
        assert_eq!(check_reach(&[near], addr("127.0.0.1:0")), Ok(()));
        assert_eq!(check_reach(&[far], addr("10.0.0.2:0")), Ok(()));
        let error = check_reach(&[near, far], addr("127.0.0.1:0")).unwrap_err();
        assert!(error.contains("10.0.0.1:7077") && error.contains("--listen 0.0.0.0:0"), "{error}");
    }
}
