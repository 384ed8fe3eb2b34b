//! What tells the content of a followed file from any other: a hash of all of it that was read.
//!
//! The content is hashed in chunks of [`CHUNK`] bytes, each seeded with the hash of those before it, so that
//! hashing goes on where it stopped, in this process or the next one, without a look at more than the last
//! chunks. A [`Print`] names the bytes from `origin` to `end` (the origin is 0 unless the file begins with a
//! hole of NUL bytes).
//!
//! There are two ways to compare a file with a print:
//!
//! - [`Print::matches_whole`] reads all of it. It is certain, but for equal 64-bit hashes of different bytes.
//! - [`Print::matches`] reads the first chunk and the last one to two. It is certain for up to 2 × [`CHUNK`]
//!   bytes. Of a longer content it does not see a change that leaves the first 32 KiB and the last 32 to
//!   64 KiB before the position as they were, byte for byte at the same offsets. Lines with a time, a counter
//!   or varying lengths in them do not come out so; a refilled file of constant lines may.
//!
//! A file is compared in the second way before and after each read of a live job, and in the first way when a
//! job starts again and the file was changed meanwhile, unless more than [`WHOLE`] bytes of it had been read.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

/// Bytes that are hashed with one seed.
pub(super) const CHUNK: u64 = 32 << 10;

/// How much of a file is read when a job starts again, to see that it is the one that it was: some tenths of a
/// second of a disk's time.
pub(super) const WHOLE: u64 = 256 << 20;

type Hash = [u8; 8];

/// The fingerprint of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Print {
    /// Where the content begins.
    pub(super) origin: u64,
    /// Where it ends.
    pub(super) end: u64,
    hash: Hash,
    /// Where it is longer than two chunks.
    far: Option<Far>,
}

/// What a long content is compared by without reading all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Far {
    /// Of the first chunk.
    head: Hash,
    /// Of all but the last one to two chunks.
    before: Hash,
}

/// A fingerprint that grows with what is read.
#[derive(Clone)]
pub(super) struct Rolling {
    origin: u64,
    end: u64,
    head: u64,
    /// Of all but the last full chunk and what follows.
    before: u64,
    /// Of all full chunks.
    full: u64,
    /// What follows them.
    rest: Xxh3,
}

impl Rolling {
    pub(super) fn new(origin: u64) -> Self {
        Self { origin, end: origin, head: 0, before: 0, full: 0, rest: Xxh3::with_seed(0) }
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// How much the chunk lacks that is not full.
    fn room(&self) -> u64 {
        CHUNK - (self.end - self.origin) % CHUNK
    }

    /// Takes in the next bytes.
    pub(super) fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = self.room();
            let some = bytes.len().min(usize::try_from(room).unwrap_or(bytes.len()));
            self.rest.update(&bytes[..some]);
            self.end += some as u64;
            if some as u64 == room {
                self.before = std::mem::replace(&mut self.full, self.rest.digest());
                self.rest = Xxh3::with_seed(self.full);
                if self.end - self.origin == CHUNK {
                    self.head = self.full;
                }
            }
            bytes = &bytes[some..];
        }
    }

    /// Takes in what a file holds up to `end`. An early end of the file is an error of the kind
    /// [`io::ErrorKind::UnexpectedEof`].
    pub(super) fn read(&mut self, file: &File, end: u64) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK as usize];
        while self.end < end {
            let some = usize::try_from(end - self.end).unwrap_or(buffer.len()).min(buffer.len());
            file.read_exact_at(&mut buffer[..some], self.end)?;
            self.add(&buffer[..some]);
        }
        Ok(())
    }

    pub(super) fn print(&self) -> Print {
        let Self { origin, end, .. } = *self;
        let hash =
            if (end - origin).is_multiple_of(CHUNK) { self.full } else { self.rest.digest() };
        let (head, before) = (self.head.to_le_bytes(), self.before.to_le_bytes());
        let far = (end - origin >= 2 * CHUNK).then_some(Far { head, before });
        Print { origin, end, hash: hash.to_le_bytes(), far }
    }
}

impl Print {
    pub(super) fn len(&self) -> u64 {
        self.end.saturating_sub(self.origin)
    }

    /// Whether it is one that [`Rolling::print`] makes.
    pub(super) fn is_sound(&self) -> bool {
        self.origin <= self.end && self.far.is_some() == (self.len() >= 2 * CHUNK)
    }

    /// Compares a file with it by its first and last chunks; what goes on from there if it is the same.
    pub(super) fn matches(&self, file: &File) -> io::Result<Option<Rolling>> {
        let same = |rolling: Rolling| (rolling.print() == *self).then_some(rolling);
        let Some(far) = self.far else { return self.matches_whole(file) };
        let mut head = vec![0; CHUNK as usize];
        if !ended(file.read_exact_at(&mut head, self.origin))?
            || xxh3_64_with_seed(&head, 0).to_le_bytes() != far.head
        {
            return Ok(None);
        }
        let full = u64::from_le_bytes(far.before);
        let end = self.origin + (self.len() / CHUNK - 1) * CHUNK;
        let mut rolling = Rolling {
            end,
            head: u64::from_le_bytes(far.head),
            full,
            rest: Xxh3::with_seed(full),
            ..Rolling::new(self.origin)
        };
        let whole = ended(rolling.read(file, self.end))?;
        Ok(Some(rolling).filter(|_| whole).and_then(same))
    }

    /// Compares all of a file with it; what goes on from there if it is the same.
    pub(super) fn matches_whole(&self, file: &File) -> io::Result<Option<Rolling>> {
        let mut rolling = Rolling::new(self.origin);
        let whole = ended(rolling.read(file, self.end))?;
        Ok(Some(rolling).filter(|rolling| whole && rolling.print() == *self))
    }

    /// Compares a file with it as far as that takes no longer than a start may.
    pub(super) fn matches_fully(&self, file: &File) -> io::Result<Option<Rolling>> {
        match self.matches(file)? {
            Some(_) if self.far.is_some() && self.len() <= WHOLE => self.matches_whole(file),
            found => Ok(found),
        }
    }

    /// Whether a file that is shorter may become one with this content: its first chunk is the same.
    pub(super) fn begins(&self, file: &File) -> io::Result<bool> {
        let Some(far) = self.far else { return Ok(false) };
        let mut head = vec![0; CHUNK as usize];
        let whole = ended(file.read_exact_at(&mut head, self.origin))?;
        Ok(whole && xxh3_64_with_seed(&head, 0).to_le_bytes() == far.head)
    }
}

/// Whether a read got all that it asked for; a file that ends before is no error here.
fn ended(read: io::Result<()>) -> io::Result<bool> {
    match read {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn noise(len: usize) -> Vec<u8> {
        let mut draw = 7_u64;
        let byte = |_| {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (draw >> 56) as u8
        };
        (0..len).map(byte).collect()
    }

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn of(bytes: &[u8], origin: usize, end: usize) -> Rolling {
        let mut rolling = Rolling::new(origin as u64);
        rolling.add(&bytes[origin..end]);
        rolling
    }

    const C: usize = CHUNK as usize;

    #[test]
    fn a_print_does_not_depend_on_how_the_bytes_came() {
        let bytes = noise(5 * C + 77);
        for origin in [0, 3, C + 1] {
            for end in [origin, origin + 1, 2 * C, 2 * C + origin, 3 * C - 1, 3 * C, bytes.len()] {
                let expected = of(&bytes, origin, end).print();
                assert!(expected.is_sound());
                for step in [1, 1000, C, C + 1, 2 * C] {
                    let mut rolling = Rolling::new(origin as u64);
                    bytes[origin..end].chunks(step).for_each(|some| rolling.add(some));
                    assert_eq!(rolling.print(), expected, "{origin} {end} {step}");
                }
                // Another process goes on from what was written down, however it compared.
                let file = file(&bytes);
                let rolling = expected.matches(&file).unwrap().expect("the same");
                let whole = expected.matches_whole(&file).unwrap().expect("the same");
                for mut rolling in [rolling, whole] {
                    rolling.read(&file, bytes.len() as u64).unwrap();
                    assert_eq!(rolling.print(), of(&bytes, origin, bytes.len()).print());
                }
            }
        }
    }

    #[test]
    fn other_contents_are_told_apart() {
        let bytes = noise(6 * C + 77);
        for end in [1, 100, C, 2 * C - 1, 2 * C, 5 * C, 6 * C + 70] {
            let print = of(&bytes, 0, end).print();
            assert!(print.matches(&file(&bytes[..end])).unwrap().is_some());
            assert!(print.matches(&file(&bytes[..end - 1])).unwrap().is_none());
            assert!(print.matches(&file(b"")).unwrap().is_none());
            for at in [0, end / 2, end - 1] {
                let mut other = bytes.clone();
                other[at] ^= 1;
                let other = file(&other);
                assert!(print.matches_fully(&other).unwrap().is_none(), "{end} {at}");
                // The middle of a long one is seen only if all of it is read.
                let seen = end < 3 * C || at != end / 2;
                assert_eq!(print.matches(&other).unwrap().is_none(), seen, "{end} {at}");
            }
        }
        let print = of(&bytes, 0, 3 * C).print();
        assert!(print.begins(&file(&bytes[..C])).unwrap());
        assert!(!print.begins(&file(&bytes[..C - 1])).unwrap());
    }
}
