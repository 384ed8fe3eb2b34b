//! What a file holds, by its content: compressed data, or lines as they are.

use std::fs::{File, Metadata};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::list::{self, Identity};
use super::packed::Packed;
use super::unpack::{MAGIC, Packing, Unpack};
use super::{data, io as io_error, names};
use crate::source::SourceError;
use crate::source::decode::{LONE_RETURNS, has_lone_return};
use crate::source::form::Form;
use crate::source::framing::Unfold;
use crate::source::lines::PIECE;

/// Whether the data of a file is compressed, whatever its name is.
pub(super) fn is_packed(path: &Path, file: &File) -> Result<bool, SourceError> {
    let (head, have) = head(path, file)?;
    Ok(Packing::of(&head[..have], true) != Some(Packing::Plain))
}

/// Whether a file is so short yet that it may become one that is compressed, or not.
pub(super) fn is_unclear(path: &Path, file: &File) -> Result<bool, SourceError> {
    let (head, have) = head(path, file)?;
    Ok(have > 0 && Packing::of(&head[..have], false).is_none())
}

/// The first bytes of a file, and how many there are.
fn head(path: &Path, file: &File) -> Result<([u8; MAGIC], usize), SourceError> {
    let (mut head, mut have) = ([0; MAGIC], 0);
    while have < MAGIC {
        match file.read_at(&mut head[have..], have as u64) {
            Ok(0) => break,
            Ok(got) => have += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(io_error("read", path, error)),
        }
    }
    Ok((head, have))
}

/// How much of JSON is looked at to see whether its first value goes on over lines, in bytes.
const LOOK: u64 = 1 << 20;

/// Whether the records of a file can only be read from its start on: it is compressed, or JSON that is not one
/// value per line.
pub(super) fn is_decoded(path: &Path, file: &File, form: &Form) -> Result<bool, SourceError> {
    Ok(is_packed(path, file)? || is_folded(path, file, form)?)
}

fn is_folded(path: &Path, file: &File, form: &Form) -> Result<bool, SourceError> {
    let Some(outer) = form.json else { return Ok(false) };
    let failed = |error| io_error("read", path, error);
    let (mut unfold, mut chunk, mut at) = (Unfold::new(outer), vec![0; 4 << 10], 0);
    while !unfold.is_lines() && at < LOOK {
        let got = file.read_at(&mut chunk, at).map_err(failed)?;
        if got == 0 {
            break;
        }
        unfold.feed(&chunk[..got]);
        if unfold.is_folded() {
            return Ok(true);
        }
        at += got as u64;
        chunk.resize(PIECE, 0);
    }
    Ok(false)
}

/// Whether text without a line feed, which comes in parts, has a carriage return that something follows. One at
/// the end of all ends the last line, and says nothing.
#[derive(Default)]
pub(super) struct Returns {
    /// A part has ended with one.
    last: bool,
    lone: bool,
}

impl Returns {
    pub(super) fn feed(&mut self, part: &[u8]) {
        self.lone |= self.last && !part.is_empty() || has_lone_return(part);
        self.last |= part.ends_with(b"\r");
    }

    pub(super) fn are_lone(&self) -> bool {
        self.lone
    }
}

/// Refuses text whose lines end with carriage returns alone: a file that has some and no line feed.
pub(super) fn has_line_feeds(path: &Path, file: &File) -> Result<(), SourceError> {
    match lacks_line_feeds(path, file)? {
        true => Err(data(path, LONE_RETURNS)),
        false => Ok(()),
    }
}

/// Whether a file has carriage returns and no line feed.
pub(super) fn lacks_line_feeds(path: &Path, file: &File) -> Result<bool, SourceError> {
    let (mut chunk, mut at, mut returns) = (vec![0; 4 << 10], 0, Returns::default());
    loop {
        let got = file.read_at(&mut chunk, at).map_err(|error| io_error("read", path, error))?;
        let part = &chunk[..got];
        if memchr::memchr(b'\n', part).is_some() {
            return Ok(false);
        }
        if got == 0 {
            return Ok(returns.are_lone());
        }
        returns.feed(part);
        at += got as u64;
        chunk.resize(PIECE, 0);
    }
}

/// What is odd about a file that is not compressed, if its name says that it is.
pub(super) fn misnamed(path: &Path, size: u64) -> Option<String> {
    let what = if size == 0 { "is empty" } else { "is not compressed, and is read as it is" };
    Packed::is_packed(path).then(|| format!("{}: {what}", names::text(path)))
}

/// Reads a compressed file, which is opened when the first bytes are asked for.
pub(super) struct Later {
    path: PathBuf,
    identity: Identity,
    consumed: Arc<AtomicU64>,
    opened: Option<Unpack<BufReader<File>>>,
}

impl Later {
    /// Counts in `consumed` how many compressed bytes were used.
    pub(super) fn new(path: &Path, metadata: &Metadata, consumed: Arc<AtomicU64>) -> Self {
        Self { path: path.to_owned(), identity: Identity::of(metadata), consumed, opened: None }
    }
}

impl Read for Later {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let opened = match &mut self.opened {
            Some(opened) => opened,
            None => {
                let (file, metadata) = list::open(&self.path).map_err(io::Error::other)?;
                if Identity::of(&metadata) != self.identity {
                    let why = "was replaced by another file before it was read";
                    return Err(io::Error::other(data(&self.path, why)));
                }
                let input = BufReader::with_capacity(PIECE, file);
                self.opened.insert(Unpack::new(input, self.consumed.clone()))
            }
        };
        opened.read(out)
    }
}
