//! Lines that are posted over HTTP.
//!
//! One request is some whole lines of one client; its answer is the acknowledgement. Where there is
//! no room for a request it is answered so, with the time after which to try again: nothing is
//! taken in that cannot be held. Bounded are connections, heads and bodies of requests, and how long
//! a client may take to send them.
//!
//! What was answered with success counts exactly once, whatever worker is lost. Of what was not answered a
//! client cannot know: sent again, it counts twice as far as it had been taken, unless the client numbers its
//! requests; those of a number count once.

mod clients;
mod io;
mod request;
mod seats;
mod verdict;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, watch};

use self::seats::Seats;
use super::bound::Bound;
use super::gather::{Arrived, Pace, Waiting, group};
use super::{
    BUFFER, Deliver, Delivery, MAX_LINE, Phase, RECEIVERS, Receiver, Sizes, cannot_listen, listen,
    local,
};
use crate::connect::{ConnectorUrl, OptionRow};
use crate::record::{Floats, Format};
use crate::source::connector::{ALL_FORMATS, Opener, SourceConnector};
use crate::source::form::Form;
use crate::source::{Check, Ends, OpenOptions, SourceError, policy};

/// The most that the URL may say.
const MOST_CONNECTIONS: u64 = 1 << 20;

/// Records that are posted.
pub(in crate::source) const CONNECTOR: SourceConnector = SourceConnector {
    scheme: "http",
    urls: &["http://HOST:PORT/PATH"],
    about: "lines, JSON or CSV rows that clients POST; they are answered once the records are safe",
    ends: Ends::Never,
    formats: ALL_FORMATS,
    options: &[
        BUFFER,
        MAX_LINE,
        OptionRow::size("max_body", "The largest request; it must fit into the `buffer`")
            .depends("16MiB, at most the `buffer`"),
        OptionRow::count(
            "connections",
            1,
            "How many clients may be connected; one more takes the place of the longest idle one",
        )
        .at_most(MOST_CONNECTIONS)
        .or("1024"),
        OptionRow::flag("validate", "Answer with the records that cannot be read").or("true"),
        RECEIVERS,
    ],
    lacks: &[],
    opener: Opener::Pushed { open: local::open, receive: receiver },
};

/// What a request has for the thread that delivers.
enum Comes {
    Lines(Arrived),
    /// Something needs attention, for people.
    Warning(String),
}

/// What all requests share.
struct Service {
    path: String,
    form: Form,
    sizes: Sizes,
    max_body: usize,
    bound: Arc<Bound>,
    arrived: mpsc::UnboundedSender<Comes>,
    requests: AtomicU64,
    seats: Mutex<Seats>,
    turned_away: Arc<AtomicU64>,
    records: Records,
}

/// What is known of the records.
struct Records {
    floats: Floats,
    /// What reads them, if anything is known of them.
    check: Option<Check>,
    /// Whether each is read before its client is answered.
    validates: bool,
}

impl Service {
    fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        // Each call leaves it consistent.
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Listens, and delivers what is posted.
pub(super) fn receiver(
    url: &ConnectorUrl,
    format: Format,
    options: &OpenOptions,
    deliver: Deliver,
) -> Result<Receiver, SourceError> {
    let (place, path) = place_and_path(url)?;
    let sizes = Sizes::of(url)?.in_blocks(url)?;
    let max_body = url.if_given("max_body", ConnectorUrl::size)?;
    let max_body = max_body.unwrap_or(super::BODY.min(sizes.buffer as u64));
    if max_body > (sizes.buffer as u64).min(super::LONGEST) {
        let why = format!(
            "`max_body` ({max_body} bytes) is at most {} and must fit into the `buffer` ({} bytes)",
            super::LONGEST,
            sizes.buffer
        );
        return Err(url.fail(why).into());
    }
    let max_body = usize::try_from(max_body).unwrap_or(usize::MAX);
    let sizes = sizes.within(options.memory, max_body);
    let connections = usize::try_from(url.count("connections")?).unwrap_or(usize::MAX);
    let (check, floats) = (options.check, policy(url.as_str()).floats);
    let validates = url.flag("validate")?;
    let (arrived, arriving) = mpsc::unbounded_channel();
    let service = Arc::new(Service {
        path,
        form: Form::of(url, format, options)?,
        sizes,
        max_body,
        bound: Bound::new(sizes.buffer),
        arrived,
        requests: AtomicU64::new(0),
        seats: Mutex::new(Seats::new(connections)),
        turned_away: Arc::default(),
        records: Records { floats, check, validates },
    });
    let (listener, address) = listen(place)?;
    let (phase, watched) = watch::channel(Phase::Open);
    let turned_away = service.turned_away.clone();
    let deliver = deliver_all(arriving, deliver, group(options.interval));
    let thread =
        start(listener, service, watched, deliver).map_err(|error| cannot_listen(place, error))?;
    Ok(Receiver::new(phase, thread, address).counting(turned_away))
}

/// `HOST:PORT` and `/PATH`.
fn place_and_path(url: &ConnectorUrl) -> Result<(&str, String), SourceError> {
    let whole = url.place();
    let (place, path) = whole.split_at(whole.find('/').unwrap_or(whole.len()));
    let port = place.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    if port.is_none() {
        let why = "expected `http://HOST:PORT/PATH`, such as `http://0.0.0.0:8080/views`";
        return Err(url.fail(why).into());
    }
    Ok((place, if path.is_empty() { "/".to_owned() } else { path.to_owned() }))
}

fn start(
    listener: TcpListener,
    service: Arc<Service>,
    phase: watch::Receiver<Phase>,
    deliver: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _inside = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    std::thread::Builder::new().name("dstream-http".to_owned()).spawn(move || {
        runtime.block_on(async {
            let delivering = tokio::spawn(deliver);
            clients::serve(listener, service, phase).await;
            // A panic there is a bug of the code that takes the lines, which has noticed it by now.
            drop(delivering.await);
        });
    })
}

/// Delivers until no client is left, at most `most` bytes at a time.
async fn deliver_all(mut arriving: mpsc::UnboundedReceiver<Comes>, deliver: Deliver, most: usize) {
    let mut pace = Pace::new();
    while let Some(first) = arriving.recv().await {
        let first = match first {
            Comes::Lines(lines) => lines,
            Comes::Warning(why) => {
                deliver(Delivery::Warning(why));
                continue;
            }
        };
        pace.wait().await;
        let mut waiting = Waiting::new(first);
        while let Ok(next) = arriving.try_recv() {
            let next = match next {
                Comes::Lines(lines) => lines,
                Comes::Warning(why) => {
                    deliver(Delivery::Warning(why));
                    continue;
                }
            };
            if let Some(next) = waiting.add(next, most) {
                let full = std::mem::replace(&mut waiting, Waiting::new(next));
                full.received(most).into_iter().map(Delivery::Received).for_each(&deliver);
            }
        }
        waiting.received(most).into_iter().map(Delivery::Received).for_each(&deliver);
    }
    deliver(Delivery::Ended);
}
