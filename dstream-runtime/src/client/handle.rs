//! Handles for programs: the client and its streams.
//!
//! They do no I/O and need no particular async runtime: they wait for the driver's thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{io, thread};

use crossbeam_channel::{Sender, unbounded};
use tokio::sync::oneshot;

use super::draft::Shared;
use super::driver::{self, Event, Opening};
use super::link::StreamProperties;
use super::{Acknowledged, ClientError, ClientId, ClientOptions, StreamOptions, lines};
use crate::driver::cluster::ClusterError;
use crate::host;
use crate::net::NetError;
use crate::net::trust::random_id;
use crate::record::{Dialect, Format, Record, Schema, write_csv_header};

/// Runs a client's thread.
type Serve = Box<dyn FnOnce() + Send>;

/// A connection to a job's cluster. Its streams outlive it.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    events: Sender<Event>,
    options: ClientOptions,
    next: AtomicU64,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // If the channel is closed, the thread has ended already.
        let _ = self.events.send(Event::End(None));
    }
}

fn ended() -> ClientError {
    ClientError::Ended { why: "its thread is gone".to_owned() }
}

impl Client {
    /// Connects to a master, with the stored certificate or one bought with the token.
    ///
    /// # Errors
    /// When no master answers within `patience`, or the masters refuse this process.
    pub async fn connect(options: ClientOptions) -> Result<Self, ClientError> {
        let thread = thread::Builder::new().name("client".into());
        Self::connect_on(options, |serve| thread.spawn(serve).map(drop)).await
    }

    /// Connects on a thread started by `start`.
    pub(crate) async fn connect_on(
        options: ClientOptions,
        start: impl FnOnce(Serve) -> io::Result<()>,
    ) -> Result<Self, ClientError> {
        let (events, inbox) = unbounded();
        let (ready, is_ready) = oneshot::channel();
        let (given, told) = (options.clone(), events.clone());
        let serve = Box::new(move || driver::serve(given, told, inbox, ready));
        start(serve).map_err(|error| ClusterError::from(NetError::Start(error)))?;
        let inner = Arc::new(Inner { events, options, next: AtomicU64::new(0) });
        is_ready.await.map_err(|_| ended())??;
        Ok(Self { inner })
    }

    /// Opens a stream for appending, as a new client.
    ///
    /// # Errors
    /// As [`open_with`](Self::open_with).
    pub async fn open(&self, stream: &str) -> Result<AppendStream, ClientError> {
        self.open_with(StreamOptions::new(stream)).await
    }

    /// Opens a stream for appending.
    ///
    /// # Errors
    /// When the job has no such stream, or no receiver accepts it.
    pub async fn open_with(&self, options: StreamOptions) -> Result<AppendStream, ClientError> {
        let client = match options.client {
            Some(client) => client,
            None => ClientId(u128::from_le_bytes(random_id().map_err(ClusterError::from)?)),
        };
        let ours = &self.inner.options;
        let first = options.first.max(1);
        let (append, room) = (ours.append.max(1), ours.unacknowledged);
        let shared = Arc::new(Shared::new(&options.stream, client, first, append, room));
        let id = self.inner.next.fetch_add(1, Ordering::Relaxed);
        let (opened, is_open) = oneshot::channel();
        let opening = Box::new(Opening { id, shared: shared.clone(), opened });
        self.inner.events.send(Event::Open(opening)).map_err(|_| ended())?;
        // From here on, dropping the handle tells the driver.
        let mut stream = AppendStream {
            inner: self.inner.clone(),
            id,
            shared,
            opened: StreamProperties { format: Format::Text, wants_header: false, longest: 0 },
        };
        stream.opened = is_open.await.map_err(|_| ended())??;
        stream.shared.fit(room, stream.opened.longest);
        Ok(stream)
    }

    /// Says goodbye and waits for it. Unacknowledged appends are not sent again.
    pub async fn close(self) {
        let (done, is_done) = oneshot::channel();
        if self.inner.events.send(Event::End(Some(done))).is_ok() {
            // An error means that the thread has ended.
            let _ = is_done.await;
        }
    }
}

/// A stream for appending records. Dropping it abandons unacknowledged records: call [`flush`](Self::flush)
/// first.
pub struct AppendStream {
    inner: Arc<Inner>,
    id: u64,
    shared: Arc<Shared>,
    opened: StreamProperties,
}

impl AppendStream {
    /// Sends whole lines, adding a missing line break at the end. Waits while too much is unacknowledged. If
    /// the stream reads CSV by column names, the first line ever sent is the header.
    ///
    /// # Errors
    /// When the stream has failed, or a line is too long: only the lines before it are sent.
    pub async fn send(&mut self, lines: impl AsRef<[u8]>) -> Result<(), ClientError> {
        let mut rest = lines.as_ref();
        if self.opened.wants_header && !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            let (header, rows) = rest.split_at(end);
            let header = String::from_utf8_lossy(header.trim_ascii_end()).into_owned();
            self.set_header(header)?;
            rest = rows;
        }
        let room = self.inner.options.append.clamp(1, self.opened.longest);
        while !rest.is_empty() {
            let piece = lines::piece(rest, room, self.opened.longest, &self.shared.stream)?;
            self.put(piece).await?;
            rest = &rest[piece.len()..];
        }
        Ok(())
    }

    /// Sends records in the stream's format.
    ///
    /// # Errors
    /// When the stream has failed, or a record does not fit on a line of its format; then none is sent.
    pub async fn send_records<R: Record>(&mut self, records: &[R]) -> Result<(), ClientError> {
        let mut text = Vec::new();
        if self.opened.wants_header {
            if !matches!(R::SCHEMA, Schema::Struct { .. }) {
                return Err(ClientError::Refused {
                    stream: self.shared.stream.clone(),
                    why: "it is read as CSV by the names of columns, and these records have none; send \
                          a struct"
                        .to_owned(),
                });
            }
            write_csv_header(&R::SCHEMA, &Dialect::default(), &mut text);
            text.push(b'\n');
        }
        lines::write(records, self.opened.format, &self.shared.stream, &mut text)?;
        self.send(&text).await
    }

    /// Waits until everything sent is acknowledged; returns the totals since the stream was opened.
    ///
    /// # Errors
    /// When the stream has failed; [`acknowledged`](Self::acknowledged) still gives the totals.
    pub async fn flush(&mut self) -> Result<Acknowledged, ClientError> {
        let (last, wake) = self.shared.seal();
        self.wake(wake)?;
        let mut progress = self.shared.progress.subscribe();
        let reached = progress.wait_for(|s| s.through >= last || s.failed.is_some()).await;
        // The sender lives as long as this handle.
        let reached = reached.map_err(|_| ended())?;
        match &reached.failed {
            Some(failed) if reached.through < last => Err(failed.clone()),
            _ => Ok(reached.so_far),
        }
    }

    /// Totals acknowledged since the stream was opened.
    #[must_use]
    pub fn acknowledged(&self) -> Acknowledged {
        self.shared.progress.borrow().so_far
    }

    /// The highest acknowledged number: a later client with this [id](Self::client) continues after it.
    #[must_use]
    pub fn through(&self) -> u64 {
        self.shared.progress.borrow().through
    }

    /// The id under which appends are numbered.
    #[must_use]
    pub fn client(&self) -> ClientId {
        self.shared.client
    }

    /// The format of the stream's lines.
    #[must_use]
    pub fn format(&self) -> Format {
        self.opened.format
    }

    /// The longest line, in bytes, with its line break.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.opened.longest
    }

    pub(super) fn unreadable(&self, error: &std::io::Error, sent: u64) -> ClientError {
        ClientError::Input { stream: self.shared.stream.clone(), why: error.to_string(), sent }
    }

    pub(super) fn name(&self) -> String {
        self.shared.stream.clone()
    }

    fn set_header(&mut self, header: String) -> Result<(), ClientError> {
        let told = self.inner.events.send(Event::Header(self.id, header));
        told.map_err(|_| self.shared.failure())?;
        self.opened.wants_header = false;
        Ok(())
    }

    async fn put(&self, piece: &[u8]) -> Result<(), ClientError> {
        if let Some(failed) = self.shared.progress.borrow().failed.clone() {
            return Err(failed);
        }
        let len = piece.len() + usize::from(piece.last() != Some(&b'\n'));
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        let room = self.shared.room.acquire_many(len).await;
        // The driver returns the permits when the lines are acknowledged.
        room.map_err(|_| self.shared.failure())?.forget();
        let wake = self.shared.put(piece, host::now());
        self.wake(wake)
    }

    fn wake(&self, wake: bool) -> Result<(), ClientError> {
        if wake && self.inner.events.send(Event::Wake).is_err() {
            return Err(self.shared.failure());
        }
        Ok(())
    }
}

impl Drop for AppendStream {
    fn drop(&mut self) {
        // If the channel is closed, the thread has ended already.
        let _ = self.inner.events.send(Event::GivenUp(self.id));
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("target", &self.inner.options.target).finish()
    }
}

impl std::fmt::Debug for AppendStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppendStream")
            .field("stream", &self.shared.stream)
            .field("client", &self.shared.client)
            .field("acknowledged", &self.acknowledged())
            .finish()
    }
}
