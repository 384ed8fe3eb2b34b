//! The endpoint: two ports, a thread for each, and their shutdown.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::bound_socket::BoundSocket;
use super::endpoint_state::{Configs, EndpointState, Parts};
use super::error::BYE;
use super::event::Deliver;
use super::memory::MemoryPort;
use super::trust::{Authority, Subject};
use super::{
    BindOptions, Delivery, Limits, MemoryNetwork, Net, NetError, NetWarning, accept, renew,
};
use crate::wire::Role;

/// Longest wait for peers to acknowledge the end of an endpoint.
const FAREWELL: Duration = Duration::from_secs(1);

/// Steps of tasks between two polls of the sockets and channels. Each poll is a system call, so the control
/// thread polls often and the bulk thread rarely.
const LOOK_OUT: u32 = 6;
const LOOK_OUT_BULK: u32 = 61;

/// Two ports and their threads, until dropped.
#[derive(Debug)]
pub struct Endpoint {
    net: Net,
    warnings: Vec<NetWarning>,
    control: Option<JoinHandle<()>>,
    bulk: Option<JoinHandle<()>>,
}

impl Endpoint {
    /// Opens the ports and starts their threads. `deliver` is called on those threads with every event and
    /// must only pass the event on, for example to a channel. The channel need not be bounded: the bytes of
    /// a peer are bounded until the event is [taken](Delivery::take).
    ///
    /// # Errors
    /// When the address is public and `public` is not set, the address cannot be bound, or the identity is
    /// unusable.
    pub fn bind(
        options: BindOptions,
        deliver: impl Fn(Delivery) + Send + Sync + 'static,
    ) -> Result<Self, NetError> {
        let mut options = options;
        options.limits = options.limits.sane();
        #[cfg(test)]
        if let Some(host) = crate::host::simulated::here() {
            let net = host.bind(options, Arc::new(deliver))?;
            return Ok(Self { net, warnings: Vec::new(), control: None, bulk: None });
        }
        options.check()?;
        let (control_thread, bulk_thread) = (runtime(LOOK_OUT)?, runtime(LOOK_OUT_BULK)?);
        let (addr, buffer) = (options.addr, options.limits.socket_buffer);
        let bulk_addr = SocketAddr::new(addr.ip(), options.bulk_port);
        let (mut control, small) = BoundSocket::of_system(control_thread.handle(), addr, buffer)?;
        let mut warnings: Vec<_> = small.into_iter().map(NetWarning::SmallBuffer).collect();
        if options.hello.role == Role::Master {
            let warning;
            (control, warning) = control.with_lifelines();
            warnings.extend(warning);
        }
        let (bulk, _) = BoundSocket::of_system(bulk_thread.handle(), bulk_addr, buffer)?;
        let state = assemble(options, control, bulk, Arc::new(deliver))?;
        let start = |name: &str, run: Box<dyn FnOnce() + Send>| {
            thread::Builder::new().name(name.into()).spawn(run).map_err(NetError::Start)
        };
        let net = Net::of(&state);
        let mut endpoint = Self { net, warnings, control: None, bulk: None };
        let shared = state.clone();
        endpoint.bulk =
            Some(start("net-bulk", Box::new(move || bulk_thread.block_on(carry(&shared))))?);
        endpoint.control =
            Some(start("net", Box::new(move || control_thread.block_on(serve(&state))))?);
        Ok(endpoint)
    }

    /// An endpoint that only others of this process reach, by memory. It needs no certificate and opens no port.
    pub fn within(
        network: &MemoryNetwork,
        subject: Subject,
        deliver: impl Fn(Delivery) + Send + Sync + 'static,
    ) -> Self {
        let untaken = Limits::default().untaken_events;
        let port = MemoryPort::new(subject, untaken, Arc::new(deliver));
        let net = Net { state: None, memory: Some(network.open(port, None)) };
        Self { net, warnings: Vec::new(), control: None, bulk: None }
    }

    /// The handle for drivers.
    #[must_use]
    pub fn net(&self) -> &Net {
        &self.net
    }

    /// The address of control.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.net.local_addr()
    }

    /// Limits of this host to report to the operator.
    #[must_use]
    pub fn warnings(&self) -> &[NetWarning] {
        &self.warnings
    }
}

impl Drop for Endpoint {
    /// Says goodbye to all peers, waits at most one second, and ends the threads.
    fn drop(&mut self) {
        if let Some(memory) = &self.net.memory {
            memory.close_all();
        }
        let Some(state) = &self.net.state else { return };
        state.end.notify_one();
        // A thread that panicked has printed the panic already.
        let _ = self.control.take().map(JoinHandle::join);
        // The bulk thread must run until all peers are closed.
        state.end_bulk.notify_one();
        let _ = self.bulk.take().map(JoinHandle::join);
    }
}

/// A single-threaded runtime.
fn runtime(look_out: u32) -> Result<Runtime, NetError> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .event_interval(look_out)
        .global_queue_interval(look_out)
        .thread_name("net-files")
        .build();
    runtime.map_err(NetError::Start)
}

/// Builds the shared state; [`serve`] and [`carry`] run it.
pub(super) fn assemble(
    options: BindOptions,
    control: BoundSocket,
    bulk: BoundSocket,
    deliver: Deliver,
) -> Result<Arc<EndpointState>, NetError> {
    let configs = Configs::new(options.identity.clone(), &options.wall(), &options.limits)?;
    let secret = options.authority.as_deref().map(Authority::reset_secret);
    let control = control.port(Some(configs.control.server.clone()), secret.as_ref())?;
    let bulk = bulk.port(Some(configs.bulk.server.clone()), secret.as_ref())?;
    let memory = options.network.as_ref().map(|network| {
        let (subject, untaken) =
            (options.identity.subject().clone(), options.limits.untaken_events);
        let port = MemoryPort::new(subject, untaken, deliver.clone());
        network.open(port.with_authority(options.authority.clone()), Some(control.addr))
    });
    Ok(Arc::new(EndpointState::new(Parts { control, bulk, memory, options, configs, deliver })))
}

/// Runs the control port, and ends both ports.
pub(super) async fn serve(state: &Arc<EndpointState>) {
    tokio::select! {
        // `biased` here and below fixes the order, so that simulated runs repeat.
        biased;
        () = accept::accept_all(state, &state.control) => {}
        () = renew::renew_always(state) => {}
        () = lifelines(state) => {}
        () = state.end.notified() => {}
    }
    state.ending.store(true, Ordering::Relaxed);
    let net = Net::of(state);
    for peer in state.peer_ids() {
        net.close(peer);
    }
    // Deliver every `Closed` before the endpoint ends.
    let empty = async {
        while !state.peer_ids().is_empty() {
            state.gone.notified().await;
        }
    };
    let _ = timeout(FAREWELL, empty).await;
    let quiet = async {
        for port in [&state.control, &state.bulk] {
            port.quinn.close(BYE, b"");
        }
        for port in [&state.control, &state.bulk] {
            port.quinn.wait_idle().await;
        }
    };
    let _ = timeout(FAREWELL, quiet).await;
}

/// Accepts lifelines of workers until cancelled.
async fn lifelines(state: &EndpointState) {
    match &state.control.lifelines {
        Some(lifelines) => lifelines.accept_all(state.limits.handshake).await,
        None => std::future::pending().await,
    }
}

/// Runs the bulk port.
pub(super) async fn carry(state: &Arc<EndpointState>) {
    // Open connections continue after the port stops accepting.
    let all = async {
        accept::accept_all(state, &state.bulk).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = all => {}
        () = state.end_bulk.notified() => {}
    }
}
