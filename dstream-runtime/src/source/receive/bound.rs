//! How much a receiver holds, and for whom it has room.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// Counts bytes that are given back.
pub(in crate::source) trait GiveBack: Send + Sync {
    /// So many bytes are not held any more.
    fn give_back(&self, bytes: usize);
}

/// A part of a receiver's bound, which is given back when this is dropped.
#[must_use = "dropped, it makes room for more"]
pub struct Share {
    bytes: usize,
    of: Arc<dyn GiveBack>,
}

impl Share {
    pub(in crate::source) fn new(bytes: usize, of: Arc<dyn GiveBack>) -> Self {
        Self { bytes, of }
    }

    /// How large it is, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes over another share of the same bound.
    pub(super) fn join(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.of.give_back(self.bytes);
        }
    }
}

impl std::fmt::Debug for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Share({} bytes)", self.bytes)
    }
}

/// A number of bytes that may be held at a time.
pub(super) struct Bound {
    limit: usize,
    used: Mutex<usize>,
    room: Notify,
}

impl Bound {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: Mutex::new(0), room: Notify::new() })
    }

    fn used(&self) -> MutexGuard<'_, usize> {
        // One number cannot be half changed.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many bytes, if there is room for them.
    pub(super) fn try_take(self: &Arc<Self>, bytes: usize) -> Option<Share> {
        let mut used = self.used();
        if bytes > self.limit.saturating_sub(*used) {
            return None;
        }
        *used += bytes;
        Some(Share::new(bytes, self.clone()))
    }

    /// So many bytes, if there is room for them within that time.
    pub(super) async fn take(self: &Arc<Self>, bytes: usize, within: Duration) -> Option<Share> {
        if let Some(share) = self.try_take(bytes) {
            return Some(share);
        }
        let wait = async {
            loop {
                let made = self.room.notified();
                tokio::pin!(made);
                // Whoever makes room after the look below is heard.
                made.as_mut().enable();
                if let Some(share) = self.try_take(bytes) {
                    return share;
                }
                made.await;
            }
        };
        tokio::time::timeout(within, wait).await.ok()
    }
}

impl GiveBack for Bound {
    fn give_back(&self, bytes: usize) {
        *self.used() -= bytes;
        self.room.notify_waiters();
    }
}
