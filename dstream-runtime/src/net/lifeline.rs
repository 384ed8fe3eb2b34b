//! Lifelines: a TCP connection from each worker to its master, beside QUIC, that carries nothing. The kernel
//! closes it with the process, however that ends, and the master hears of it within a round trip; of a QUIC
//! connection whose process was killed it hears nothing at all.
//!
//! Masters listen where they listen for control, at the TCP port of the same number. A worker names itself by
//! a secret that its master has told it inside TLS, in the handshake of control:
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | magic |
//! | 8..24 | the secret, which counts for one connection |
//!
//! Nothing is said after that, in either direction. None of this is encrypted, and it proves nothing: the end
//! of a lifeline is told to the driver as a suspicion and never ends a peer, and neither does its absence.
//! Whoever says anything else, or nothing, is hung up on without a word, and few are listened to at a time.

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

use super::hub::Hub;
use super::trust::{TrustError, random_id};
use super::{CloseReason, NetEvent, PeerId};
use crate::wire::Lifeline;

const MAGIC: &[u8; 8] = b"dstream\x01";
/// Length of all that is ever said on a lifeline.
const HELLO: usize = 24;

/// Connections at a time that have not said yet whose they are.
pub(super) const STRANGERS: usize = 64;
/// Connections that wait to be looked at.
const BACKLOG: i32 = 1024;
/// Before the next one is looked at when there was no room for one: the process has too many files open.
const PAUSE: Duration = Duration::from_millis(100);

/// A lifeline without a packet for so long is tried, so that nothing on the way takes it for forgotten.
const IDLE: Duration = Duration::from_secs(15);

/// Where the lifelines of a master's workers come in.
pub(super) struct Lifelines {
    listener: TcpListener,
    awaited: Mutex<Map>,
    strangers: Arc<Semaphore>,
}

type Map = BTreeMap<Lifeline, oneshot::Sender<TcpStream>>;

/// A lifeline that may come. Once this is dropped it may not.
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
        // Connections of the master that was there before may not be quite over.
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

    /// From now on a new one may come.
    pub(super) fn await_one(self: &Arc<Self>) -> Result<Awaited, TrustError> {
        let name = Lifeline(random_id()?);
        let (come, there) = oneshot::channel();
        self.awaited().insert(name, come);
        Ok(Awaited { lifelines: self.clone(), name, there })
    }

    fn awaited(&self) -> MutexGuard<'_, Map> {
        // Nobody panics while holding it; were it otherwise, a map is still a map.
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in those that come, each of which has so long to say whose it is.
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
            // If nobody waits any more, it is closed.
            let _ = come.send(stream);
        }
    }
}

impl Awaited {
    /// What the worker has to say.
    pub(super) fn name(&self) -> Lifeline {
        self.name
    }

    /// Waits for it, as long as the worker may take to connect.
    async fn come(&mut self, limit: Duration) -> Option<TcpStream> {
        timeout(limit, &mut self.there).await.ok()?.ok()
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.lifelines.awaited().remove(&self.name);
    }
}

/// One end of a lifeline that is to be.
pub(super) enum End {
    /// The master's.
    Awaited(Awaited),
    /// The worker's.
    Told(Lifeline),
}

/// Sees to the lifeline of a peer at that address, until it is stopped since the peer has ended: the end of a
/// lifeline is not the end of the peer.
pub(super) async fn attend(hub: Arc<Hub>, peer: PeerId, addr: SocketAddr, end: End) -> CloseReason {
    let limit = hub.limits.handshake;
    match end {
        End::Awaited(mut awaited) => {
            // Time for the worker to connect, and then to say its name.
            let event = match awaited.come(limit * 2).await {
                Some(stream) => {
                    keep(stream).await;
                    NetEvent::LifelineEnded { peer }
                }
                None => NetEvent::NoLifeline { peer },
            };
            hub.deliver(event, None);
        }
        End::Told(name) => {
            // Where there is no way for it, the master says so.
            if let Ok(Ok(stream)) = timeout(limit, dial(addr, name)).await {
                keep(stream).await;
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

/// Holds one end until the other one is gone, or says something.
async fn keep(mut stream: TcpStream) {
    let alive = TcpKeepalive::new().with_time(IDLE).with_interval(IDLE);
    // Without it the lifeline is as good as long as nothing on the way forgets it.
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
