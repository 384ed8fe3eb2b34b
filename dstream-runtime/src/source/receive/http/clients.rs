//! The clients of a receiver: each connection is a task, and has one of a bounded number of places.
//!
//! Who is connected is decided by [`Seats`]; here are the sockets.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::io::{Socket, Timer};
use super::seats::Seat;
use super::{Comes, Service, request};
use crate::source::receive::{Phase, unless};

/// The head of a request is no larger, nor what is read ahead of a body.
const HEAD: usize = 64 << 10;

/// How long the head of a request may take to come, and a connection may be idle.
const IDLE: Duration = Duration::from_secs(60);

/// How long nothing is accepted when no descriptor is left for it.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// How long requests may take that have come before the source was stopped.
const ANSWER: Duration = Duration::from_secs(5);

/// How long an idle client may take to leave: its last answer is sent by then, unless it does not read it.
const LEAVE: Duration = Duration::from_millis(100);

/// How long a client may take that is turned away.
const TURN_AWAY: Duration = Duration::from_secs(1);

/// How many clients are told at a time that there is no place for them; more are not told.
const TURNED_AWAY: usize = 64;

/// What they are told.
const FULL: &str =
    "{\"accepted\":0,\"error\":\"all connections are busy (`connections`); try again\"}\n";

/// Accepts and answers until it is stopped; then answers what has come before.
pub(super) async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    mut phase: watch::Receiver<Phase>,
) {
    let (mut clients, mut doors) = (JoinSet::new(), BTreeMap::new());
    let mut turned_away = JoinSet::new();
    while let Some(accepted) = unless(&mut phase, Phase::Draining, listener.accept()).await {
        // Those that have gone are forgotten.
        while let Some(gone) = clients.try_join_next() {
            gone.ok().and_then(|id| doors.remove(&id));
        }
        while turned_away.try_join_next().is_some() {}
        let Ok((stream, peer)) = accepted else {
            unless(&mut phase, Phase::Draining, tokio::time::sleep(ACCEPT_AGAIN)).await;
            continue;
        };
        let seat = service.seats().come();
        let id = match seat {
            Seat::Taken(id) => id,
            Seat::Instead { of, leaves } => {
                let door: Option<Arc<Notify>> = doors.remove(&leaves);
                door.inspect(|door| door.notify_one());
                of
            }
            Seat::Full => {
                count_turned_away(&service);
                if turned_away.len() < TURNED_AWAY {
                    turned_away.spawn(turn_away(stream));
                }
                continue;
            }
        };
        let door = Arc::new(Notify::new());
        doors.insert(id, door.clone());
        let client = Client { id, peer, service: service.clone(), is_busy: AtomicBool::new(false) };
        clients.spawn(Arc::new(client).serve(stream, door, phase.clone()));
    }
    drop(listener);
    let all = async { while clients.join_next().await.is_some() {} };
    // A client that gets no answer in time does not know what became of its lines, and sends them again.
    unless(&mut phase, Phase::Closed, tokio::time::timeout(ANSWER, all)).await;
}

/// Counts a client that is turned away, and says that there are some: the first time, and then ever more rarely.
fn count_turned_away(service: &Service) {
    service.turned_away.fetch_add(1, Ordering::Relaxed);
    let count = service.seats().turned_away;
    let is_round = count.checked_ilog10().is_some_and(|digits| count == 10u64.pow(digits));
    if is_round {
        let why = format!(
            "all connections are busy, so that {count} clients were turned away so far (503); allow more with \
             `connections=` in the source's URL"
        );
        // Once nothing is delivered any more, nothing is said either.
        let _ = service.arrived.send(Comes::Warning(why));
    }
}

/// Tells a client that there is no place for it.
async fn turn_away(mut stream: TcpStream) {
    let length = FULL.len();
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Type: application/json\r\n\
         Connection: close\r\nContent-Length: {length}\r\n\r\n{FULL}"
    );
    let told = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        // What is not read when a socket closes would take the answer with it.
        let mut rest = [0; 4096];
        while stream.read(&mut rest).await? > 0 {}
        std::io::Result::Ok(())
    };
    // A client that has gone is told nothing.
    let _ = tokio::time::timeout(TURN_AWAY, told).await;
}

/// A client that is connected.
struct Client {
    id: u64,
    peer: SocketAddr,
    service: Arc<Service>,
    /// A request of it is not answered yet.
    is_busy: AtomicBool,
}

impl Client {
    /// Whether a request is being answered, which also decides whether the client may be told to leave.
    fn busy(&self, is_busy: bool) {
        self.is_busy.store(is_busy, Ordering::Relaxed);
        let mut seats = self.service.seats();
        if is_busy { seats.work(self.id) } else { seats.rest(self.id) }
    }

    /// Answers its requests, one after the other, until it goes or has to leave; then says who it was.
    async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        door: Arc<Notify>,
        phase: watch::Receiver<Phase>,
    ) -> u64 {
        let _place = Place(self.clone());
        let mut stopped = phase.clone();
        let client = self.clone();
        let answer = service_fn(move |request| {
            let (client, phase) = (client.clone(), phase.clone());
            async move {
                client.busy(true);
                let answer = request::answer(request, client.peer, &client.service, phase).await;
                client.busy(false);
                Ok::<_, std::convert::Infallible>(answer)
            }
        });
        let mut http = http1::Builder::new();
        http.timer(Timer).header_read_timeout(IDLE).max_buf_size(HEAD);
        let mut connection = pin!(http.serve_connection(Socket::new(stream), answer));
        let mut told = pin!(door.notified());
        // A client that breaks off, or speaks something else, ends its connection and nothing more.
        let going = either(connection.as_mut(), told.as_mut());
        match unless(&mut stopped, Phase::Draining, going).await {
            Some(Either::First) => {}
            // It is idle, or has its last answer: that is still sent.
            Some(Either::Second) => {
                connection.as_mut().graceful_shutdown();
                while tokio::time::timeout(LEAVE, connection.as_mut()).await.is_err()
                    && self.is_busy.load(Ordering::Relaxed)
                {}
            }
            None => {
                connection.as_mut().graceful_shutdown();
                drop(connection.await);
            }
        }
        self.id
    }
}

/// The place of a client, which is free when this is dropped.
struct Place(Arc<Client>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.service.seats().go(self.0.id);
    }
}

enum Either {
    First,
    Second,
}

/// Which of two is done first.
async fn either(mut first: impl Future + Unpin, mut second: impl Future + Unpin) -> Either {
    poll_fn(|context| {
        if std::pin::Pin::new(&mut first).poll(context).is_ready() {
            return Poll::Ready(Either::First);
        }
        std::pin::Pin::new(&mut second).poll(context).map(|_| Either::Second)
    })
    .await
}
