//! Data that may be compressed: found out from its first bytes, whatever it is called.
//!
//! Decides what `zcat` and `zstdcat` decide: frames follow each other (gzip members, zstd frames, skippable
//! frames, also of both kinds); NUL bytes after the last one are padding. Other data after compressed data is
//! an error, which is raised when all before it has been read. Data that is not compressed passes unchanged.

use std::fmt;
use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::GzDecoder;
use zstd::stream::read::Decoder as ZstdDecoder;

/// How data is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::source) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// What follows the first byte, which is one of `0x50..=0x5f`.
const SKIPPABLE: [u8; 3] = [0x2a, 0x4d, 0x18];

/// No more bytes are needed to tell how data is compressed.
pub(super) const MAGIC: usize = 4;

impl Packing {
    /// How data is compressed that begins with `head`. `None` if more bytes could tell; none follow if it is
    /// `whole`.
    pub(super) fn of(head: &[u8], whole: bool) -> Option<Self> {
        let head = &head[..head.len().min(MAGIC)];
        let skippable = |first: u8| [first, SKIPPABLE[0], SKIPPABLE[1], SKIPPABLE[2]];
        let skip = head.first().filter(|first| (0x50..=0x5f).contains(*first));
        let skip = skip.map_or(ZSTD, |first| skippable(*first));
        if head.starts_with(&GZIP) {
            Some(Self::Gzip)
        } else if head == ZSTD || head == skip {
            Some(Self::Zstd)
        } else if whole || ![&GZIP[..], &ZSTD, &skip].iter().any(|magic| magic.starts_with(head)) {
            Some(Self::Plain)
        } else {
            None
        }
    }
}

/// Reads what is in possibly compressed data.
pub(in crate::source) struct Unpack<R: BufRead> {
    state: State<R>,
    /// How many frames have been read.
    frames: u64,
}

enum State<R: BufRead> {
    /// Before the first frame, or after one.
    Between(Head<R>),
    Plain(Head<R>),
    Gzip(GzDecoder<Head<R>>),
    Zstd(ZstdDecoder<'static, Head<R>>),
    /// Only NUL bytes may follow.
    Padding(Head<R>),
    End,
}

impl<R: BufRead> Unpack<R> {
    /// Reads `input`, and counts in `consumed` how many bytes of it have been used.
    pub(in crate::source) fn new(input: R, consumed: Arc<AtomicU64>) -> Self {
        let head = Head { held: Vec::new(), at: 0, rest: input, consumed };
        Self { state: State::Between(head), frames: 0 }
    }

    /// What comes after a frame, or first.
    fn next(&mut self, mut head: Head<R>) -> io::Result<State<R>> {
        let packing = match head.packing() {
            Ok(packing) => packing,
            Err(error) => {
                self.state = State::Between(head);
                return Err(error);
            }
        };
        Ok(match packing {
            Packing::Gzip => State::Gzip(GzDecoder::new(head)),
            Packing::Zstd => State::Zstd(ZstdDecoder::with_buffer(head)?.single_frame()),
            Packing::Plain if self.frames == 0 => State::Plain(head),
            Packing::Plain => State::Padding(head),
        })
    }
}

impl<R: BufRead> Read for Unpack<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            let got = match &mut self.state {
                State::Between(_) => 0,
                State::Plain(head) => return head.read(out),
                State::Gzip(decoder) => decoder.read(out)?,
                State::Zstd(decoder) => decoder.read(out)?,
                State::Padding(head) => {
                    head.padding()?;
                    self.state = State::End;
                    return Ok(0);
                }
                State::End => return Ok(0),
            };
            if got > 0 {
                return Ok(got);
            }
            let head = match std::mem::replace(&mut self.state, State::End) {
                State::Between(head) => head,
                State::Gzip(decoder) => {
                    self.frames += 1;
                    decoder.into_inner()
                }
                State::Zstd(decoder) => {
                    self.frames += 1;
                    decoder.finish()
                }
                State::Plain(_) | State::Padding(_) | State::End => return Ok(0),
            };
            self.state = self.next(head)?;
        }
    }
}

/// Input of which the first bytes can be looked at.
struct Head<R> {
    /// Bytes that were looked at, used up to `at`.
    held: Vec<u8>,
    at: usize,
    rest: R,
    consumed: Arc<AtomicU64>,
}

impl<R: BufRead> Head<R> {
    /// How what follows is compressed.
    fn packing(&mut self) -> io::Result<Packing> {
        self.held.drain(..self.at);
        self.at = 0;
        loop {
            let more = if self.held.len() < MAGIC { self.rest.fill_buf()? } else { &[] };
            let whole = more.is_empty();
            if let Some(packing) = Packing::of(&self.held, whole) {
                return Ok(packing);
            }
            let some = more.len().min(MAGIC - self.held.len());
            self.held.extend_from_slice(&more[..some]);
            self.rest.consume(some);
        }
    }

    /// Reads to the end, where only NUL bytes may be.
    fn padding(&mut self) -> io::Result<()> {
        loop {
            let bytes = self.fill_buf()?;
            if bytes.is_empty() {
                return Ok(());
            }
            let nuls = bytes.iter().take_while(|byte| **byte == 0).count();
            let other = nuls < bytes.len();
            self.consume(nuls);
            if other {
                return Err(io::Error::new(io::ErrorKind::InvalidData, OtherData));
            }
        }
    }
}

impl<R: BufRead> Read for Head<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let got = bytes.len().min(out.len());
        out[..got].copy_from_slice(&bytes[..got]);
        self.consume(got);
        Ok(got)
    }
}

impl<R: BufRead> BufRead for Head<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at < self.held.len() { Ok(&self.held[self.at..]) } else { self.rest.fill_buf() }
    }

    fn consume(&mut self, used: usize) {
        self.consumed.fetch_add(used as u64, Ordering::Relaxed);
        if self.at < self.held.len() {
            self.at += used;
        } else {
            self.rest.consume(used);
        }
    }
}

/// The error about other data after compressed data.
#[derive(Debug)]
pub(super) struct OtherData;

impl fmt::Display for OtherData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the compressed data ends, and other data follows")
    }
}

impl std::error::Error for OtherData {}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Write};

    use super::*;
    use crate::source::texts::gzip;

    fn zstd(text: &[u8]) -> Vec<u8> {
        zstd::encode_all(text, 1).unwrap()
    }

    fn skippable(first: u8) -> Vec<u8> {
        [&[first, 0x2a, 0x4d, 0x18, 5, 0, 0, 0][..], b"hello"].concat()
    }

    /// What can be read, the error, and how many bytes were used; at most `size` bytes come at once.
    fn unpack(bytes: &[u8], size: usize) -> (Vec<u8>, Option<io::Error>, u64) {
        let consumed = Arc::new(AtomicU64::new(0));
        let mut out = Vec::new();
        let input = BufReader::with_capacity(size, bytes);
        let error = Unpack::new(input, consumed.clone()).read_to_end(&mut out).err();
        (out, error, consumed.load(Ordering::Relaxed))
    }

    #[test]
    fn frames_follow_each_other() {
        let (a, b) = (b"one\ntwo\n", b"three\n");
        let both = [&a[..], b].concat();
        let cases: [(Vec<u8>, &[u8]); 12] = [
            (Vec::new(), b""),
            (a.to_vec(), a),
            (gzip(a), a),
            ([gzip(a), gzip(b)].concat(), &both),
            ([zstd(a), zstd(b)].concat(), &both),
            ([gzip(a), zstd(b)].concat(), &both),
            ([skippable(0x50), zstd(a), skippable(0x5f), zstd(b)].concat(), &both),
            (skippable(0x57), b""),
            (gzip(b""), b""),
            ([gzip(a), vec![0; 700]].concat(), a),
            ([zstd(a), vec![0; 3]].concat(), a),
            ([gzip(a), vec![0]].concat(), a),
        ];
        for (packed, expected) in cases {
            for size in [1, 2, 3, 7, 8192] {
                let (out, error, used) = unpack(&packed, size);
                assert!(error.is_none(), "{error:?} after {packed:?}");
                assert_eq!(out, expected, "{packed:?}");
                assert_eq!(used, packed.len() as u64);
            }
        }
    }

    #[test]
    fn text_that_begins_like_compressed_data_is_text() {
        for text in [&b"\x1f"[..], b"(", b"(\xb5", b"P*M", b"P*Mx", b"\x1fx\n", b"(\xb5/x"] {
            for size in [1, 100] {
                let (out, error, _) = unpack(text, size);
                assert!(error.is_none() && out == text, "{text:?}: {error:?}");
            }
        }
    }

    #[test]
    fn what_does_not_belong_there_is_an_error_after_all_before_it() {
        let text = b"one\ntwo\n";
        for packed in [gzip(text), zstd(text)] {
            for other in [&b"other"[..], b"\0\0\0x", b"\x1f", &gzip(text)[..1]] {
                let all = [&packed[..], other].concat();
                let (out, error, used) = unpack(&all, 5);
                let error = error.expect("an error");
                assert!(error.get_ref().is_some_and(|e| e.is::<OtherData>()), "{error}");
                assert_eq!(out, text);
                let nuls = other.iter().take_while(|byte| **byte == 0).count();
                assert_eq!(used, (packed.len() + nuls) as u64);
            }
            for end in 5..packed.len() {
                let (out, error, _) = unpack(&packed[..end], 1000);
                assert!(error.is_some() && text.starts_with(&out), "{end}: {error:?}");
            }
        }
        // A member that is cut off after its magic number, as a copy that broke off leaves it.
        let (out, error, _) = unpack(&[&gzip(text)[..], &[0x1f, 0x8b]].concat(), 100);
        assert_eq!(
            (out.as_slice(), error.unwrap().kind()),
            (&text[..], io::ErrorKind::UnexpectedEof)
        );
    }

    #[test]
    fn large_data_comes_out_whole() {
        let mut text = Vec::new();
        for i in 0..40_000 {
            writeln!(text, "line {i} {}", i * 7919 % 1000).unwrap();
        }
        let packed: Vec<u8> = text.chunks(100_000).flat_map(gzip).collect();
        assert!(unpack(&packed, 4096).0 == text);
        let packed: Vec<u8> = text.chunks(100_000).flat_map(zstd).collect();
        assert!(unpack(&packed, 4096).0 == text);
    }
}
