//! A client of the library on its own host: sends lines and counts on each being taken once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::process::{RIVAL, Shared, SimulatedHost, live};
use crate::client::{Access, Client, ClientId, ClientOptions, ClientTarget, StreamOptions};
use crate::host::simulated::Fiber;
use crate::net::simulation::{Host, PORT, address};
use crate::sched::simulation::Seed;

/// How long it may find no receiver.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client and its state.
pub(super) struct Sending {
    enough: Arc<AtomicBool>,
    waited: Arc<AtomicU64>,
    life: tokio::task::JoinHandle<Result<u64, String>>,
}

/// The line with a number: a unique word.
fn word(number: u64) -> String {
    format!("w{number}")
}

impl Sending {
    /// Starts sending.
    pub(super) fn start(shared: &Arc<Shared>, host: Host, number: u64) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let waited = Arc::new(AtomicU64::new(0));
        let told = (enough.clone(), waited.clone());
        let life = tokio::spawn(send(shared.clone(), host, number, told));
        Self { enough, waited, life }
    }

    /// Stops sending new lines.
    pub(super) fn stop(&self) {
        self.enough.store(true, Ordering::SeqCst);
    }

    /// The longest time, in milliseconds, for which it has sent lines and nothing was acknowledged.
    pub(super) fn waited(&self) -> u64 {
        self.waited.load(Ordering::SeqCst)
    }

    /// How many lines were acknowledged, all that it has sent, once that is known.
    pub(super) async fn ended(&mut self) -> Option<Result<u64, String>> {
        if !self.life.is_finished() {
            return None;
        }
        Some((&mut self.life).await.unwrap_or_else(|panic| Err(panic.to_string())))
    }
}

/// The thread of a client.
struct Engine {
    simulated: Arc<SimulatedHost>,
    fiber: Arc<Fiber>,
}

impl Drop for Engine {
    /// Ends with the task that waits for it.
    fn drop(&mut self) {
        self.fiber.kill();
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.life.abort();
    }
}

async fn send(
    shared: Arc<Shared>,
    host: Host,
    number: u64,
    (enough, waited): (Arc<AtomicBool>, Arc<AtomicU64>),
) -> Result<u64, String> {
    let mut seed = Seed(number | 1);
    let target = ClientTarget {
        job: shared.job.plan().job.to_owned(),
        plan: 0,
        masters: vec![address(0, PORT), address(RIVAL, PORT)],
        access: Access::Authority { state: shared.state.clone() },
        name: "sends".to_owned(),
        patience: PATIENCE,
    };
    let mut engine = None;
    let start = |serve| {
        let simulated = SimulatedHost::new(&shared, host, number);
        // If it panics, the client's handle gets an error.
        let (fiber, _) = Fiber::start(simulated.clone(), number, serve);
        drop(tokio::spawn(live(fiber.clone(), shared.network.clone(), host)));
        engine = Some(Engine { simulated, fiber });
        Ok(())
    };
    let client = Client::connect_on(ClientOptions::at(target), start).await;
    let client = client.map_err(|error| format!("the client: {error}"))?;
    let mut options = StreamOptions::new("views");
    options.client = Some(ClientId(7));
    let mut sent = 0;
    let acknowledged = {
        let stream = client.open_with(options).await;
        let mut stream = stream.map_err(|error| format!("the client's stream: {error}"))?;
        let (mut before, mut since) = (0, Instant::now());
        while !enough.load(Ordering::SeqCst) {
            let acknowledged = stream.acknowledged().records;
            if acknowledged > before || acknowledged == sent {
                (before, since) = (acknowledged, Instant::now());
            }
            waited.fetch_max(since.elapsed().as_millis() as u64, Ordering::SeqCst);
            let failed = |error| format!("after {sent} lines: {error}");
            stream.send(format!("{}\n", word(sent))).await.map_err(failed)?;
            sent += 1;
            sleep(Duration::from_millis(seed.below(60))).await;
        }
        stream.flush().await.map_err(|error| format!("of {sent} lines: {error}"))?
    };
    client.close().await;
    if acknowledged.records != sent {
        return Err(format!("{sent} lines were sent, and {acknowledged:?}"));
    }
    if let Some(Engine { simulated, fiber }) = &engine {
        // Its thread ends soon.
        while !fiber.is_over() {
            sleep(Duration::from_millis(1)).await;
        }
        simulated.end().await;
    }
    Ok(sent)
}
