//! The endpoint: its port, its thread, and its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use super::error::BYE;
use super::event::Deliver;
use super::hub::{Configs, Hub, Parts};
use super::{BindOptions, Delivery, Net, NetError, SmallBuffer, accept, renew, socket};

/// How long the end of an endpoint waits for its peers to hear of it.
const FAREWELL: Duration = Duration::from_secs(1);

/// After that many steps of its tasks the thread looks for packets and for what other threads send:
/// with tokio's 61 and 31 a message waits for milliseconds while blocks keep the thread busy.
const LOOK_OUT: u32 = 6;

/// A port and everything that happens on it, until it is dropped.
#[derive(Debug)]
pub struct Endpoint {
    net: Net,
    warnings: Vec<SmallBuffer>,
    thread: Option<JoinHandle<()>>,
}

impl Endpoint {
    /// Opens the port and starts the thread. `deliver` is called there with every event; it must only
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
        options.check()?;
        let addr = options.addr;
        let bind = |source| NetError::Bind { addr, source };
        let (udp, warnings) = socket::open(addr, options.limits.socket_buffer).map_err(bind)?;
        let configs = Configs::new(options.identity.clone(), &options.wall(), &options.limits)?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .event_interval(LOOK_OUT)
            .global_queue_interval(LOOK_OUT)
            .thread_name("net-files")
            .build()
            .map_err(NetError::Start)?;
        let quinn = {
            let _inside = runtime.enter();
            let server = Some(configs.server.clone());
            let system = Arc::new(quinn::TokioRuntime);
            quinn::Endpoint::new(socket::endpoint_config(), server, udp, system).map_err(bind)?
        };
        let parts = Parts {
            runtime: runtime.handle().clone(),
            addr: quinn.local_addr().map_err(bind)?,
            quinn,
            options,
            configs,
            deliver: Box::new(deliver) as Deliver,
        };
        let net = Net { hub: Arc::new(Hub::new(parts)) };
        let run = {
            let hub = net.hub.clone();
            move || serve(&runtime, &hub)
        };
        let thread =
            thread::Builder::new().name("net".into()).spawn(run).map_err(NetError::Start)?;
        Ok(Self { net, warnings, thread: Some(thread) })
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

    /// What makes it slower than it could be: to be told to whoever runs the process.
    #[must_use]
    pub fn warnings(&self) -> &[SmallBuffer] {
        &self.warnings
    }
}

impl Drop for Endpoint {
    /// Says goodbye to all peers, waits for them for a second at most, and ends the thread.
    fn drop(&mut self) {
        self.net.hub.end.notify_one();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so on stderr; there is nothing to add to it.
            let _ = thread.join();
        }
    }
}

fn serve(runtime: &Runtime, hub: &Arc<Hub>) {
    runtime.block_on(async {
        tokio::select! {
            () = accept::accept_all(hub) => {}
            () = renew::renew_always(hub) => {}
            () = hub.end.notified() => {}
        }
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
        let _ = tokio::time::timeout(FAREWELL, empty).await;
        hub.quinn.close(BYE, b"");
        let _ = tokio::time::timeout(FAREWELL, hub.quinn.wait_idle()).await;
    });
}
