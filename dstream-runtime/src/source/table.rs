//! A source that is a table: all of it is read when the job starts, and belongs to the first batch.
//!
//! The bytes are read once, by the process that cuts batches, and other processes get them from there: so all of them
//! have one version, whether or not they see the same files. The version (a hash of the bytes) is the position, so it
//! is journaled. A process that starts again reads the table and compares: of the same version it makes the inputs
//! again, if they are needed; where another version is found it says so and goes on with what the state holds, and
//! refuses to make inputs again.
//!
//! Invariant: no input has bytes of another version than the position names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::changed::{Change, Changed};
use super::part::{self, Held, Part, Torn};
use super::position::{self, Kind};
use super::{Cut, Framing, Input, News, Piece, Position, Range, Source, SourceError};

/// About how much of a table one task reads.
const SPLIT: u64 = 8 << 20;
/// The most bytes of a table: the process that cuts batches holds them until the first batch is over.
const MOST: u64 = 2 << 30;

/// What of a source is a table.
pub(crate) struct Table {
    /// The name of its stream.
    name: String,
    url: String,
    /// None before it is read or resumed.
    version: Option<Version>,
    /// The parts of the journaled version, until the first cut of this process.
    read: Option<Vec<Part>>,
    /// Whether another version was found than the journaled one.
    differs: bool,
    warnings: Vec<String>,
}

/// Which bytes a table had: what its position is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Version {
    url: String,
    hash: u128,
    bytes: u64,
}

impl Table {
    /// Only so much of a source.
    ///
    /// # Errors
    /// When it is not one that can be read whole, more than once.
    pub(crate) fn of(
        source: Box<dyn Source>,
        name: &str,
        url: &str,
    ) -> Result<Changed<Self>, SourceError> {
        let why = match source.pipe() {
            Some(pipe) => Some(format!(
                "a table is read again after a restart, and {} can be read once only\n  help: write it to a file and \
                 give that",
                pipe.name
            )),
            None if !source.bounded() || source.timed() => Some(format!(
                "a table is read whole when the job starts, and `{url}` brings records as time goes on\n  help: give it \
                 what is read to its end; or read it as a stream, `source::…`, and join with its `.latest_by_key()`"
            )),
            None => None,
        };
        if let Some(why) = why {
            return Err(SourceError::Refused { why });
        }
        let (name, url) = (name.to_owned(), url.to_owned());
        let (version, read, differs, warnings) = (None, None, false, Vec::new());
        Ok(Changed { source, change: Self { name, url, version, read, differs, warnings } })
    }

    /// Reads all that a source has.
    fn read_all(&self, source: &mut dyn Source) -> Result<(Vec<Part>, Version), SourceError> {
        let mut reading = Reading::default();
        loop {
            let cut = source.cut(1)?;
            for input in &cut.inputs {
                input.data.read(&mut |piece| reading.take(&piece))?;
                if reading.bytes > MOST {
                    return Err(SourceError::Refused { why: self.too_large() });
                }
            }
            if cut.ended {
                break;
            }
        }
        let bytes = reading.bytes;
        let (parts, hash) = reading.finish();
        Ok((parts, Version { url: self.url.clone(), hash, bytes }))
    }

    fn too_large(&self) -> String {
        format!(
            "the table `{}` (`{}`) has more than {} GiB, and it is held in memory when the job starts\n  help: read it as \
             a stream, `source::…`, and join with its `.latest_by_key()`",
            self.name,
            self.url,
            MOST >> 30
        )
    }

    fn changed(&self) -> String {
        format!(
            "the table `{}` (`{}`) is not what it was when the job read it",
            self.name, self.url
        )
    }
}

/// The bytes of a table while they are read.
#[derive(Default)]
struct Reading {
    done: Vec<Part>,
    /// Consecutive records of one split.
    open: Option<(Held, Vec<u8>)>,
    /// Where the records of each split end, as far as they are read.
    ends: BTreeMap<String, u64>,
    hash: Xxh3,
    bytes: u64,
}

impl Reading {
    fn take(&mut self, piece: &Piece<'_>) {
        self.bytes += piece.bytes.len() as u64;
        let end = |(held, bytes): &(Held, Vec<u8>)| held.position + bytes.len() as u64;
        // Of numbered records the place in bytes is kept, so that ranges do not overlap.
        let position = match (piece.numbered, &self.open) {
            (false, _) => piece.position,
            (true, Some(open)) if *open.0.split == *piece.split => end(open),
            (true, _) => self.ends.get(piece.split).copied().unwrap_or(0),
        };
        let goes_on = |open: &(Held, Vec<u8>)| {
            let held = &open.0;
            *held.split == *piece.split
                && end(open) == position
                && held.header.as_deref() == piece.header
                && held.framing == piece.framing
                && held.torn.is_none()
                && piece.torn.is_none()
        };
        match &mut self.open {
            Some(open) if goes_on(open) => open.1.extend_from_slice(piece.bytes),
            _ => {
                self.close();
                // What is hashed does not depend on how the bytes came in pieces.
                self.hash.update(piece.header.unwrap_or_default().as_bytes());
                self.open = Some((begun(piece, position), piece.bytes.to_vec()));
            }
        }
        self.hash.update(piece.bytes);
    }

    fn close(&mut self) {
        if let Some((held, bytes)) = self.open.take() {
            let end = held.position + bytes.len() as u64;
            self.ends.insert(held.split.to_string(), end);
            let filled = Held::new(held.split.clone(), held.position, bytes);
            let (bytes, from, to) = (filled.bytes, filled.from, filled.to);
            self.done.push(Part::Held(Held { bytes, from, to, ..held }));
        }
    }

    fn finish(mut self) -> (Vec<Part>, u128) {
        self.close();
        (self.done, self.hash.digest128())
    }
}

/// What is known of the records of a piece, without them.
fn begun(piece: &Piece<'_>, position: u64) -> Held {
    let torn = piece.torn.map(|why| Torn { length: piece.bytes.len() as u64, why: why.into() });
    let header = piece.header.map(Into::into);
    let framing: Framing = piece.framing;
    Held { header, framing, torn, ..Held::new(piece.split.into(), position, Vec::new()) }
}

impl Change for Table {
    fn cut(&mut self, source: &mut dyn Source, partitions: usize) -> Result<Cut, SourceError> {
        self.read = None;
        let mut inputs = Vec::new();
        if self.version.is_none() {
            let (parts, version) = self.read_all(source)?;
            self.version = Some(version);
            inputs = part::inputs(parts, SPLIT, partitions)?;
        }
        let position = self.version.as_ref().map(written).transpose()?;
        Ok(Cut { inputs, ended: true, waiting: false, position })
    }

    fn resume(&mut self, source: &mut dyn Source, position: &[u8]) -> Result<(), SourceError> {
        let was: Version = position::read(Kind::Table, position)?;
        let (parts, is) = self.read_all(source)?;
        let same = (is.hash, is.bytes) == (was.hash, was.bytes);
        if was.url != is.url && !same {
            return Err(SourceError::Moved { was: was.url, is: is.url });
        }
        self.differs = !same;
        if self.differs {
            let warning = format!(
                "{}: the job goes on with the version that it read ({} bytes, now {}). A job that starts anew takes the \
                 new one",
                self.changed(),
                was.bytes,
                is.bytes
            );
            self.warnings.push(warning);
        } else {
            self.read = Some(parts);
        }
        self.version = Some(was);
        Ok(())
    }

    fn resume_elsewhere(&mut self, _: &mut dyn Source, _: &[u8]) -> Result<(), SourceError> {
        let why = format!(
            "the job holds the table `{}` of another place, and `{}` has other records\n  help: give it the URL that the \
             job was started with, or start the job anew",
            self.name, self.url
        );
        Err(SourceError::Refused { why })
    }

    fn input(&self, _: &dyn Source, ranges: &[Range]) -> Result<Input, SourceError> {
        if self.differs {
            let why = format!(
                "{}, and no saved state holds it yet\n  help: put back what was there, or start the job anew",
                self.changed()
            );
            return Err(SourceError::Refused { why });
        }
        let parts = self.read.as_deref().unwrap_or_default();
        let mut found = Vec::with_capacity(ranges.len());
        for range in ranges {
            found.extend(parts.iter().find_map(|part| within(part, range)));
        }
        if found.len() != ranges.len() {
            return Err(SourceError::data(&self.url, "a part of the table cannot be made again"));
        }
        Ok(part::input(found))
    }

    /// What was received before a stop is still processed, and needs the table: it is read whole or not at all.
    fn stop(&mut self, _: &mut dyn Source) {}

    fn news(&mut self, source: &mut dyn Source) -> News {
        let mut news = source.news();
        news.warnings.append(&mut self.warnings);
        news
    }
}

/// The records of a range that lies within a part.
fn within(part: &Part, range: &Range) -> Option<Part> {
    let (Part::Held(held), of) = (part, part.range()) else { return None };
    if of.split != range.split || range.start < of.start || range.end > of.end {
        return None;
    }
    if held.torn.is_some() {
        return (of == *range).then(|| part.clone());
    }
    let at = |position: u64| Some(held.from + usize::try_from(position - of.start).ok()?);
    Some(Part::Held(held.slice(at(range.start)?, at(range.end)?)))
}

fn written(version: &Version) -> Result<Position, SourceError> {
    position::write(Kind::Table, version)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::record::Format;
    use crate::source::{OpenOptions, open};

    type Tested = Result<(), Box<dyn std::error::Error>>;

    fn table(url: &str) -> Result<Changed<Table>, SourceError> {
        let source = open(url, Format::Text, &OpenOptions::default())?;
        Table::of(source, "names", url)
    }

    fn text(inputs: &[Input]) -> Result<String, SourceError> {
        let mut all = Vec::new();
        for input in inputs {
            input.data.read(&mut |piece| all.extend_from_slice(piece.bytes))?;
        }
        Ok(String::from_utf8_lossy(&all).into_owned())
    }

    fn url(path: &Path, options: &str) -> String {
        format!("{}{options}", path.display())
    }

    #[test]
    fn the_first_batch_has_all_of_it_however_it_would_be_cut() -> Tested {
        let directory = tempfile::tempdir()?;
        let lines: String = (0..1000).map(|i| format!("line {i}\n")).collect();
        fs::write(directory.path().join("a"), &lines)?;
        fs::write(directory.path().join("b"), "last\n")?;
        for options in ["", "?batch=100", "?batch_records=7"] {
            let mut table = table(&url(directory.path(), options))?;
            // The batches that follow a stop meet it too.
            table.stop();
            let first = table.cut(4)?;
            assert!(first.ended && first.inputs.len() <= 4);
            assert_eq!(text(&first.inputs)?, format!("{lines}last\n"), "{options}");
            assert!(first.inputs.iter().all(|input| input.carried().is_ok_and(|c| c.is_some())));
            let second = table.cut(4)?;
            assert!(second.ended && second.inputs.is_empty());
            assert_eq!(first.position, second.position);
        }
        let mut made = table("generate://words?records=50&batch_records=8")?;
        assert_eq!(text(&made.cut(3)?.inputs)?.lines().count(), 50);
        Ok(())
    }

    #[test]
    fn another_process_makes_the_inputs_again_unless_the_table_has_changed() -> Tested {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("names.txt");
        let lines: String =
            (0..400_000).map(|i| format!("a rather long line, number {i}\n")).collect();
        fs::write(&path, &lines)?;
        let mut before = table(&url(&path, ""))?;
        let first = before.cut(8)?;
        let position = first.position.clone().unwrap_or_default();
        assert!(first.inputs.len() > 1);
        let mut same = table(&url(&path, "?batch=1KiB"))?;
        same.resume(&position)?;
        let again = first.inputs.iter().map(|input| same.input(&input.ranges));
        let again = again.collect::<Result<Vec<_>, _>>()?;
        for (input, again) in first.inputs.iter().zip(&again) {
            let (was, is) =
                (text(std::slice::from_ref(input))?, text(std::slice::from_ref(again))?);
            assert!(was == is && input.ranges == again.ranges);
        }
        assert!(same.news().warnings.is_empty() && same.cut(8)?.inputs.is_empty());

        fs::write(&path, lines.replace("number 7\n", "number 8\n"))?;
        let mut other = table(&url(&path, ""))?;
        other.resume(&position)?;
        let warnings = other.news().warnings;
        assert!(warnings[0].contains("goes on with the version that it read"), "{warnings:?}");
        let error = other.input(&first.inputs[0].ranges).err().map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.contains("put back what was there")));
        let cut = other.cut(8)?;
        assert!(cut.ended && cut.inputs.is_empty() && cut.position == first.position);
        Ok(())
    }

    #[test]
    fn numbered_records_and_other_places_are_told_apart() -> Tested {
        let mut one = table("generate://words?records=50&batch_records=8")?;
        let position = one.cut(1)?.position.unwrap_or_default();
        let mut other = table("generate://words?records=51")?;
        let moved = other.resume(&position);
        assert!(matches!(moved, Err(SourceError::Moved { .. })), "{moved:?}");
        let refused = other.resume_elsewhere(&position).err().map(|error| error.to_string());
        assert!(refused.is_some_and(|error| error.contains("start the job anew")));
        Ok(())
    }

    #[test]
    fn what_goes_on_is_refused() {
        for url in
            ["/tmp?follow", "generate://words?rate=10", "generate://words?rate=10&records=50"]
        {
            let refused = table(url).err().map(|error| error.to_string());
            assert!(refused.is_some_and(|why| why.contains("latest_by_key")), "{url}");
        }
        let refused = table("/etc/hosts?refresh=5m").err().map(|error| error.to_string());
        assert!(refused.is_some_and(|why| why.contains("refresh")));
    }
}
