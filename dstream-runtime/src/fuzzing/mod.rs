//! Fuzz targets: every reader of foreign bytes, as a function of bytes.
//!
//! A target must return for any bytes: it reads them like its module, and checks that accepted ones are what
//! they claim to be (equal when encoded again, with valid checksums, and readable to the end). Targets are
//! beside the code of their modules; this one lists them. Two programs run them: the tests here, with a
//! fixed sequence of cases, and libFuzzer, from `tests/fuzz`.
//!
//! A changed byte under a checksum would be rejected at once, so such targets also seal their input and so
//! reach the code behind the checksum.

#[cfg(test)]
mod memory;
#[cfg(test)]
mod mutate;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A reader of foreign bytes.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, also that of its corpus and its test.
    pub name: &'static str,
    #[cfg_attr(not(test), expect(dead_code, reason = "libFuzzer does as it is told"))]
    share: usize,
    /// Reads the bytes. Panics on a bug of this program.
    pub run: fn(&[u8]),
    /// Valid bytes to start from.
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

    /// A target with slow cases: the tests run one in `share`.
    pub(crate) const fn slow(self, share: usize) -> Self {
        Self { share, ..self }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.name)
    }
}

/// All targets.
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

/// Values of every variant of a type, as decoded by postcard from runs of one byte: empty texts and lists,
/// then ones of one and two elements.
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

/// Seeds of a target whose first byte selects the format.
pub(crate) fn chosen(choice: u8, seeds: Vec<Vec<u8>>) -> impl Iterator<Item = Vec<u8>> {
    seeds.into_iter().map(move |seed| [&[choice], seed.as_slice()].concat())
}

/// Texts as seeds.
pub(crate) fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
