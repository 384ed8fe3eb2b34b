//! Which data the position of a source of files is of.
//!
//! A job that starts again with the URL of another directory would read that from its start, into a state that
//! holds what was read before. So a position names its place, and another one is refused. Options of the URL may
//! change. Places are compared as absolute paths, as they are written: a link may get a new target.

use std::path::{Path, absolute};

use serde::{Deserialize, Serialize};

use super::names;
use crate::source::changed::{Change, Changed};
use crate::source::position::{self, Kind};
use crate::source::{Cut, Position, Source, SourceError};

/// Where the files of a source are.
pub(super) struct Located {
    place: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Place {
    place: String,
    #[serde(with = "serde_bytes")]
    position: Vec<u8>,
}

impl Located {
    /// A source of files at this place.
    pub(super) fn at(place: &Path, source: Box<dyn Source>) -> Changed<Self> {
        let path = absolute(place);
        let place = names::text(path.as_deref().unwrap_or(place));
        // `absolute` keeps it, and it says nothing.
        let place = place.trim_end_matches('/').to_owned();
        Changed { source, change: Self { place } }
    }

    /// The position that the files' own source has written, and the place that it is of; positions of earlier
    /// versions name none.
    fn read(position: &[u8]) -> Result<(Vec<u8>, Option<String>), SourceError> {
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

impl Change for Located {
    fn cut(&mut self, source: &mut dyn Source, partitions: usize) -> Result<Cut, SourceError> {
        let cut = source.cut(partitions)?;
        let position =
            cut.position.as_ref().map(|position| self.with_place(position)).transpose()?;
        Ok(Cut { position, ..cut })
    }

    fn resume(&mut self, source: &mut dyn Source, position: &[u8]) -> Result<(), SourceError> {
        let (position, place) = Self::read(position)?;
        match place {
            Some(was) if was != self.place => {
                Err(SourceError::Moved { was, is: self.place.clone() })
            }
            _ => source.resume(&position),
        }
    }

    fn resume_elsewhere(
        &mut self,
        source: &mut dyn Source,
        position: &[u8],
    ) -> Result<(), SourceError> {
        match Self::read(position)? {
            // It is the same: then nothing has to be accepted.
            (position, Some(place)) if place == self.place => source.resume(&position),
            (position, _) => source.resume_elsewhere(&position),
        }
    }
}
