//! How positions are written down: a format number, the kind of source, and what that kind keeps.
//!
//! Positions are journaled with every batch, so each kind keeps as little as it can go on with. What
//! comes back is believed in nothing: bytes that are damaged, or a position of another kind of source,
//! are errors.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Position, SourceError};

/// Changes with what any kind keeps.
const FORMAT: u8 = 1;

/// Which kind of source a position is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Files = 1,
    /// Without fingerprints of what was read: written by earlier versions.
    FollowedByInode = 2,
    Generator = 3,
    Memory = 4,
    Followed = 5,
    /// Of files, with their place.
    Located = 6,
    /// Of a source of the program's own.
    Splits = 7,
    /// All of a source, as a table.
    Table = 8,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Files,
        Self::FollowedByInode,
        Self::Generator,
        Self::Memory,
        Self::Followed,
        Self::Located,
        Self::Splits,
        Self::Table,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Files | Self::Located => "files",
            Self::Followed | Self::FollowedByInode => "files that are followed",
            Self::Generator => "a generator",
            Self::Memory => "batches in memory",
            Self::Splits => "a source of the program's own",
            Self::Table => "a table",
        }
    }
}

/// Writes down what a source of this kind keeps.
pub(super) fn write<T: Serialize>(kind: Kind, kept: &T) -> Result<Position, SourceError> {
    let bytes = postcard::to_extend(kept, vec![FORMAT, kind as u8]);
    bytes.map(Position::from).map_err(|error| wrong(format!("cannot be written down: {error}")))
}

/// Which kind of source has written a position, if it is one of this format.
pub(super) fn kind(position: &[u8]) -> Option<Kind> {
    match position {
        [FORMAT, of, ..] => Kind::ALL.into_iter().find(|known| *known as u8 == *of),
        _ => None,
    }
}

/// What a source of this kind has written down.
pub(super) fn read<T: DeserializeOwned>(kind: Kind, position: &[u8]) -> Result<T, SourceError> {
    let kept = match position {
        [FORMAT, of, kept @ ..] if *of == kind as u8 => kept,
        [FORMAT, of, ..] => {
            let of = self::kind(&[FORMAT, *of]).map_or("another kind of source", Kind::name);
            return Err(SourceError::Foreign { was: of, is: kind.name() });
        }
        [format, _, ..] => {
            return Err(wrong(format!(
                "has format {format}, and this version reads format {FORMAT}: use the version of \
                 dstream that wrote it"
            )));
        }
        _ => return Err(damaged()),
    };
    match postcard::take_from_bytes(kept) {
        Ok((kept, [])) => Ok(kept),
        Ok(_) | Err(_) => Err(damaged()),
    }
}

/// The error about a position that no source has written.
pub(super) fn damaged() -> SourceError {
    wrong("is damaged".to_owned())
}

fn wrong(why: String) -> SourceError {
    SourceError::Data { what: "the position in the journal".to_owned(), why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_kind_or_format_says_so() {
        let position = write(Kind::Generator, &(7_u64, 300_u64)).unwrap();
        assert_eq!(position.len(), 2 + 1 + 2);
        assert_eq!(read::<(u64, u64)>(Kind::Generator, &position).unwrap(), (7, 300));
        let fail = |kind, bytes: &[u8]| read::<(u64, u64)>(kind, bytes).unwrap_err().to_string();
        let error = fail(Kind::Files, &position);
        assert!(error.contains("is one of a generator, and the URL names files:"), "{error}");
        assert!(fail(Kind::Files, &[1, 99, 0]).contains("another kind of source"));
        assert!(fail(Kind::Files, &[9, 1, 0]).contains("has format 9"));
        for end in 0..position.len() {
            assert!(fail(Kind::Generator, &position[..end]).contains("damaged"));
        }
        assert!(fail(Kind::Generator, &[&*position, &[0]].concat()).contains("damaged"));
    }
}
