//! The endpoint: its two ports, the thread of each, and their end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::error::BYE;
use super::event::Deliver;
use super::ground::Ground;
use super::hub::{Configs, Hub, Parts};
use super::trust::Authority;
use super::{BindOptions, Delivery, Net, NetError, NetWarning, accept, renew};
use crate::wire::Role;

/// How long the end of an endpoint waits for its peers to hear of it.
const FAREWELL: Duration = Duration::from_secs(1);

/// After that many steps of its tasks a thread looks for packets and for what other threads send: often
/// where messages arrive, seldom where blocks do, since each look is a system call.
const LOOK_OUT: u32 = 6;
const LOOK_OUT_BULK: u32 = 61;

/// Two ports and everything that happens on them, until it is dropped.
#[derive(Debug)]
pub struct Endpoint {
    net: Net,
    warnings: Vec<NetWarning>,
    control: Option<JoinHandle<()>>,
    bulk: Option<JoinHandle<()>>,
}

impl Endpoint {
    /// Opens the ports and starts their threads. `deliver` is called there with every event; it must only
    /// pass the event on (to a channel, say): what a peer sends is bounded until it is
    /// [taken](Delivery::take), so the channel need not be.
    ///
    /// # Errors
    /// When the address is public and nobody asked for that, cannot be had, or the identity is unusable.
    pub fn bind(
        options: BindOptions,
        deliver: impl Fn(Delivery) + Send + Sync + 'static,
    ) -> Result<Self, NetError> {
        let mut options = options;
        options.limits = options.limits.sane();
        #[cfg(test)]
        if let Some(host) = crate::host::simulated::here() {
            let net = host.bind(options, Box::new(deliver))?;
            return Ok(Self { net, warnings: Vec::new(), control: None, bulk: None });
        }
        options.check()?;
        let (control_thread, bulk_thread) = (runtime(LOOK_OUT)?, runtime(LOOK_OUT_BULK)?);
        let (addr, buffer) = (options.addr, options.limits.socket_buffer);
        let bulk_addr = SocketAddr::new(addr.ip(), options.bulk_port);
        let (mut control, small) = Ground::of_system(control_thread.handle(), addr, buffer)?;
        let mut warnings: Vec<_> = small.into_iter().map(NetWarning::SmallBuffer).collect();
        if options.hello.role == Role::Master {
            let warning;
            (control, warning) = control.with_lifelines();
            warnings.extend(warning);
        }
        let (bulk, _) = Ground::of_system(bulk_thread.handle(), bulk_addr, buffer)?;
        let hub = assemble(options, control, bulk, Box::new(deliver))?;
        let start = |name: &str, run: Box<dyn FnOnce() + Send>| {
            thread::Builder::new().name(name.into()).spawn(run).map_err(NetError::Start)
        };
        let mut endpoint =
            Self { net: Net { hub: hub.clone() }, warnings, control: None, bulk: None };
        let shared = hub.clone();
        endpoint.bulk =
            Some(start("net-bulk", Box::new(move || bulk_thread.block_on(carry(&shared))))?);
        endpoint.control =
            Some(start("net", Box::new(move || control_thread.block_on(serve(&hub))))?);
        Ok(endpoint)
    }

    /// What drivers do everything with.
    #[must_use]
    pub fn net(&self) -> &Net {
        &self.net
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.net.local_addr()
    }

    /// What makes it less than it could be: to be told to whoever runs the process.
    #[must_use]
    pub fn warnings(&self) -> &[NetWarning] {
        &self.warnings
    }
}

impl Drop for Endpoint {
    /// Says goodbye to all peers, waits for them for a second at most, and ends the threads.
    fn drop(&mut self) {
        self.net.hub.end.notify_one();
        // A thread that panicked has said so on stderr; there is nothing to add to it.
        let _ = self.control.take().map(JoinHandle::join);
        // Only now: until then peers are still being taken leave of.
        self.net.hub.end_bulk.notify_one();
        let _ = self.bulk.take().map(JoinHandle::join);
    }
}

/// A thread's worth of tokio.
fn runtime(look_out: u32) -> Result<Runtime, NetError> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .event_interval(look_out)
        .global_queue_interval(look_out)
        .thread_name("net-files")
        .build();
    runtime.map_err(NetError::Start)
}

/// What an endpoint is, before anything runs: [`serve`] and [`carry`] do.
pub(super) fn assemble(
    options: BindOptions,
    control: Ground,
    bulk: Ground,
    deliver: Deliver,
) -> Result<Arc<Hub>, NetError> {
    let configs = Configs::new(options.identity.clone(), &options.wall(), &options.limits)?;
    let secret = options.authority.as_deref().map(Authority::reset_secret);
    let control = control.port(Some(configs.control.server.clone()), secret.as_ref())?;
    let bulk = bulk.port(Some(configs.bulk.server.clone()), secret.as_ref())?;
    Ok(Arc::new(Hub::new(Parts { control, bulk, options, configs, deliver })))
}

/// What happens at the port of control, which also sees to the end of both.
pub(super) async fn serve(hub: &Arc<Hub>) {
    tokio::select! {
        // Here and below: what is ready at once is taken in this order, so that a simulated run repeats.
        biased;
        () = accept::accept_all(hub, &hub.control) => {}
        () = renew::renew_always(hub) => {}
        () = lifelines(hub) => {}
        () = hub.end.notified() => {}
    }
    hub.ending.store(true, Ordering::Relaxed);
    let net = Net { hub: hub.clone() };
    for peer in hub.peer_ids() {
        net.close(peer);
    }
    // The callback must have had every `Closed` before the endpoint is gone.
    let empty = async {
        while !hub.peer_ids().is_empty() {
            hub.gone.notified().await;
        }
    };
    let _ = timeout(FAREWELL, empty).await;
    let quiet = async {
        for port in [&hub.control, &hub.bulk] {
            port.quinn.close(BYE, b"");
        }
        for port in [&hub.control, &hub.bulk] {
            port.quinn.wait_idle().await;
        }
    };
    let _ = timeout(FAREWELL, quiet).await;
}

/// Takes in the lifelines of workers, for as long as it is waited for.
async fn lifelines(hub: &Hub) {
    match &hub.control.lifelines {
        Some(lifelines) => lifelines.accept_all(hub.limits.handshake).await,
        None => std::future::pending().await,
    }
}

/// What happens at the port of blocks.
pub(super) async fn carry(hub: &Arc<Hub>) {
    // After the last connection has been taken in, those that are there go on.
    let all = async {
        accept::accept_all(hub, &hub.bulk).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = all => {}
        () = hub.end_bulk.notified() => {}
    }
}
