//! Which data the position of a source of files is of.
//!
//! A job that starts again with the URL of another directory would read that from its start, into a state that
//! holds what was read before. So a position names its place, and another one is refused. Options of the URL may
//! change. Places are compared as absolute paths, as they are written: a link may get a new target.

use std::net::SocketAddr;
use std::path::{Path, absolute};

use serde::{Deserialize, Serialize};

use super::names;
use crate::id::BatchSeq;
use crate::source::position::{self, Kind};
use crate::source::{Cut, Input, Interrupt, News, Pipe, Position, Range, Source, SourceError};

/// A source of files, and where they are.
pub(super) struct Located {
    source: Box<dyn Source>,
    place: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Place {
    place: String,
    #[serde(with = "serde_bytes")]
    position: Vec<u8>,
}

impl Located {
    pub(super) fn new(source: Box<dyn Source>, place: &Path) -> Self {
        let path = absolute(place);
        let place = names::text(path.as_deref().unwrap_or(place));
        // `absolute` keeps it, and it says nothing.
        let place = place.trim_end_matches('/').to_owned();
        Self { source, place }
    }

    /// The position that the files' own source has written, and the place that it is of; positions of earlier
    /// versions name none.
    fn of(position: &[u8]) -> Result<(Vec<u8>, Option<String>), SourceError> {
        match position::kind(position) {
            Some(Kind::Located) => {
                let Place { place, position } = position::read(Kind::Located, position)?;
                Ok((position, Some(place)))
            }
            _ => Ok((position.to_vec(), None)),
        }
    }

    fn with_place(&self, position: &Position) -> Result<Position, SourceError> {
        let place = Place { place: self.place.clone(), position: position.to_vec() };
        position::write(Kind::Located, &place)
    }
}

impl Source for Located {
    fn bounded(&self) -> bool {
        self.source.bounded()
    }

    fn timed(&self) -> bool {
        self.source.timed()
    }

    fn next_batch(&mut self, batch: BatchSeq) {
        self.source.next_batch(batch);
    }

    fn limit(&mut self, bytes: u64) {
        self.source.limit(bytes);
    }

    fn cut(&mut self, partitions: usize) -> Result<Cut, SourceError> {
        let cut = self.source.cut(partitions)?;
        let position =
            cut.position.as_ref().map(|position| self.with_place(position)).transpose()?;
        Ok(Cut { position, ..cut })
    }

    fn resume(&mut self, position: &[u8]) -> Result<(), SourceError> {
        let (position, place) = Self::of(position)?;
        match place {
            Some(was) if was != self.place => {
                Err(SourceError::Moved { was, is: self.place.clone() })
            }
            _ => self.source.resume(&position),
        }
    }

    fn resume_elsewhere(&mut self, position: &[u8]) -> Result<(), SourceError> {
        match Self::of(position)? {
            // It is the same: then nothing has to be accepted.
            (position, Some(place)) if place == self.place => self.source.resume(&position),
            (position, _) => self.source.resume_elsewhere(&position),
        }
    }

    fn give_up_unread(&mut self, gives_up: bool) {
        self.source.give_up_unread(gives_up);
    }

    fn news(&mut self) -> News {
        self.source.news()
    }

    fn input(&self, ranges: &[Range]) -> Result<Input, SourceError> {
        self.source.input(ranges)
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
        self.source.stop();
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.source.local_addr()
    }
}
