//! Names of files as text: what splits, errors and manifests show.
//!
//! A path is made of any bytes, and a split is text. What is UTF-8 stands for itself; a byte that is not part
//! of UTF-8 is written `%XX`, in upper-case digits. So that every path has a text of its own, a `%` that would
//! be read as such an escape is written `%25`.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The text of a path.
pub(in crate::source) fn text(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(at) = rest.find('%') {
            text.push_str(&rest[..=at]);
            rest = &rest[at + 1..];
            if escaped(rest.as_bytes()).is_some() {
                text.push_str("25");
            }
        }
        text.push_str(rest);
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// The path that has this text.
pub(in crate::source) fn path(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escape = escaped(tail).filter(|_| first == b'%');
        bytes.push(escape.unwrap_or(first));
        rest = if escape.is_some() { &tail[2..] } else { tail };
    }
    OsString::from_vec(bytes).into()
}

/// The byte that is escaped by these digits after a `%`: one that is not ASCII, or the `%` itself.
fn escaped(digits: &[u8]) -> Option<u8> {
    let digits = digits.get(..2)?;
    let digit = |d: &u8| d.is_ascii_digit() || (b'A'..=b'F').contains(d);
    let text = std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(digit))?;
    u8::from_str_radix(text, 16).ok().filter(|byte| *byte >= 0x80 || *byte == b'%')
}

/// The URL, as text, that was given as any bytes. The bytes that are not UTF-8 are escaped, as URLs can say
/// them; a plain path, which has no escapes, becomes a `file:` URL then.
pub(in crate::source) fn url(given: &OsStr) -> String {
    if let Some(text) = given.to_str() {
        return text.to_owned();
    }
    let is_url = given.as_bytes().windows(3).any(|three| three == b"://")
        || given.as_bytes().starts_with(b"file:");
    let mut text = String::from(if is_url { "" } else { "file:" });
    for chunk in given.as_bytes().utf8_chunks() {
        match is_url {
            true => text.push_str(chunk.valid()),
            false => text.push_str(&chunk.valid().replace('%', "%25")),
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(bytes: &[u8]) -> &Path {
        Path::new(OsStr::from_bytes(bytes))
    }

    #[test]
    fn text_is_readable() {
        for (bytes, expected) in [
            (&b"/var/log/a b.log"[..], "/var/log/a b.log"),
            ("/ü/日".as_bytes(), "/ü/日"),
            (b"a%20b%zz%", "a%20b%zz%"),
            (b"caf\xe9.log", "caf%E9.log"),
            (b"caf%E9.log", "caf%25E9.log"),
            (b"%25", "%2525"),
            (b"\xff\xfe", "%FF%FE"),
            (b"%\xe9", "%%E9"),
            (b"%e9", "%e9"),
        ] {
            assert_eq!(text(of(bytes)), expected);
            assert_eq!(path(expected), of(bytes));
        }
    }

    #[test]
    fn what_is_given_is_a_url() {
        let given = |bytes: &[u8]| url(OsStr::from_bytes(bytes));
        assert_eq!(given(b"a%20b.txt"), "a%20b.txt");
        assert_eq!(given(b"a%20\xe9*.txt?follow"), "file:a%2520%E9*.txt?follow");
        assert_eq!(given(b"file:///a%20\xe9?x"), "file:///a%20%E9?x");
    }

    proptest! {
        #[test]
        fn every_path_has_a_text_of_its_own(
            bytes in proptest::collection::vec(
                prop_oneof![any::<u8>(), proptest::sample::select(b"%25EF89/\xc3\xa9".to_vec())], 0..12
            )
        ) {
            prop_assert_eq!(path(&text(of(&bytes))), of(&bytes));
        }
    }
}
