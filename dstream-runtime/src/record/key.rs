//! Keys: records with canonical bytes.
//!
//! Every keyed operator works on these bytes, so tables, partitioning and shuffle blocks need no
//! code per key type. A type of fixed width is its little-endian bytes. A text is its own bytes; in
//! a tuple, every part of variable width but the last is preceded by its length (u32).

use super::{Record, short};

/// A record that can be a key: it has one canonical form as bytes, and equal keys have equal bytes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a key",
    label = "the key of this stream is `{Self}`",
    note = "keys are strings, integers, `bool`, `char`, `Option`s and tuples of them, and records derived from such fields; floats have no exact equality: use `to_bits()`, round to an integer, or format them"
)]
pub trait Key: Record {
    /// Number of bytes, where every key has the same.
    const WIDTH: Option<usize>;

    /// Appends the canonical bytes.
    fn write(view: Self::View<'_>, out: &mut Vec<u8>);

    /// Reads the bytes that `write` wrote. Total: bytes that no key has give some key.
    fn read<'a>(bytes: &mut KeyReader<'a>) -> Self::View<'a>;

    /// Whether some key has these bytes: what the door of keyed blocks asks.
    fn check(bytes: &mut KeyReader<'_>) -> bool;

    /// Calls `f` with the canonical bytes; `scratch` may be used to build them.
    #[inline(always)]
    fn with_bytes<R>(view: Self::View<'_>, scratch: &mut Vec<u8>, f: impl FnOnce(&[u8]) -> R) -> R {
        scratch.clear();
        Self::write(view, scratch);
        f(scratch)
    }
}

/// [`Key`], in a form whose bounds are checked where they are used and not where they are written:
/// what derived records are bound by.
pub trait KeyFor<'k>: Key {}

impl<K: Key> KeyFor<'_> for K {}

/// A cursor over the bytes of one key.
#[derive(Debug, Clone, Copy)]
pub struct KeyReader<'a>(&'a [u8]);

impl<'a> KeyReader<'a> {
    /// Reads one whole key.
    #[inline(always)]
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether all bytes are read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next `N` bytes; zeroes past the end.
    #[inline(always)]
    fn array<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk::<N>() {
            Some((head, rest)) => {
                self.0 = rest;
                *head
            }
            None => {
                self.0 = &[];
                [0; N]
            }
        }
    }

    /// The next `n` bytes, or all if there are fewer.
    #[inline(always)]
    fn take(&mut self, n: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(n.min(self.0.len()));
        self.0 = rest;
        head
    }

    /// All that is left.
    #[inline(always)]
    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// A part of a tuple that is not its last.
    #[inline(always)]
    pub fn part<K: Key>(&mut self) -> KeyReader<'a> {
        let width = match K::WIDTH {
            Some(width) => width,
            None => u32::from_le_bytes(self.array()) as usize,
        };
        KeyReader(self.take(width))
    }

    /// Whether a part of that type can be taken.
    pub fn has_part<K: Key>(&self) -> bool {
        match K::WIDTH {
            Some(width) => self.0.len() >= width,
            None => self
                .0
                .split_first_chunk()
                .is_some_and(|(n, rest)| rest.len() >= u32::from_le_bytes(*n) as usize),
        }
    }
}

/// Appends a part of a tuple that is not its last.
#[inline(always)]
fn write_part<K: Key>(view: K::View<'_>, out: &mut Vec<u8>) {
    if K::WIDTH.is_some() {
        K::write(view, out);
    } else {
        let at = out.len();
        out.extend_from_slice(&[0; 4]);
        K::write(view, out);
        let len = (out.len() - at - 4) as u32;
        out[at..at + 4].copy_from_slice(&len.to_le_bytes());
    }
}

macro_rules! integers {
    ($($t:ident as $wire:ident)*) => {$(
        impl Key for $t {
            const WIDTH: Option<usize> = Some(size_of::<$wire>());
            #[inline(always)]
            fn write(view: $t, out: &mut Vec<u8>) { out.extend_from_slice(&(view as $wire).to_le_bytes()); }
            #[inline(always)]
            fn read(bytes: &mut KeyReader<'_>) -> $t { $wire::from_le_bytes(bytes.array()) as $t }
            fn check(bytes: &mut KeyReader<'_>) -> bool { bytes.rest().len() == size_of::<$wire>() }
            #[inline(always)]
            fn with_bytes<R>(view: $t, _: &mut Vec<u8>, f: impl FnOnce(&[u8]) -> R) -> R {
                f(&(view as $wire).to_le_bytes())
            }
        }
    )*};
}
integers! {
    u8 as u8  u16 as u16  u32 as u32  u64 as u64  usize as u64
    u128 as u128  i128 as i128
    i8 as i8  i16 as i16  i32 as i32  i64 as i64  isize as i64
}

impl Key for bool {
    const WIDTH: Option<usize> = Some(1);
    fn write(view: bool, out: &mut Vec<u8>) {
        out.push(u8::from(view));
    }
    fn read(bytes: &mut KeyReader<'_>) -> bool {
        bytes.array() == [1]
    }
    fn check(bytes: &mut KeyReader<'_>) -> bool {
        matches!(bytes.rest(), [0 | 1])
    }
}

impl Key for char {
    const WIDTH: Option<usize> = Some(4);
    fn write(view: char, out: &mut Vec<u8>) {
        u32::write(u32::from(view), out);
    }
    fn read(bytes: &mut KeyReader<'_>) -> char {
        char::from_u32(u32::read(bytes)).unwrap_or(char::REPLACEMENT_CHARACTER)
    }
    fn check(bytes: &mut KeyReader<'_>) -> bool {
        let rest = bytes.rest();
        <[u8; 4]>::try_from(rest).is_ok_and(|b| char::from_u32(u32::from_le_bytes(b)).is_some())
    }
}

impl Key for String {
    const WIDTH: Option<usize> = None;
    #[inline(always)]
    fn write(view: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(view.as_bytes());
    }
    #[inline(always)]
    fn read<'a>(bytes: &mut KeyReader<'a>) -> &'a str {
        short::text(bytes.rest()).unwrap_or_default()
    }
    fn check(bytes: &mut KeyReader<'_>) -> bool {
        std::str::from_utf8(bytes.rest()).is_ok()
    }
    #[inline(always)]
    fn with_bytes<R>(view: &str, _: &mut Vec<u8>, f: impl FnOnce(&[u8]) -> R) -> R {
        f(view.as_bytes())
    }
}

/// A tag byte, then the key if there is one.
impl<K: Key> Key for Option<K> {
    const WIDTH: Option<usize> = None;
    fn write(view: Option<K::View<'_>>, out: &mut Vec<u8>) {
        out.push(u8::from(view.is_some()));
        if let Some(view) = view {
            K::write(view, out);
        }
    }
    fn read<'a>(bytes: &mut KeyReader<'a>) -> Option<K::View<'a>> {
        (bytes.array() == [1]).then(|| K::read(bytes))
    }
    fn check(bytes: &mut KeyReader<'_>) -> bool {
        match bytes.array() {
            [0] => bytes.is_empty(),
            [1] => K::check(bytes),
            _ => false,
        }
    }
}

/// The width of a tuple whose parts have these widths.
const fn total(widths: &[Option<usize>]) -> Option<usize> {
    let (mut sum, mut i) = (0, 0);
    while i < widths.len() {
        match widths[i] {
            Some(width) => sum += width,
            None => return None,
        }
        i += 1;
    }
    Some(sum)
}

macro_rules! tuples {
    ($(($($t:ident $i:tt),*; $last:ident $l:tt);)*) => {$(
        impl<$($t: Key,)* $last: Key> Key for ($($t,)* $last,) {
            const WIDTH: Option<usize> = total(&[$($t::WIDTH,)* $last::WIDTH]);
            #[inline(always)]
            fn write(view: Self::View<'_>, out: &mut Vec<u8>) {
                $(write_part::<$t>(view.$i, out);)*
                $last::write(view.$l, out);
            }
            #[inline(always)]
            fn read<'a>(bytes: &mut KeyReader<'a>) -> Self::View<'a> {
                ($($t::read(&mut bytes.part::<$t>()),)* $last::read(bytes),)
            }
            fn check(bytes: &mut KeyReader<'_>) -> bool {
                $(bytes.has_part::<$t>() && $t::check(&mut bytes.part::<$t>()) &&)* $last::check(bytes)
            }
        }
    )*};
}

tuples! {
    (; A 0);
    (A 0; B 1);
    (A 0, B 1; C 2);
    (A 0, B 1, C 2; D 3);
    (A 0, B 1, C 2, D 3; E 4);
    (A 0, B 1, C 2, D 3, E 4; F 5);
    (A 0, B 1, C 2, D 3, E 4, F 5; G 6);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6; H 7);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip<K: Key>(key: &K) {
        let mut bytes = Vec::new();
        K::write(key.view(), &mut bytes);
        assert!(K::check(&mut KeyReader::new(&bytes)));
        assert!(K::compare(K::read(&mut KeyReader::new(&bytes)), key.view()).is_eq());
    }

    #[test]
    fn keys_round_trip() {
        round_trip(&7u64);
        round_trip(&usize::MAX);
        round_trip(&-5isize);
        round_trip(&"käse".to_owned());
        round_trip(&(String::from("a"), 1u32));
        round_trip(&(String::new(), String::from("b"), Some('c')));
        round_trip(&((String::from("in"), -1i64), None::<String>));
    }

    #[test]
    fn parts_do_not_run_together() {
        let bytes = |a: &str, b: &str| {
            let mut out = Vec::new();
            <(String, String)>::write((a, b), &mut out);
            out
        };
        assert_ne!(bytes("ab", "c"), bytes("a", "bc"));
    }

    #[test]
    fn the_door_refuses_what_no_key_has() {
        assert!(!String::check(&mut KeyReader::new(&[0xff])));
        assert!(!u64::check(&mut KeyReader::new(&[1, 2])));
        assert!(!<(String, u8)>::check(&mut KeyReader::new(&[9, 0, 0, 0, 1])));
        assert!(!char::check(&mut KeyReader::new(&0xd800u32.to_le_bytes())));
    }
}
