//! The encoding of a journal object.
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | magic |
//! | 8..16 | xxh3 of all that follows |
//! | 16..20 | version of the format |
//! | 20..24 | kind: 1 entries, 2 a snapshot |
//! | 24..32 | hash of the plan |
//! | 32..40 | term of the master that wrote it |
//! | 40..48 | its own number |
//! | 48..56 | number of the snapshot before it, all ones if there is none |
//! | 56..64 | length of the body |
//! | | the body: postcard of `Vec<(u64, E)>` or of `S` |
//!
//! Numbers are little-endian. Invariant: [`decode`] accepts only bytes that [`Header::seal`] made.

use xxhash_rust::xxh3::Xxh3;

const MAGIC: &[u8; 8] = b"dstreamJ";
const VERSION: u32 = 7;
pub(in crate::durable) const HEADER: usize = 64;
const NO_BASE: u64 = u64::MAX;

/// The kind of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::durable) enum Kind {
    Entries,
    Snapshot,
}

/// An object's description besides its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::durable) struct Header {
    pub(in crate::durable) kind: Kind,
    pub(in crate::durable) plan: u64,
    pub(in crate::durable) term: u64,
    pub(in crate::durable) seq: u64,
    /// The newest snapshot before it: its base, and evidence that one existed.
    pub(in crate::durable) base: Option<u64>,
}

/// Why an object is unusable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::durable) enum Flaw {
    /// The bytes are damaged.
    Damaged(&'static str),
    /// Whole, but of another version of the format.
    Version(u32),
}

/// The name of an object by its number.
pub(super) fn name(seq: u64) -> String {
    format!("journal/{seq:016}")
}

/// The number in an object's name. A name with more digits is not ours: no number could follow the last one.
pub(super) fn number(object: &str) -> Option<u64> {
    let seq = object.strip_prefix("journal/")?.parse().ok()?;
    (name(seq) == object && object.len() == name(0).len()).then_some(seq)
}

impl Header {
    /// The header bytes for a body.
    pub(in crate::durable) fn seal(&self, body: &[u8]) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let kind: u32 = match self.kind {
            Kind::Entries => 1,
            Kind::Snapshot => 2,
        };
        bytes[..8].copy_from_slice(MAGIC);
        bytes[16..20].copy_from_slice(&VERSION.to_le_bytes());
        bytes[20..24].copy_from_slice(&kind.to_le_bytes());
        let base = self.base.unwrap_or(NO_BASE);
        let numbers = [self.plan, self.term, self.seq, base, body.len() as u64];
        for (at, number) in (24..).step_by(8).zip(numbers) {
            bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        let sum = checksum(&bytes[16..], body);
        bytes[8..16].copy_from_slice(&sum.to_le_bytes());
        bytes
    }
}

fn checksum(header: &[u8], body: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(header);
    hash.update(body);
    hash.digest()
}

/// Splits an object into header and body.
pub(in crate::durable) fn decode(seq: u64, bytes: &[u8]) -> Result<(Header, &[u8]), Flaw> {
    if bytes.is_empty() {
        return Err(Flaw::Damaged("it is empty"));
    }
    let torn = Flaw::Damaged("it is torn");
    let Some((header, body)) = bytes.split_at_checked(HEADER) else { return Err(torn) };
    if header.get(..8) != Some(MAGIC) {
        return Err(Flaw::Damaged("it does not begin like a journal object"));
    }
    let word = |at: usize| -> u32 {
        header.get(at..at + 4).and_then(|word| word.try_into().ok()).map_or(0, u32::from_le_bytes)
    };
    let number = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
    if checksum(header.get(16..).unwrap_or_default(), body) != number(8) {
        return Err(Flaw::Damaged("its checksum differs"));
    }
    // The object is whole, so its version is genuine.
    if word(16) != VERSION {
        return Err(Flaw::Version(word(16)));
    }
    let kind = match word(20) {
        1 => Kind::Entries,
        2 => Kind::Snapshot,
        _ => return Err(Flaw::Damaged("it is of no known kind")),
    };
    if number(56) != body.len() as u64 {
        return Err(torn);
    }
    if number(40) != seq {
        return Err(Flaw::Damaged("it is another object under this name"));
    }
    let base = Some(number(48)).filter(|base| *base != NO_BASE);
    Ok((Header { kind, plan: number(24), term: number(32), seq, base }, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_is_read_and_nothing_else() {
        let header = Header { kind: Kind::Snapshot, plan: 7, term: 2, seq: 5, base: Some(3) };
        let whole = [header.seal(b"body").as_slice(), b"body"].concat();
        assert_eq!(decode(5, &whole), Ok((header, b"body".as_slice())));
        assert!(matches!(decode(6, &whole), Err(Flaw::Damaged(_))));
        for at in 0..whole.len() {
            assert!(matches!(decode(5, &whole[..at]), Err(Flaw::Damaged(_))), "cut at {at}");
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << bit;
                assert!(matches!(decode(5, &flipped), Err(Flaw::Damaged(_))), "{at} {bit}");
            }
        }
        let longer = [whole.as_slice(), b"x"].concat();
        assert!(matches!(decode(5, &longer), Err(Flaw::Damaged(_))));
        let none = Header { kind: Kind::Entries, base: None, ..header };
        assert_eq!(decode(5, &none.seal(b"")), Ok((none, b"".as_slice())));
    }

    #[test]
    fn names_are_in_the_order_of_numbers_and_read_back() {
        assert!(name(9) < name(10));
        assert_eq!(number(&name(12)), Some(12));
        let last = format!("journal/{}", u64::MAX);
        for other in ["journal/12", "journal/x", "terms/0000000000000012", "", last.as_str()] {
            assert_eq!(number(other), None);
        }
    }
}
