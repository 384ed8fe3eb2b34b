//! A process of a simulated host.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::job::{INTERVAL, Job, OUTPUT};
use crate::driver::cluster::{
    ClusterNews, Ingest, JobSetup, MasterOptions, Reach, SourceWays, WorkerNews, WorkerOptions,
    serve_master, serve_worker,
};
use crate::driver::{JobError, Observer, StopHandle};
use crate::host::simulated::{self, Fiber, Turn, World};
use crate::net::simulation::{self as net, Host, Network, PORT, Sites, Story, address, wall};
use crate::net::{BindOptions, Deliver, Net, NetError};
use crate::record::Format;
use crate::sink::{MemorySink, Published, Sink};

/// State shared by all processes of a world, above all the disk.
pub(super) struct Shared {
    pub(super) network: Arc<Network>,
    pub(super) job: Job,
    pub(super) partitions: u32,
    pub(super) workers: u32,
    pub(super) checkpoint: Duration,
    /// The state directory.
    pub(super) state: PathBuf,
    pub(super) published: Published,
    pub(super) book: Mutex<Book>,
}

/// What has happened.
#[derive(Default)]
pub(super) struct Book {
    pub(super) sites: Sites,
    pub(super) story: Story,
    /// When a worker had joined a master for the first time.
    pub(super) joined: Option<u64>,
}

impl Shared {
    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn hit(&self, site: &'static str) {
        *self.book().sites.entry(site).or_default() += 1;
    }

    pub(super) fn tell(&self, line: std::fmt::Arguments<'_>) {
        let now = self.network.now();
        self.book().story.tell(now, line);
    }
}

/// The result of an engine.
pub(super) type Ended = Result<(), JobError>;

/// Host of a second master that starts while the first, on host 0, may still run.
pub(super) const RIVAL: Host = 20;

pub(super) fn is_master(host: Host) -> bool {
    host == 0 || host == RIVAL
}

/// The simulated host of a process.
pub(super) struct SimulatedHost {
    shared: Arc<Shared>,
    host: Host,
    number: u64,
    endpoint: Mutex<Option<net::Process>>,
}

impl SimulatedHost {
    pub(super) fn new(shared: &Arc<Shared>, host: Host, number: u64) -> Arc<Self> {
        Arc::new(Self { shared: shared.clone(), host, number, endpoint: Mutex::default() })
    }

    fn endpoint(&self) -> Option<net::Process> {
        self.endpoint.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Says goodbye to all peers.
    pub(super) async fn end(&self) {
        if let Some(endpoint) = self.endpoint() {
            endpoint.end().await;
        }
    }
}

impl World for SimulatedHost {
    fn wall(&self) -> Duration {
        wall(&self.shared.network)()
    }

    fn bind(&self, mut options: BindOptions, deliver: Deliver) -> Result<Net, NetError> {
        options.wall = wall(&self.shared.network);
        let fiber = simulated::here();
        let deliver: Deliver = Arc::new(move |delivery| {
            deliver(delivery);
            fiber.iter().for_each(|fiber| fiber.tell());
        });
        let Self { shared, host, number, endpoint } = self;
        let started = net::Process::start_for(&shared.network, *host, *number, options, deliver)?;
        let net = started.net.clone();
        *endpoint.lock().unwrap_or_else(PoisonError::into_inner) = Some(started);
        Ok(net)
    }
}

pub(super) struct Process {
    host: Host,
    fiber: Arc<Fiber>,
    thread: JoinHandle<thread::Result<Ended>>,
    simulated: Arc<SimulatedHost>,
    stop: StopHandle,
}

impl Process {
    /// Starts a master or a worker. `number` is unique in its world.
    pub(super) fn start(shared: &Arc<Shared>, host: Host, number: u64) -> Self {
        let simulated = SimulatedHost::new(shared, host, number);
        let (own, stop) = (shared.clone(), StopHandle::new());
        let stopped = stop.clone();
        let engine = move || match is_master(host) {
            true => master(&own, host, stopped),
            false => worker(&own, host, stopped),
        };
        let (fiber, thread) = Fiber::start(simulated.clone(), number, engine);
        Self { host, fiber, thread, simulated, stop }
    }

    /// Asks it to stop: a master its job, a worker itself.
    pub(super) fn stop(&self) {
        self.stop.stop();
        self.fiber.tell();
    }

    /// The number of processes started before it in its world.
    pub(super) fn number(&self) -> u64 {
        self.simulated.number & 0xffff
    }

    pub(super) fn fiber(&self) -> Arc<Fiber> {
        self.fiber.clone()
    }

    /// Kills it.
    pub(super) fn kill(self) -> Result<(), String> {
        if let Some(endpoint) = self.simulated.endpoint() {
            endpoint.kill();
        }
        self.fiber.kill();
        simulated::outcome(self.thread).map(drop)
    }

    /// Waits for the end of its engine.
    pub(super) async fn end(self) -> Result<Ended, String> {
        let ended = simulated::outcome(self.thread)
            .map_err(|panic| format!("host {}: {panic}", self.host))?;
        self.simulated.end().await;
        Ok(ended.unwrap_or(Ok(())))
    }
}

/// Runs an engine whenever it has events, until it ends.
pub(super) async fn live(fiber: Arc<Fiber>, network: Arc<Network>, host: Host) {
    loop {
        network.sleep(host).await;
        match fiber.resume() {
            Turn::Waits(until) => tokio::select! {
                biased;
                () = fiber.told() => {}
                () = until_then(until) => {}
            },
            _ => return,
        }
    }
}

async fn until_then(until: Option<std::time::Instant>) {
    match until {
        // The clock has steps of a millisecond.
        Some(until) => sleep_until(Instant::from_std(until)).await,
        None => std::future::pending().await,
    }
}

/// Records the master's events as sites.
struct Listens<'s>(&'s Shared, Host);

impl Observer for Listens<'_> {
    fn on_cluster(&mut self, news: &ClusterNews) {
        match news {
            ClusterNews::Recovering { .. } => self.0.hit("a recovery"),
            ClusterNews::Resumed { .. } => self.0.hit("a master resumes"),
            ClusterNews::Drained { .. } => self.0.hit("a worker is drained"),
            ClusterNews::Left { .. } => self.0.hit("a worker is lost"),
            ClusterNews::Joined { .. } => {
                let now = self.0.network.now();
                self.0.book().joined.get_or_insert(now);
            }
            _ => {}
        }
        self.0.tell(format_args!("host {}: {news:?}", self.1));
    }

    fn on_warning(&mut self, message: &str) {
        self.0.tell(format_args!("host {}: {message}", self.1));
    }
}

fn master(shared: &Arc<Shared>, host: Host, stop: StopHandle) -> Ended {
    let setup = JobSetup {
        base: std::env::current_dir().unwrap_or_default(),
        partitions: shared.partitions,
        interval_ms: INTERVAL.as_millis() as u64,
        ..JobSetup::default()
    };
    let job = shared.job.build(&setup);
    let (source, pushed) = shared.job.open();
    let (sources, pushed) = (vec![source], vec![pushed]);
    let options = MasterOptions {
        listen: address(host, PORT),
        public: true,
        bulk_port: 0,
        reach: Reach::Network,
        state: shared.state.clone(),
        store: None,
        durable: None,
        batch_bytes: u64::MAX,
        until: None,
        workers: shared.workers,
        lease: MasterOptions::SHORT_LEASE,
        checkpoint: Some(shared.checkpoint),
        ingest: Ingest::Memory,
        from: None,
        accept_loss: false,
        ways: SourceWays::default(),
        speculate: true,
        standby: false,
        leaves_job: false,
        setup,
        pushed,
        in_flight: 3,
        attempts: 3,
        patience: Duration::from_secs(30),
        dead_letters: Vec::new(),
    };
    let sink = MemorySink::new(OUTPUT, Format::Text, shared.published.clone());
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(sink)];
    let mut observer = Listens(shared, host);
    serve_master(job, options, sources, sinks, &mut observer, stop, &mut |_, _| {}).map(drop)
}

fn worker(shared: &Arc<Shared>, host: Host, stop: StopHandle) -> Ended {
    let name = name(host);
    let options = WorkerOptions {
        master: vec![address(0, PORT), address(RIVAL, PORT)],
        listen: address(host, PORT),
        public: true,
        bulk_port: 0,
        reach: Reach::Network,
        token: None,
        identity: shared.state.join("identities").join(format!("{name}.json")),
        spill: shared.state.join("spill"),
        name,
        keeps_name: true,
        cores: 1,
        memory: 64 << 20,
        durable: None,
    };
    let log = |news: WorkerNews| {
        if let WorkerNews::MasterGone { .. } = news {
            shared.hit("a worker has lost its master");
        }
        shared.tell(format_args!("host {host}: {news:?}"));
    };
    let job = shared.job;
    let build = |setup: &JobSetup| Ok(job.build(setup));
    serve_worker(job.plan(), &build, options, &log, stop)
}

pub(super) fn name(host: Host) -> String {
    format!("w{host}")
}
