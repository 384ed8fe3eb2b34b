//! Lifelines: an idle TCP connection from each worker, and from each standby, to its master, beside QUIC. The kernel
//! closes it when either process ends, so the other learns of a crash within a round trip; QUIC alone would notice only
//! the silence.
//!
//! A master listens on the TCP port with the number of its control port. A caller identifies itself by a
//! secret that its master sent inside TLS, in the handshake of control (clients that hold no lifeline ignore it):
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | magic |
//! | 8..24 | the secret, valid for one connection |
//!
//! Nothing else is ever sent. A lifeline is neither encrypted nor authenticated: its end is only a suspicion
//! for the driver, never the end of a peer, and neither is its absence. Any other bytes, or none, close the
//! connection; few unidentified connections are held at a time.

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{sleep, timeout};

use super::endpoint_state::EndpointState;
use super::trust::{TrustError, random_id};
use super::{CloseReason, NetEvent, PeerId};
use crate::wire::Lifeline;

const MAGIC: &[u8; 8] = b"dstream\x01";
/// Length of all bytes sent on a lifeline.
const HELLO: usize = 24;

/// Connections that have not identified themselves yet, at most.
pub(super) const STRANGERS: usize = 64;
/// The listener's backlog.
const BACKLOG: i32 = 1024;
/// Pause after a failed accept: the process has too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Idle time before TCP sends a keep-alive, so that no middlebox drops the connection.
const IDLE: Duration = Duration::from_secs(15);

/// The listener for lifelines.
pub(super) struct Lifelines {
    listener: TcpListener,
    awaited: Mutex<Map>,
    strangers: Arc<Semaphore>,
}

type Map = BTreeMap<Lifeline, oneshot::Sender<TcpStream>>;

/// An expected lifeline. Dropping it revokes the secret.
pub(super) struct Awaited {
    lifelines: Arc<Lifelines>,
    name: Lifeline,
    there: oneshot::Receiver<TcpStream>,
}

impl Lifelines {
    pub(super) fn open(runtime: &Handle, addr: SocketAddr) -> io::Result<Arc<Self>> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        if addr.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        // Connections of the previous master may linger.
        socket.set_reuse_address(true)?;
        socket.bind(&addr.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(socket.into())?
        };
        let strangers = Arc::new(Semaphore::new(STRANGERS));
        Ok(Arc::new(Self { listener, awaited: Mutex::default(), strangers }))
    }

    /// Creates the secret of a new lifeline and expects it.
    pub(super) fn await_one(self: &Arc<Self>) -> Result<Awaited, TrustError> {
        let name = Lifeline(random_id()?);
        let (come, there) = oneshot::channel();
        self.awaited().insert(name, come);
        Ok(Awaited { lifelines: self.clone(), name, there })
    }

    fn awaited(&self) -> MutexGuard<'_, Map> {
        // Code under this lock does not panic; if it did, the map would still be valid.
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts lifelines; each has `limit` to identify itself.
    pub(super) async fn accept_all(self: &Arc<Self>, limit: Duration) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    if let Ok(room) = self.strangers.clone().try_acquire_owned() {
                        tokio::spawn(self.clone().admit(stream, limit, room));
                    }
                }
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    async fn admit(
        self: Arc<Self>,
        mut stream: TcpStream,
        limit: Duration,
        _room: OwnedSemaphorePermit,
    ) {
        let mut hello = [0; HELLO];
        let Ok(Ok(_)) = timeout(limit, stream.read_exact(&mut hello)).await else { return };
        if let Some(name) = read_hello(&hello)
            && let Some(come) = self.awaited().remove(&name)
        {
            // Dropping the stream closes it if it is no longer expected.
            let _ = come.send(stream);
        }
    }
}

impl Awaited {
    /// The secret for the caller.
    pub(super) fn name(&self) -> Lifeline {
        self.name
    }

    /// Waits for the lifeline, at most `limit`.
    async fn come(&mut self, limit: Duration) -> Option<TcpStream> {
        timeout(limit, &mut self.there).await.ok()?.ok()
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.lifelines.awaited().remove(&self.name);
    }
}

/// One end of a future lifeline.
pub(super) enum End {
    /// The master's.
    Awaited(Awaited),
    /// The caller's.
    Told(Lifeline),
}

/// Attends to the lifeline of a peer until the peer ends. The end of a lifeline does not end the peer.
pub(super) async fn attend(
    state: Arc<EndpointState>,
    peer: PeerId,
    addr: SocketAddr,
    end: End,
) -> CloseReason {
    let limit = state.limits.handshake;
    match end {
        End::Awaited(mut awaited) => {
            // Time to connect, then time to identify itself.
            let event = match awaited.come(limit * 2).await {
                Some(stream) => {
                    keep(stream).await;
                    NetEvent::LifelineEnded { peer }
                }
                None => NetEvent::NoLifeline { peer },
            };
            state.deliver(event, None);
        }
        End::Told(name) => {
            // If TCP does not get through, the master reports it.
            if let Ok(Ok(stream)) = timeout(limit, dial(addr, name)).await {
                keep(stream).await;
                state.deliver(NetEvent::LifelineEnded { peer }, None);
            }
        }
    }
    pending().await
}

async fn dial(addr: SocketAddr, name: Lifeline) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.write_all(&hello(name)).await?;
    Ok(stream)
}

/// Holds the connection until the other end closes it or sends a byte.
async fn keep(mut stream: TcpStream) {
    let alive = TcpKeepalive::new().with_time(IDLE).with_interval(IDLE);
    // Without keep-alives a middlebox may drop the connection.
    let _ = SockRef::from(&stream).set_tcp_keepalive(&alive);
    let _ = stream.read(&mut [0]).await;
}

fn hello(Lifeline(secret): Lifeline) -> [u8; HELLO] {
    let mut hello = [0; HELLO];
    hello[..MAGIC.len()].copy_from_slice(MAGIC);
    hello[MAGIC.len()..].copy_from_slice(&secret);
    hello
}

fn read_hello(hello: &[u8; HELLO]) -> Option<Lifeline> {
    let secret = hello.strip_prefix(MAGIC)?;
    secret.try_into().ok().map(Lifeline)
}
