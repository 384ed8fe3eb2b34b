//! A process of a simulated host as the network sees it: an endpoint on two simulated sockets.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

use super::network::{Network, address};
use super::socket::Socket;
use super::{Host, hash};
use crate::net::bound_socket::BoundSocket;
use crate::net::endpoint::{assemble, carry, serve};
use crate::net::event::Deliver;
use crate::net::join::join_from;
use crate::net::trust::{Authority, Identity};
use crate::net::{BindOptions, Delivery, JoinOptions, Limits, Net, NetError};
use crate::wire::Role;

/// The control port of all processes.
pub(crate) const PORT: u16 = 4000;

/// The role and the name of a host's process.
pub(super) fn role(host: Host) -> Role {
    if host == 0 { Role::Master } else { Role::Worker }
}

pub(super) fn name(host: Host) -> String {
    format!("p{host}")
}

/// The wall clock at the start of a world, since the Unix epoch.
pub(super) const BEGUN: Duration = Duration::from_secs(1_800_000_000);

/// The plan hash of all processes.
pub(super) const PLAN: u64 = 0x1234;

/// The time since the Unix epoch.
pub(crate) fn wall(network: &Arc<Network>) -> Arc<dyn Fn() -> Duration + Send + Sync> {
    let network = network.clone();
    Arc::new(move || BEGUN + Duration::from_millis(network.now()))
}

/// Options of a host's process, with a certificate issued now.
pub(crate) fn options(
    network: &Arc<Network>,
    authority: &Arc<Authority>,
    host: Host,
    limits: Limits,
) -> BindOptions {
    let now = wall(network)();
    let identity = authority.identity(role(host), &name(host), now).expect("a certificate");
    bind(network, authority, host, identity, limits)
}

/// Options of a host's process that has its certificate.
pub(super) fn bind(
    network: &Arc<Network>,
    authority: &Arc<Authority>,
    host: Host,
    identity: Identity,
    limits: Limits,
) -> BindOptions {
    let mut options = BindOptions::new(identity, PLAN).at(address(host, PORT));
    (options.wall, options.limits) = (wall(network), limits);
    if host == 0 { options.with_authority(authority.clone()) } else { options }
}

/// A socket of that host, with the seed of its QUIC.
fn bound(network: &Arc<Network>, host: Host, port: u16, number: u64) -> BoundSocket {
    let addr = address(host, port);
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&hash(&[number, u64::from(host), u64::from(port)]).to_le_bytes());
    BoundSocket::simulated(&Handle::current(), Socket::open(network, addr), addr, seed)
}

pub(crate) struct Process {
    pub(crate) net: Net,
    network: Arc<Network>,
    host: Host,
    control: JoinHandle<()>,
    bulk: JoinHandle<()>,
}

impl Process {
    /// Starts on a host without a process. `number` is unique in a world; it also selects the bulk port, so
    /// that each process has another than its predecessor. Limits are used unchecked.
    pub(crate) fn start(
        network: &Arc<Network>,
        host: Host,
        number: u64,
        options: BindOptions,
    ) -> (Self, UnboundedReceiver<Delivery>) {
        let (tell, events) = unbounded_channel();
        let deliver = move |delivery| {
            // A killed process receives nothing.
            let _ = tell.send(delivery);
        };
        let started = Self::start_for(network, host, number, options, Arc::new(deliver));
        (started.expect("a usable identity"), events)
    }

    /// The same; `deliver` is called with every event.
    pub(crate) fn start_for(
        network: &Arc<Network>,
        host: Host,
        number: u64,
        options: BindOptions,
        deliver: Deliver,
    ) -> Result<Self, NetError> {
        let bulk_port = PORT + 1 + (number % 1000) as u16;
        let control = bound(network, host, PORT, number);
        let bulk = bound(network, host, bulk_port, number);
        let state = assemble(options, control, bulk, deliver)?;
        let net = Net::of(&state);
        let shared = state.clone();
        let control = tokio::spawn(async move { serve(&shared).await });
        let bulk = tokio::spawn(async move { carry(&state).await });
        Ok(Self { net, network: network.clone(), host, control, bulk })
    }

    /// Ends without notice. Its tokio tasks run on without a socket.
    pub(crate) fn kill(self) {
        self.network.close(self.host);
        self.control.abort();
        self.bulk.abort();
    }

    /// Ends like [`Endpoint`](crate::net::Endpoint).
    pub(crate) async fn end(self) {
        self.net.quic().end.notify_one();
        self.control.await.expect("nothing panics");
        self.net.quic().end_bulk.notify_one();
        self.bulk.await.expect("nothing panics");
        self.network.close(self.host);
    }
}

/// Buys a certificate with a token, from a host without a process.
pub(crate) async fn join(
    network: &Arc<Network>,
    host: Host,
    number: u64,
    options: &JoinOptions,
) -> Result<Identity, NetError> {
    let joined = join_from(bound(network, host, PORT, number), options).await;
    network.close(host);
    joined
}
