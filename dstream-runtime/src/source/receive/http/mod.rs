//! Lines that are posted over HTTP.
//!
//! One request is some whole lines of one client; its answer is the acknowledgement. Where there is
//! no room for a request it is answered so, with the time after which to try again: nothing is
//! taken in that cannot be held. Bounded are connections, heads and bodies of requests, and how long
//! a client may take to send them.
//!
//! What was answered with success counts exactly once, whatever worker is lost. Of what was not answered a
//! client cannot know: sent again, it counts twice if it had been taken, unless the client numbers its
//! requests; those of a number count once.

mod io;
mod request;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use self::io::{Socket, Timer};
use super::bound::Bound;
use super::gather::{Arrived, Pace, Waiting};
use super::{Deliver, Delivery, Phase, Receiver, Sizes, cannot_listen, listen, unless};
use crate::record::Format;
use crate::source::form::Form;
use crate::source::url::SourceUrl;
use crate::source::{OpenOptions, SourceError};

const OPTIONS: &[&str] = &[
    "buffer",
    "max_line",
    "max_body",
    "receivers",
    "header",
    "delimiter",
    "quote",
    "comment",
    "null",
    "floats",
    "on_error",
    "on_panic",
];

/// So many clients are connected at a time; the next ones wait in the kernel's queue.
const CONNECTIONS: usize = 1024;

/// The head of a request is no larger, nor what is read ahead of a body.
const HEAD: usize = 64 << 10;

/// How long the head of a request may take to come, and a connection may be idle.
const IDLE: Duration = Duration::from_secs(60);

/// How long nothing is accepted when no descriptor is left for it.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// How long requests may take that have come before the source was stopped.
const ANSWER: Duration = Duration::from_secs(5);

/// What all requests share.
struct Service {
    path: String,
    form: Form,
    sizes: Sizes,
    max_body: usize,
    bound: Arc<Bound>,
    arrived: mpsc::UnboundedSender<Arrived>,
    requests: AtomicU64,
}

impl Service {
    fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// Listens, and delivers what is posted.
pub(super) fn receiver(
    url: &SourceUrl,
    format: Format,
    options: &OpenOptions,
    deliver: Deliver,
) -> Result<Receiver, SourceError> {
    url.allow(OPTIONS)?;
    url.policy()?;
    super::receivers(url)?;
    let (place, path) = place_and_path(url)?;
    let sizes = Sizes::of(url)?.in_blocks(url)?;
    let max_body = url.size("max_body", 1)?.unwrap_or(super::BODY.min(sizes.buffer as u64));
    if max_body > (sizes.buffer as u64).min(super::LONGEST) {
        return Err(url.fail(format!(
            "`max_body` ({max_body} bytes) is at most {} and must fit into the `buffer` ({} bytes)",
            super::LONGEST,
            sizes.buffer
        )));
    }
    let max_body = usize::try_from(max_body).unwrap_or(usize::MAX);
    let sizes = sizes.within(options.memory, max_body);
    let (arrived, arriving) = mpsc::unbounded_channel();
    let service = Arc::new(Service {
        path,
        form: url.form(format, options)?,
        sizes,
        max_body,
        bound: Bound::new(sizes.buffer),
        arrived,
        requests: AtomicU64::new(0),
    });
    let (listener, address) = listen(place)?;
    let (phase, watched) = watch::channel(Phase::Open);
    let thread = start(listener, service, watched, arriving, deliver)
        .map_err(|error| cannot_listen(place, error))?;
    Ok(Receiver::new(phase, thread, address))
}

/// `HOST:PORT` and `/PATH`.
fn place_and_path(url: &SourceUrl) -> Result<(&str, String), SourceError> {
    let whole = url.place();
    let (place, path) = whole.split_at(whole.find('/').unwrap_or(whole.len()));
    let port = place.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    if port.is_none() {
        let why = "expected `http://HOST:PORT/PATH`, such as `http://0.0.0.0:8080/views`";
        return Err(url.fail(why));
    }
    Ok((place, if path.is_empty() { "/".to_owned() } else { path.to_owned() }))
}

fn start(
    listener: TcpListener,
    service: Arc<Service>,
    phase: watch::Receiver<Phase>,
    arriving: mpsc::UnboundedReceiver<Arrived>,
    deliver: Deliver,
) -> std::io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _inside = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    std::thread::Builder::new().name("dstream-http".to_owned()).spawn(move || {
        runtime.block_on(async {
            let delivering = tokio::spawn(deliver_all(arriving, deliver));
            serve(listener, service, phase).await;
            // One that has panicked is a bug of whoever takes the lines, who knows by now.
            drop(delivering.await);
        });
    })
}

/// Delivers until nobody is left who could send anything.
async fn deliver_all(mut arriving: mpsc::UnboundedReceiver<Arrived>, deliver: Deliver) {
    let mut pace = Pace::new();
    while let Some(first) = arriving.recv().await {
        pace.wait().await;
        let mut waiting = Waiting::new(first);
        while let Ok(next) = arriving.try_recv() {
            if let Some(next) = waiting.add(next) {
                let full = std::mem::replace(&mut waiting, Waiting::new(next));
                deliver(Delivery::Received(full.received()));
            }
        }
        deliver(Delivery::Received(waiting.received()));
    }
    deliver(Delivery::Ended);
}

/// Accepts and answers until it is stopped; then answers what has come before.
async fn serve(
    listener: tokio::net::TcpListener,
    service: Arc<Service>,
    mut phase: watch::Receiver<Phase>,
) {
    let mut clients = JoinSet::new();
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    let accept = async || {
        // The semaphore is never closed.
        let permit = free.clone().acquire_owned().await;
        (permit, listener.accept().await)
    };
    while let Some((permit, accepted)) = unless(&mut phase, Phase::Draining, accept()).await {
        // Those that have gone are forgotten.
        while clients.try_join_next().is_some() {}
        match accepted {
            Ok((stream, peer)) => {
                let connection = connection(stream, peer, service.clone(), phase.clone());
                clients.spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
            Err(_) => {
                unless(&mut phase, Phase::Draining, tokio::time::sleep(ACCEPT_AGAIN)).await;
            }
        }
    }
    drop(listener);
    let all = async { while clients.join_next().await.is_some() {} };
    // Who gets no answer in time does not know what became of the lines, and sends them again.
    unless(&mut phase, Phase::Closed, tokio::time::timeout(ANSWER, all)).await;
}

/// Answers the requests of one client, one after the other.
async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    service: Arc<Service>,
    phase: watch::Receiver<Phase>,
) {
    let mut stopped = phase.clone();
    let answer = service_fn(move |request| {
        let (service, phase) = (service.clone(), phase.clone());
        async move {
            Ok::<_, std::convert::Infallible>(request::answer(request, peer, &service, phase).await)
        }
    });
    let mut http = http1::Builder::new();
    http.timer(Timer).header_read_timeout(IDLE).max_buf_size(HEAD);
    let mut connection = std::pin::pin!(http.serve_connection(Socket::new(stream), answer));
    // A client that breaks off, or speaks something else, ends its connection and nothing more.
    if unless(&mut stopped, Phase::Draining, connection.as_mut()).await.is_none() {
        connection.as_mut().graceful_shutdown();
        drop(connection.await);
    }
}
