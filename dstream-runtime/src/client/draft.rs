//! State shared by a stream's handle and the driver: gathered lines, room for more, and the stream's
//! progress.
//!
//! Invariant: a draft gets its number under the lock when it is sealed, so numbers follow the order of
//! lines. The lock is held at most for a copy of a piece, never across an await.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};

use super::outbox::Numbered;
use super::{Acknowledged, ClientError, ClientId};
use crate::block::{Block, Buffer, BufferPool};

/// The progress of a stream.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// The highest acknowledged number.
    pub(super) through: u64,
    pub(super) so_far: Acknowledged,
    /// No more acknowledgements will come.
    pub(super) failed: Option<ClientError>,
}

/// See the module.
pub(super) struct Shared {
    pub(super) stream: String,
    pub(super) client: ClientId,
    /// Permits for bytes to gather.
    pub(super) room: Semaphore,
    pub(super) progress: watch::Sender<Progress>,
    pool: BufferPool,
    draft: Mutex<Draft>,
}

/// Lines being gathered, and sealed appends waiting for the driver.
pub(super) struct Draft {
    /// Size at which an append is sealed, in bytes.
    append: usize,
    next: u64,
    gathering: Option<Gathering>,
    sealed: VecDeque<Numbered>,
    /// The driver has been woken.
    woken: bool,
}

struct Gathering {
    lines: Buffer,
    records: u64,
    since: Instant,
}

impl Shared {
    pub(super) fn new(
        stream: &str,
        client: ClientId,
        first: u64,
        append: usize,
        room: usize,
    ) -> Self {
        Self {
            stream: stream.to_owned(),
            client,
            room: Semaphore::new(room.min(Semaphore::MAX_PERMITS)),
            progress: watch::Sender::new(Progress {
                through: first.saturating_sub(1),
                ..Progress::default()
            }),
            pool: BufferPool::new(4 * append),
            draft: Mutex::new(Draft {
                append,
                next: first,
                gathering: None,
                sealed: VecDeque::new(),
                woken: false,
            }),
        }
    }

    fn draft(&self) -> MutexGuard<'_, Draft> {
        // Every change is complete; none can panic halfway.
        self.draft.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds whole lines; the last may lack its line break. Returns whether to wake the driver.
    pub(super) fn put(&self, lines: &[u8], now: Instant) -> bool {
        let draft = &mut *self.draft();
        let append = draft.append;
        let before = (draft.gathering.is_none(), draft.sealed.len());
        let broken = lines.last() != Some(&b'\n');
        let len = lines.len() + usize::from(broken);
        if draft.gathering.as_ref().is_some_and(|g| g.lines.as_slice().len() + len > append) {
            draft.seal();
        }
        let gathering = draft.gathering.get_or_insert_with(|| Gathering {
            lines: self.pool.take(append.max(len)),
            records: 0,
            since: now,
        });
        let bytes = gathering.lines.bytes_mut();
        bytes.extend_from_slice(lines);
        if broken {
            bytes.push(b'\n');
        }
        gathering.records += memchr::memchr_iter(b'\n', lines).count() as u64 + u64::from(broken);
        if bytes.len() >= append {
            draft.seal();
        }
        // Lines added to others need no wake-up: the driver knows their deadline.
        let news = before.0 || draft.sealed.len() > before.1;
        news && !std::mem::replace(&mut draft.woken, true)
    }

    /// Seals the gathered lines. Returns the number of the last append, and whether to wake the driver.
    pub(super) fn seal(&self) -> (u64, bool) {
        let draft = &mut *self.draft();
        draft.seal();
        let wake = !draft.sealed.is_empty() && !std::mem::replace(&mut draft.woken, true);
        (draft.next - 1, wake)
    }

    /// Takes the sealed appends, and seals lines gathered for `linger` if asked to. Returns the deadline of
    /// the remaining lines.
    pub(super) fn collect(
        &self,
        linger: Option<Duration>,
        now: Instant,
    ) -> (VecDeque<Numbered>, Option<Instant>) {
        let draft = &mut *self.draft();
        draft.woken = false;
        let due = draft.gathering.as_ref().zip(linger).map(|(gathering, l)| gathering.since + l);
        if due.is_some_and(|due| due <= now) {
            draft.seal();
        }
        (std::mem::take(&mut draft.sealed), due.filter(|_| draft.gathering.is_some()))
    }

    /// The number of the first append not collected.
    pub(super) fn first_uncollected(&self) -> u64 {
        let draft = self.draft();
        draft.sealed.front().map_or(draft.next, |numbered| numbered.number)
    }

    /// Limits appends to the receiver's longest and to the room.
    pub(super) fn fit(&self, room: usize, longest: usize) {
        let draft = &mut *self.draft();
        draft.append = draft.append.min(longest);
        self.room.add_permits(longest.saturating_sub(room));
    }

    /// Why the stream failed.
    pub(super) fn failure(&self) -> ClientError {
        let failed = self.progress.borrow().failed.clone();
        failed.unwrap_or_else(|| ClientError::Ended { why: "its thread is gone".to_owned() })
    }

    /// Marks the stream as failed.
    pub(super) fn fail(&self, error: ClientError) {
        self.progress.send_modify(|progress| {
            progress.failed.get_or_insert(error);
        });
        self.room.close();
    }
}

impl Draft {
    fn seal(&mut self) {
        let Some(Gathering { lines, records, .. }) = self.gathering.take() else { return };
        self.sealed.push_back(Numbered { number: self.next, lines: Block::raw(lines), records });
        self.next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sealed: VecDeque<Numbered>) -> Vec<(u64, String, u64)> {
        let text = |n: Numbered| {
            (n.number, String::from_utf8(n.lines.body().to_vec()).unwrap(), n.records)
        };
        sealed.into_iter().map(text).collect()
    }

    #[test]
    fn lines_are_gathered_until_they_are_many_or_old() {
        let shared = Shared::new("views", ClientId(1), 1, 8, 100);
        let start = Instant::now();
        let wait = Duration::from_millis(10);
        let linger = Some(wait);
        assert!(shared.put(b"a\n", start));
        let (none, due) = shared.collect(linger, start);
        assert_eq!((texts(none).len(), due), (0, Some(start + wait)));
        // The driver waits for it already.
        assert!(!shared.put(b"bb", start + wait / 2));
        let (sealed, due) = shared.collect(linger, start + wait);
        assert_eq!(texts(sealed), [(1, "a\nbb\n".to_owned(), 2)]);
        assert_eq!(due, None);
        assert!(shared.put(b"12345\n", start));
        assert!(shared.collect(linger, start).0.is_empty());
        assert!(shared.put(b"678\n", start), "an append is full");
        let (sealed, due) = shared.collect(linger, start);
        assert_eq!(texts(sealed), [(2, "12345\n".to_owned(), 1)]);
        assert!(due.is_some());
        assert_eq!(shared.seal().0, 3);
        assert_eq!(texts(shared.collect(linger, start).0), [(3, "678\n".to_owned(), 1)]);
        assert_eq!(shared.seal(), (3, false));
    }

    #[test]
    fn an_append_of_the_full_size_waits_for_nothing() {
        let shared = Shared::new("views", ClientId(1), 7, 4, 100);
        assert!(shared.put(b"123\n", Instant::now()));
        let (sealed, due) = shared.collect(None, Instant::now());
        assert_eq!((texts(sealed), due), (vec![(7, "123\n".to_owned(), 1)], None));
        assert_eq!(shared.first_uncollected(), 8);
    }

    #[tokio::test]
    async fn a_failure_wakes_waiting_senders() {
        let shared = Shared::new("views", ClientId(1), 1, 4, 2);
        let why = || ClientError::Ended { why: "a test".to_owned() };
        shared.fail(why());
        shared.fail(ClientError::Ended { why: "later".to_owned() });
        assert!(shared.room.acquire_many(3).await.is_err());
        assert_eq!(shared.failure().to_string(), why().to_string());
    }
}
