//! `--role master`: runs the job with workers elsewhere, and says how they and clients join.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::{Value, json};

use super::Failed;
use super::args::{Invocation, OnSignal, Switch};
use super::host::{absolute, command, host, name, quoted, state, store};
use super::news::some;
use super::open::{self, Opened};
use super::run::Running;
use super::show::{Speaker, Told};
use crate::driver::cluster::{
    self, Access, ClientTarget, JobSetup, MasterOptions, MasterPaths, Reach, SourceWays,
    StandbyNews, serve_master,
};
use crate::driver::{JobError, LocalConfig};
use crate::net::trust::Token;

/// Where a master listens by default.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7077);

/// Runs the job to its end.
pub(super) fn run(invocation: &Invocation<'_>) -> Result<(), Failed> {
    if invocation.cluster.standby && !takes_over(invocation)? {
        return Ok(());
    }
    let mut opened = open::open(invocation, true)?;
    let workers = invocation.cluster.workers.unwrap_or(1);
    let runs_on = format!("waits for {}", some(workers, "worker"));
    let mut running = Running::start(invocation, &mut opened, &runs_on, None)?;
    let stop = running.stop_on_signals(|| ())?;
    let listen = invocation.cluster.listen.unwrap_or(LISTEN);
    let public = !listen.ip().is_loopback();
    let options = MasterOptions {
        listen,
        public,
        bulk_port: invocation.cluster.bulk_port,
        reach: Reach::Network,
        state: state(invocation),
        workers,
        ..options(invocation, &mut opened, running.preview)
    };
    let speaker = running.display.speaker();
    let mut listening = |addr: SocketAddr, paths: &MasterPaths| {
        speaker.tell(&Listening::new(invocation, addr, paths));
    };
    let Opened { built, sources, sinks, .. } = opened;
    let display = &mut running.display;
    let result = serve_master(built, options, sources, sinks, display, stop, &mut listening);
    running.finish(invocation, result)
}

/// Waits until there is no other master. Whether there is a job to go on with then.
fn takes_over(invocation: &Invocation<'_>) -> Result<bool, Failed> {
    let plan = invocation.job.plan();
    let paths = MasterPaths::new(absolute(&state(invocation)));
    let speaker = Speaker::new(&invocation.engine);
    let target = ClientTarget {
        job: plan.job.to_owned(),
        plan: plan.hash,
        masters: Vec::new(),
        access: Access::Authority { state: paths.state().to_owned() },
        name: name(&["standby", &host(), &std::process::id().to_string()]),
        patience: Duration::ZERO,
    };
    let store = store(invocation).unwrap_or_else(|| paths.state().to_string_lossy().into_owned());
    let waited = cluster::stand_by(&target, &paths, &|news| speaker.tell(&news));
    let over = waited.and_then(|()| cluster::is_over(&store, plan.hash));
    let over = over.map_err(|error| Failed::from(JobError::from(error)))?;
    speaker.tell(&if over { StandbyNews::JobOver } else { StandbyNews::TakesOver });
    Ok(!over)
}

/// Options of a master for any kind of workers: on the loopback, at any port.
pub(super) fn options(
    invocation: &Invocation<'_>,
    opened: &mut Opened,
    preview: u32,
) -> MasterOptions {
    let LocalConfig { in_flight, attempts, .. } = LocalConfig::default();
    MasterOptions {
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        public: false,
        bulk_port: 0,
        reach: Reach::Network,
        state: MasterPaths::new("").state().to_owned(),
        store: store(invocation),
        durable: None,
        batch_bytes: u64::MAX,
        until: None,
        workers: 1,
        lease: MasterOptions::LEASE,
        checkpoint: invocation.cluster.checkpoint,
        ingest: invocation.cluster.ingest.unwrap_or_default(),
        from: invocation.cluster.from.clone(),
        accept_loss: invocation.cluster.accept_loss,
        ways: SourceWays {
            skip: invocation.cluster.skip.clone(),
            accept: invocation.cluster.accept_source.clone(),
        },
        speculate: invocation.cluster.speculate != Some(Switch::Off),
        standby: invocation.cluster.standby,
        leaves_job: invocation.cluster.on_signal == Some(OnSignal::Leave),
        setup: JobSetup { preview, ..opened.setup.clone() },
        pushed: std::mem::take(&mut opened.pushed),
        in_flight,
        attempts,
        patience: invocation.engine.sink_patience,
        dead_letters: std::mem::take(&mut opened.dead_letters),
    }
}

/// A master that workers can join.
pub(super) struct Listening {
    addr: SocketAddr,
    /// First digits of its authority's fingerprint.
    authority: Option<String>,
    paths: MasterPaths,
    /// This binary, as a shell takes it.
    command: String,
    /// What others call this host.
    host: String,
    /// Whether it starts its workers itself.
    own_workers: bool,
}

impl Listening {
    fn new(invocation: &Invocation<'_>, addr: SocketAddr, paths: &MasterPaths) -> Self {
        let paths = MasterPaths::new(absolute(paths.state()));
        let token = Token::read(&paths.worker_token()).ok();
        let authority = token.map(|token| token.authority().short());
        let command = command(invocation);
        Self { addr, authority, paths, command, host: host(), own_workers: false }
    }

    /// Of a master that starts its workers itself.
    pub(super) fn of_own_workers(
        invocation: &Invocation<'_>,
        addr: SocketAddr,
        paths: &MasterPaths,
    ) -> Self {
        Self { own_workers: true, ..Self::new(invocation, addr, paths) }
    }

    /// What a worker writes after `--master`.
    fn reach(&self) -> String {
        let port = self.addr.port();
        if self.addr.ip().is_unspecified() {
            format!("{}:{port}", self.host)
        } else {
            self.addr.to_string()
        }
    }
}

impl Told for Listening {
    fn lines(&self) -> Vec<String> {
        let Self { addr, authority, paths, command, .. } = self;
        let authority = authority.as_deref().unwrap_or("unknown");
        let local = addr.ip().is_loopback();
        let listen = if local { "" } else { " --listen 0.0.0.0:0" };
        let state = paths.state().display();
        let mut lines = vec![format!("master on {addr}, authority {authority}, state in {state}")];
        if !self.own_workers {
            lines.push(format!(
                "  a worker joins with: {command} --role worker --master {}{listen} --token-file {}",
                self.reach(),
                quoted(&paths.worker_token())
            ));
        }
        if !local {
            lines.push(
                "  on another host: copy the token's file there, readable by its owner only"
                    .to_owned(),
            );
        }
        lines.push(format!("  ask it with: {command} status --state {}", quoted(paths.state())));
        lines
    }

    fn json(&self) -> Value {
        json!({
            "event": "listening", "address": self.addr.to_string(), "authority": self.authority,
            "state": self.paths.state(), "worker_token": self.paths.worker_token(),
            "client_token": self.paths.client_token(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening(addr: &str) -> Listening {
        Listening {
            addr: addr.parse().unwrap(),
            authority: Some("00ff".to_owned()),
            paths: MasterPaths::new("/var/state of it"),
            command: "views".to_owned(),
            host: "web1".to_owned(),
            own_workers: false,
        }
    }

    #[test]
    fn a_master_says_how_to_join() {
        assert_eq!(
            listening("127.0.0.1:7077").lines(),
            [
                "master on 127.0.0.1:7077, authority 00ff, state in /var/state of it",
                "  a worker joins with: views --role worker --master 127.0.0.1:7077 \
                 --token-file '/var/state of it/worker.token'",
                "  ask it with: views status --state '/var/state of it'",
            ]
        );
        let public = listening("0.0.0.0:7077").lines();
        assert!(public[1].contains("--master web1:7077 --listen 0.0.0.0:0"), "{public:?}");
        assert!(public[2].contains("copy the token's file"), "{public:?}");
        let named = listening("10.0.0.1:7077").lines();
        assert!(named[1].contains("--master 10.0.0.1:7077 --listen"), "{named:?}");
    }

    #[test]
    fn the_log_names_files_and_no_secret() {
        let json = listening("127.0.0.1:7077").json();
        assert_eq!(json["worker_token"], "/var/state of it/worker.token");
        assert_eq!(json["address"], "127.0.0.1:7077");
    }
}
