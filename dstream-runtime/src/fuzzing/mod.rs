//! Everything that reads bytes of others, as functions of bytes: fuzz targets.
//!
//! A target is a function that must come back from any bytes: it reads them as its module would, and
//! checks that what was let in is what it claims to be (it is written as the same bytes again, has
//! the checksums it should have, can be read to its end). Each module keeps its targets beside its
//! code; this one only lists them. Two programs run them: the tests here, a fixed number of cases of a
//! fixed sequence, and libFuzzer, from `tests/fuzz`.
//!
//! What carries a checksum would be refused at once if its bytes were changed anywhere, so such targets
//! have a second half that seals what it is given, and so comes to what lies behind the checksum.

#[cfg(test)]
mod memory;
#[cfg(test)]
mod mutate;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A way for bytes of others to come in.
#[derive(Clone, Copy)]
pub struct Target {
    /// What it is called: the name of its corpus, and of its test.
    pub name: &'static str,
    #[cfg_attr(not(test), expect(dead_code, reason = "libFuzzer does as it is told"))]
    share: usize,
    /// Reads the bytes. It panics if that shows a mistake in this program.
    pub run: fn(&[u8]),
    /// Bytes that are right, to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

impl Target {
    pub(crate) const fn new(
        name: &'static str,
        run: fn(&[u8]),
        seeds: fn() -> Vec<Vec<u8>>,
    ) -> Self {
        Self { name, run, seeds, share: 1 }
    }

    /// One whose cases take long: the tests run this part of them.
    pub(crate) const fn slow(self, share: usize) -> Self {
        Self { share, ..self }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.name)
    }
}

/// All of them.
#[must_use]
pub fn targets() -> Vec<Target> {
    [
        crate::wire::fuzzing::TARGETS,
        crate::block::fuzzing::TARGETS,
        crate::driver::cluster::fuzzing::TARGETS,
        crate::durable::fuzzing::TARGETS,
        crate::net::trust::fuzzing::TARGETS,
        crate::source::fuzzing::TARGETS,
        crate::sink::fuzzing::TARGETS,
        crate::cli::fuzzing::TARGETS,
    ]
    .concat()
}

/// Values of every variant of a type, as postcard has them: what comes out of runs of one byte. Empty
/// texts and lists, then such of one and two elements.
pub(crate) fn values<T: Serialize + DeserializeOwned>() -> Vec<Vec<u8>> {
    let mut found: Vec<Vec<u8>> = Vec::new();
    for variant in 0..24u8 {
        for fill in 0..3u8 {
            let mut bytes = vec![fill; 4 << 10];
            bytes[0] = variant;
            let value = postcard::take_from_bytes::<T>(&bytes);
            if let Ok(bytes) = value.and_then(|(value, _)| postcard::to_allocvec(&value)) {
                found.push(bytes);
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Seeds of a target whose first byte says what the others are.
pub(crate) fn chosen(choice: u8, seeds: Vec<Vec<u8>>) -> impl Iterator<Item = Vec<u8>> {
    seeds.into_iter().map(move |seed| [&[choice], seed.as_slice()].concat())
}

/// Texts as seeds.
pub(crate) fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
