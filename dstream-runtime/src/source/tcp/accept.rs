//! The thread that accepts and receives: it moves bytes from sockets into the inbox, and decides
//! nothing.

use std::io::{self, Read};
use std::net::TcpListener;
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Shared, pump};
use crate::source::lines::PIECE;
use crate::source::receive::{DRAIN, Deliver, Phase, unless};

/// How long nothing is accepted when no descriptor is left for it.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

thread_local! {
    /// Where all sockets of the thread are read to: idle clients cost no buffer.
    static RECEIVED: std::cell::RefCell<Vec<u8>> = std::cell::RefCell::new(vec![0; PIECE]);
}

pub(super) fn start(
    listener: TcpListener,
    shared: Arc<Shared>,
    phase: watch::Receiver<Phase>,
    deliver: Option<(Deliver, usize)>,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _inside = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    std::thread::Builder::new().name("dstream-tcp".to_owned()).spawn(move || {
        runtime.block_on(async {
            let pump = |(deliver, most)| tokio::spawn(pump::run(shared.clone(), deliver, most));
            let pumping = deliver.map(pump);
            serve(listener, &shared, phase).await;
            shared.state().done = true;
            shared.quiet.notify_all();
            if let Some(pumping) = pumping {
                shared.arrived.notify_one();
                // A panic is a bug of the code that takes the lines, which knows by now.
                drop(pumping.await);
            }
        });
    })
}

/// Accepts and receives until it is stopped; then receives what is left.
async fn serve(
    listener: tokio::net::TcpListener,
    shared: &Arc<Shared>,
    mut phase: watch::Receiver<Phase>,
) {
    let mut clients = Clients { tasks: JoinSet::new(), accepted: 0 };
    while let Some(accepted) = unless(&mut phase, Phase::Draining, listener.accept()).await {
        // Those that have gone are forgotten.
        while clients.tasks.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => clients.receive(stream, shared, &phase),
            Err(_) => {
                unless(&mut phase, Phase::Draining, tokio::time::sleep(ACCEPT_AGAIN)).await;
            }
        }
    }
    if *phase.borrow() == Phase::Draining
        && let Ok(listener) = listener.into_std()
    {
        // Who had connected before the stop may have sent before it.
        while let Ok((stream, _)) = listener.accept() {
            if stream.set_nonblocking(true).is_ok()
                && let Ok(stream) = TcpStream::from_std(stream)
            {
                clients.receive(stream, shared, &phase);
            }
        }
    }
    let all = async { while clients.tasks.join_next().await.is_some() {} };
    unless(&mut phase, Phase::Closed, all).await;
}

struct Clients {
    tasks: JoinSet<()>,
    accepted: u64,
}

impl Clients {
    fn receive(&mut self, stream: TcpStream, shared: &Arc<Shared>, phase: &watch::Receiver<Phase>) {
        self.accepted += 1;
        let id = self.accepted;
        let peer = stream.peer_addr().map_or_else(|_| "gone".to_owned(), |peer| peer.to_string());
        shared.state().inbox.connected(id, format!("connection {id} from {peer}").into());
        let client = Client { id, shared: shared.clone() };
        self.tasks.spawn(client.run(stream, phase.clone()));
    }
}

struct Client {
    id: u64,
    shared: Arc<Shared>,
}

/// How a connection ends.
enum End {
    /// The client has closed it.
    Closed,
    /// The source has stopped before the client closed it.
    Stopped,
    /// It broke: a reset, a timeout or another error.
    Broken(io::Error),
}

impl Client {
    async fn run(self, stream: TcpStream, mut phase: watch::Receiver<Phase>) {
        loop {
            let ready = async {
                self.room().await;
                stream.readable().await
            };
            let got = match unless(&mut phase, Phase::Draining, ready).await {
                None => return self.drain(stream).await,
                Some(Ok(())) => self.receive(PIECE, |buffer| stream.try_read(buffer)),
                Some(Err(error)) => Err(error),
            };
            match got {
                Err(error) if is_transient(&error) => {}
                Ok(0) => return self.end(&End::Closed),
                Err(error) => return self.end(&End::Broken(error)),
                Ok(_) => {
                    // Not within the `if let`, which would keep the state locked.
                    let refused = self.shared.state().inbox.refusal(self.id);
                    if let Some(why) = refused {
                        // A client that does not listen is told nothing.
                        let _ = stream.try_write(format!("refused: {why}\n").as_bytes());
                        return self.end(&End::Closed);
                    }
                }
            }
        }
    }

    /// Receives what the kernel holds at this moment, and what follows without a pause.
    async fn drain(&self, stream: TcpStream) {
        let end = match stream.into_std() {
            Ok(stream) => self.drain_now(&stream).await,
            Err(_) => End::Stopped,
        };
        self.end(&end);
    }

    /// Nothing more is received: only a line that the client has closed is complete without its line end.
    fn end(&self, end: &End) {
        self.shared.came(|inbox| match end {
            End::Closed => inbox.closed(self.id),
            End::Stopped => inbox.stopped(self.id),
            End::Broken(error) => inbox.broken(self.id, error),
        });
    }

    /// How the connection ends.
    async fn drain_now(&self, mut stream: &std::net::TcpStream) -> End {
        let held = rustix::io::ioctl_fionread(stream).unwrap_or(0);
        // A client that never pauses must not keep the source from ending. It waits for room as long as batches need to
        // make some.
        let most = held.saturating_add(self.shared.state().inbox.limit() as u64);
        let (start, mut waited, mut received) = (Instant::now(), Duration::ZERO, 0);
        while received < held || received < most && start.elapsed() < DRAIN + waited {
            let before = Instant::now();
            self.room().await;
            waited += before.elapsed();
            match self.receive(PIECE, |buffer| stream.read(buffer)) {
                Ok(0) => return End::Closed,
                Ok(got) => received += got as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_transient(&error) => return End::Stopped,
                Err(error) => return End::Broken(error),
            }
        }
        match stream.peek(&mut [0]) {
            Ok(0) => End::Closed,
            Err(error) if !is_transient(&error) => End::Broken(error),
            _ => End::Stopped,
        }
    }

    /// Waits until something may be received.
    async fn room(&self) {
        loop {
            let mut made = pin!(self.shared.room.notified());
            // Room that is made after the look below is heard of.
            made.as_mut().enable();
            {
                let mut state = self.shared.state();
                if state.inbox.room() > 0 {
                    return;
                }
                state.waiting += 1;
                self.shared.quiet.notify_all();
            }
            let _waits = Waits(&self.shared);
            made.await;
        }
    }

    /// Receives at most `most` bytes; it would block while there is no room.
    fn receive(
        &self,
        most: usize,
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        RECEIVED.with_borrow_mut(|buffer| {
            let size = self.shared.state().inbox.room().min(most).min(buffer.len());
            if size == 0 {
                // Another client was faster, which says nothing of this one.
                return Err(io::ErrorKind::Interrupted.into());
            }
            let got = read(&mut buffer[..size])?;
            self.shared.came(|inbox| inbox.received(self.id, &buffer[..got]));
            Ok(got)
        })
    }
}

/// A connection that waits for room, until this is dropped.
struct Waits<'a>(&'a Shared);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
