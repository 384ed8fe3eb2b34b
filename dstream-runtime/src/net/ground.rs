//! What a port stands on: a socket, and the runtime on which everything happens that has to do with it.
//!
//! Everything above is the same whether the socket is one of the system or a simulated one.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use quinn::{AsyncUdpSocket, EndpointConfig, Runtime, ServerConfig, TokioRuntime};
use tokio::runtime::Handle;

use super::hub::Port;
use super::lifeline::Lifelines;
use super::{NetError, NetWarning, SmallBuffer, socket};

/// A socket that is open, and where it is listened to.
pub(super) struct Ground {
    runtime: Handle,
    socket: Arc<dyn AsyncUdpSocket>,
    addr: SocketAddr,
    /// What QUIC's choices that need not be secret are drawn from; random if nothing is said.
    seed: Option<[u8; 32]>,
    /// Beside a socket of the system, if they were asked for.
    lifelines: Option<Arc<Lifelines>>,
}

impl Ground {
    /// A socket of the system, and what makes it slower than it could be.
    pub(super) fn of_system(
        runtime: &Handle,
        addr: SocketAddr,
        buffer: usize,
    ) -> Result<(Self, Vec<SmallBuffer>), NetError> {
        let bind = |source| NetError::Bind { addr, source };
        let (udp, warnings) = socket::open(addr, buffer).map_err(bind)?;
        let socket = {
            // It is watched by the runtime that it is wrapped on.
            let _inside = runtime.enter();
            TokioRuntime.wrap_udp_socket(udp).map_err(bind)?
        };
        let runtime = runtime.clone();
        Ok((Self { runtime, socket, addr, seed: None, lifelines: None }, warnings))
    }

    /// With lifelines at the TCP port of the same number. What is wrong if they cannot be had: everything goes
    /// on without.
    pub(super) fn with_lifelines(mut self) -> (Self, Option<NetWarning>) {
        // A socket that does not know its address will not become a port either.
        let addr = self.socket.local_addr().unwrap_or(self.addr);
        match Lifelines::open(&self.runtime, addr) {
            Ok(lifelines) => {
                self.lifelines = Some(lifelines);
                (self, None)
            }
            Err(source) => (self, Some(NetWarning::NoLifelines { addr, source })),
        }
    }

    /// A simulated socket on a runtime whose clock may be a simulated one.
    #[cfg(test)]
    pub(super) fn simulated(
        runtime: &Handle,
        socket: Arc<dyn AsyncUdpSocket>,
        addr: SocketAddr,
        seed: [u8; 32],
    ) -> Self {
        Self { runtime: runtime.clone(), socket, addr, seed: Some(seed), lifelines: None }
    }

    /// A port: with `server`, one that others may connect to. For `secret` see
    /// [`endpoint_config`](socket::endpoint_config).
    pub(super) fn port(
        self,
        server: Option<ServerConfig>,
        secret: Option<&[u8; 32]>,
    ) -> Result<Port, NetError> {
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
        Ok(Port { runtime, quinn, addr, lifelines })
    }
}
