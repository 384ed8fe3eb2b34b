//! A bound socket and the runtime that drives it.
//!
//! Code above this module does not know whether the socket is simulated.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use quinn::{AsyncUdpSocket, EndpointConfig, Runtime, ServerConfig, TokioRuntime};
use tokio::runtime::Handle;

use super::endpoint_state::QuicPort;
use super::lifeline::Lifelines;
use super::{NetError, NetWarning, SmallBuffer, socket};

/// An open socket and its address.
pub(super) struct BoundSocket {
    runtime: Handle,
    socket: Arc<dyn AsyncUdpSocket>,
    addr: SocketAddr,
    /// Seed of QUIC's non-secret random choices; random if absent.
    seed: Option<[u8; 32]>,
    /// Present on a system socket that was asked for lifelines.
    lifelines: Option<Arc<Lifelines>>,
}

impl BoundSocket {
    /// Opens a system socket. The warnings say what limits its throughput.
    pub(super) fn of_system(
        runtime: &Handle,
        addr: SocketAddr,
        buffer: usize,
    ) -> Result<(Self, Vec<SmallBuffer>), NetError> {
        let bind = |source| NetError::Bind { addr, source };
        let (udp, warnings) = socket::open(addr, buffer).map_err(bind)?;
        let socket = {
            // tokio registers the socket with the current runtime.
            let _inside = runtime.enter();
            TokioRuntime.wrap_udp_socket(udp).map_err(bind)?
        };
        let runtime = runtime.clone();
        Ok((Self { runtime, socket, addr, seed: None, lifelines: None }, warnings))
    }

    /// Opens the TCP port of the same number for lifelines; on failure, returns a warning and works without.
    pub(super) fn with_lifelines(mut self) -> (Self, Option<NetWarning>) {
        // A socket without a local address fails later, in `port`.
        let addr = self.socket.local_addr().unwrap_or(self.addr);
        match Lifelines::open(&self.runtime, addr) {
            Ok(lifelines) => {
                self.lifelines = Some(lifelines);
                (self, None)
            }
            Err(source) => (self, Some(NetWarning::NoLifelines { addr, source })),
        }
    }

    /// A simulated socket, on a runtime that may have a simulated clock.
    #[cfg(test)]
    pub(super) fn simulated(
        runtime: &Handle,
        socket: Arc<dyn AsyncUdpSocket>,
        addr: SocketAddr,
        seed: [u8; 32],
    ) -> Self {
        Self { runtime: runtime.clone(), socket, addr, seed: Some(seed), lifelines: None }
    }

    /// Makes a QUIC port. With `server`, it accepts connections. For `secret` see
    /// [`endpoint_config`](socket::endpoint_config).
    pub(super) fn port(
        self,
        server: Option<ServerConfig>,
        secret: Option<&[u8; 32]>,
    ) -> Result<QuicPort, NetError> {
        let Self { runtime, socket, addr, seed, lifelines } = self;
        let bind = |source: io::Error| NetError::Bind { addr, source };
        let mut config: EndpointConfig = socket::endpoint_config(secret);
        config.rng_seed(seed);
        let quinn = {
            let _inside = runtime.enter();
            let system = Arc::new(TokioRuntime);
            quinn::Endpoint::new_with_abstract_socket(config, server, socket, system)
                .map_err(bind)?
        };
        let addr = quinn.local_addr().map_err(bind)?;
        Ok(QuicPort { runtime, quinn, addr, lifelines })
    }
}
