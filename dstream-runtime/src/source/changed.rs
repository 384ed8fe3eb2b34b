//! A source that is another one, but for what is changed about how it is cut and goes on.

use std::net::SocketAddr;

use super::{Cut, Input, Interrupt, News, Pipe, Range, Source, SourceError};
use crate::id::BatchSeq;

/// What is changed about a source; by default, nothing.
pub(crate) trait Change: Send {
    /// See [`Source::cut`].
    fn cut(&mut self, source: &mut dyn Source, partitions: usize) -> Result<Cut, SourceError> {
        source.cut(partitions)
    }

    /// See [`Source::resume`].
    fn resume(&mut self, source: &mut dyn Source, position: &[u8]) -> Result<(), SourceError> {
        source.resume(position)
    }

    /// See [`Source::resume_elsewhere`].
    fn resume_elsewhere(
        &mut self,
        source: &mut dyn Source,
        position: &[u8],
    ) -> Result<(), SourceError> {
        source.resume_elsewhere(position)
    }

    /// See [`Source::input`].
    fn input(&self, source: &dyn Source, ranges: &[Range]) -> Result<Input, SourceError> {
        source.input(ranges)
    }

    /// See [`Source::stop`].
    fn stop(&mut self, source: &mut dyn Source) {
        source.stop();
    }

    /// See [`Source::news`].
    fn news(&mut self, source: &mut dyn Source) -> News {
        source.news()
    }
}

/// A source, changed: all that [`Change`] does not name is that of the source within.
pub(crate) struct Changed<C> {
    pub(super) source: Box<dyn Source>,
    pub(super) change: C,
}

impl<C: Change> Source for Changed<C> {
    fn bounded(&self) -> bool {
        self.source.bounded()
    }

    fn timed(&self) -> bool {
        self.source.timed()
    }

    fn cut(&mut self, partitions: usize) -> Result<Cut, SourceError> {
        self.change.cut(self.source.as_mut(), partitions)
    }

    fn next_batch(&mut self, batch: BatchSeq) {
        self.source.next_batch(batch);
    }

    fn limit(&mut self, bytes: u64) {
        self.source.limit(bytes);
    }

    fn resume(&mut self, position: &[u8]) -> Result<(), SourceError> {
        self.change.resume(self.source.as_mut(), position)
    }

    fn resume_elsewhere(&mut self, position: &[u8]) -> Result<(), SourceError> {
        self.change.resume_elsewhere(self.source.as_mut(), position)
    }

    fn give_up_unread(&mut self, gives_up: bool) {
        self.source.give_up_unread(gives_up);
    }

    fn news(&mut self) -> News {
        self.change.news(self.source.as_mut())
    }

    fn input(&self, ranges: &[Range]) -> Result<Input, SourceError> {
        self.change.input(self.source.as_ref(), ranges)
    }

    fn immediate(&self) -> bool {
        self.source.immediate()
    }

    fn pipe(&self) -> Option<&Pipe> {
        self.source.pipe()
    }

    fn interrupt(&self) -> Option<Interrupt> {
        self.source.interrupt()
    }

    fn stop(&mut self) {
        self.change.stop(self.source.as_mut());
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.source.local_addr()
    }
}
