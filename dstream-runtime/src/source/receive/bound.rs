//! How much a receiver holds, and for whom it has room.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::Sizes;
use crate::block::Block;
use crate::connect::ConnectorUrl;
use crate::source::part;
use crate::source::{Carried, Input, OpenOptions, Piece, ReadRange, SourceError};

/// Counts bytes that are given back.
pub(in crate::source) trait GiveBack: Send + Sync {
    /// This many bytes are not held any more.
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

    /// Gives so much of it away, if it has that.
    pub(in crate::source) fn split(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Self { bytes, of: self.of.clone() }
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

    /// This many bytes, if there is room for them.
    pub(super) fn try_take(self: &Arc<Self>, bytes: usize) -> Option<Share> {
        let mut used = self.used();
        if bytes > self.limit.saturating_sub(*used) {
            return None;
        }
        *used += bytes;
        Some(Share::new(bytes, self.clone()))
    }

    /// This many bytes, if there is room for them within that time.
    pub(super) async fn take(self: &Arc<Self>, bytes: usize, within: Duration) -> Option<Share> {
        if let Some(share) = self.try_take(bytes) {
            return Some(share);
        }
        let wait = async {
            loop {
                let made = self.room.notified();
                tokio::pin!(made);
                // Notices room that is made after the look below.
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

/// What batches that are not over have of what a source has received in this process: no more than a bound, but
/// always one line.
pub(in crate::source) struct Lent(Arc<Bound>);

impl Lent {
    /// As much as may wait to be part of a batch, as a URL says, if there is memory for that.
    pub(in crate::source) fn of(
        url: &ConnectorUrl,
        options: &OpenOptions,
    ) -> Result<Self, SourceError> {
        let memory = usize::try_from(options.memory).unwrap_or(usize::MAX);
        Ok(Self(Bound::new(Sizes::of(url)?.buffer.min(memory))))
    }

    /// How many of its allowed bytes the next batch may take in. All, if it is one of the last.
    pub(in crate::source) fn within(&self, bytes: u64) -> u64 {
        if bytes == u64::MAX {
            return bytes;
        }
        bytes.min(self.0.limit.saturating_sub(*self.0.used()) as u64)
    }

    /// Counts these bytes until the last of these inputs is dropped. A source from which more `waits` brings something
    /// in any case, if only an input of nothing: one that brings nothing once it is stopped is asked no more.
    pub(in crate::source) fn lend(
        &self,
        mut inputs: Vec<Input>,
        bytes: usize,
        waits: bool,
    ) -> Vec<Input> {
        if inputs.is_empty() && waits {
            inputs.push(part::input(Vec::new()));
        }
        *self.0.used() += bytes;
        let share = Arc::new(Share::new(bytes, self.0.clone()));
        let counted = |input: Input| {
            let counted = Counted { data: input.data, _share: share.clone() };
            Input { data: Arc::new(counted), ..input }
        };
        inputs.into_iter().map(counted).collect()
    }
}

/// Data that counts as long as it is there.
struct Counted {
    data: Arc<dyn ReadRange>,
    _share: Arc<Share>,
}

impl ReadRange for Counted {
    fn read(&self, each: &mut dyn FnMut(Piece<'_>)) -> Result<(), SourceError> {
        self.data.read(each)
    }

    fn read_while(
        &self,
        goes_on: &dyn Fn() -> bool,
        each: &mut dyn FnMut(Piece<'_>),
    ) -> Result<(), SourceError> {
        self.data.read_while(goes_on, each)
    }

    fn carried(&self) -> Result<Option<(Carried, Vec<Block>)>, SourceError> {
        self.data.carried()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::part::{Held, Part};

    #[test]
    fn what_batches_have_counts_until_the_last_of_their_inputs_is_gone() {
        let lent = Lent(Bound::new(1000));
        let parts = (0..3).map(|n| Part::Held(Held::new("s".into(), n * 4, b"abc\n".to_vec())));
        let inputs = part::inputs(parts.collect(), 4, 3).unwrap();
        assert_eq!((lent.within(400), lent.within(2000)), (400, 1000));
        let mut inputs = lent.lend(inputs, 700, true);
        assert_eq!((inputs.len(), lent.within(400)), (3, 300));
        let again = inputs[1].clone();
        inputs.clear();
        assert_eq!(lent.within(400), 300);
        let mut read = 0;
        again.data.read(&mut |piece| read += piece.bytes.len()).unwrap();
        assert_eq!(read, 4);
        drop(again);
        assert_eq!((lent.within(u64::MAX - 1), lent.within(u64::MAX)), (1000, u64::MAX));
        // What is more than the bound is lent as well, alone.
        let large = lent.lend(vec![part::input(Vec::new())], 5000, false);
        assert_eq!((large.len(), lent.within(400)), (1, 0));
        // Nothing can be taken in, and there is more.
        assert_eq!(lent.lend(Vec::new(), 0, true).len(), 1);
        assert_eq!(lent.lend(Vec::new(), 0, false).len(), 0);
    }
}
