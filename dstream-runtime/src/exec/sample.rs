//! `sample`: which records are chosen, by what they hold.

use crate::mix::{STEP, mix};
use crate::record::{AsRecord, Record, Visitor};

/// Whether a record is among this fraction of all that there could be. It depends on the record, the fraction and the
/// seed alone: not on the batch, the partition, the process or the build.
#[inline]
pub fn sampled<P: AsRecord>(record: P, fraction: f64, seed: u64) -> bool {
    let mut hash = Hash(next(seed));
    P::Record::visit(record.as_view(), &mut hash);
    // 53 bits are what a float holds exactly.
    let place = (next(hash.0) >> 11) as f64 / (1u64 << 53) as f64;
    place < fraction
}

/// A hash of what a record shows.
struct Hash(u64);

impl Hash {
    #[inline]
    fn word(&mut self, word: u64) {
        self.0 = next(self.0 ^ word);
    }
}

/// The output of SplitMix64 for the state after this one, so that 0 does not stay 0.
#[inline]
fn next(x: u64) -> u64 {
    mix(x.wrapping_add(STEP))
}

/// What stands for an absent value, and for the end of a list.
const NONE: u64 = 1;
const END: u64 = 2;

impl Visitor for Hash {
    fn unsigned(&mut self, value: u64) {
        self.word(value);
    }
    fn signed(&mut self, value: i64) {
        self.word(value as u64);
    }
    fn wide(&mut self, value: u128) {
        self.word(value as u64);
        self.word((value >> 64) as u64);
    }
    fn wide_signed(&mut self, value: i128) {
        self.wide(value as u128);
    }
    fn float(&mut self, value: f64) {
        self.word(value.to_bits());
    }
    fn single(&mut self, value: f32) {
        self.word(u64::from(value.to_bits()));
    }
    fn boolean(&mut self, value: bool) {
        self.word(u64::from(value));
    }
    fn character(&mut self, value: char) {
        self.word(u64::from(value));
    }
    fn text(&mut self, value: &str) {
        let mut chunks = value.as_bytes().chunks_exact(8);
        for chunk in &mut chunks {
            self.word(u64::from_le_bytes(chunk.try_into().unwrap_or_default()));
        }
        let mut last = [0; 8];
        last[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
        self.word(u64::from_le_bytes(last));
        self.word(value.len() as u64);
    }
    fn none(&mut self, _: usize) {
        self.word(NONE);
    }
    fn begin_tuple(&mut self, _: usize) {}
    fn item(&mut self, index: usize) {
        self.word(index as u64);
    }
    fn end_tuple(&mut self) {}
    fn begin_list(&mut self) {}
    fn end_list(&mut self) {
        self.word(END);
    }
    fn begin_struct(&mut self) {}
    fn field(&mut self, index: usize, _: &'static str) {
        self.word(index as u64);
    }
    fn end_struct(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The share of `n` numbers that is chosen.
    fn share(fraction: f64, seed: u64, n: u64) -> f64 {
        (0..n).filter(|i| sampled(*i, fraction, seed)).count() as f64 / n as f64
    }

    #[test]
    fn the_share_is_the_fraction() {
        for seed in [0, 1, 7, u64::MAX] {
            for fraction in [0.01, 0.1, 0.5, 0.9] {
                let found = share(fraction, seed, 100_000);
                // Five standard deviations of a binomial share.
                let error = 5.0 * (fraction * (1.0 - fraction) / 100_000.0).sqrt();
                assert!((found - fraction).abs() < error, "{fraction} of seed {seed}: {found}");
            }
            assert_eq!((share(0.0, seed, 1000), share(1.0, seed, 1000)), (0.0, 1.0));
            assert_eq!((share(-1.0, seed, 10), share(2.0, seed, 10)), (0.0, 1.0));
            assert_eq!(share(f64::NAN, seed, 10), 0.0);
        }
    }

    #[test]
    fn seeds_choose_independently_and_a_smaller_fraction_is_part_of_a_greater_one() {
        let n = 100_000u64;
        let both = (0..n).filter(|i| sampled(*i, 0.5, 1) && sampled(*i, 0.5, 2)).count();
        assert!((both as f64 / n as f64 - 0.25).abs() < 0.01, "{both}");
        assert!((0..n).all(|i| !sampled(i, 0.1, 1) || sampled(i, 0.2, 1)));
    }

    #[test]
    fn the_whole_record_counts_and_its_parts_do_not_run_together() {
        let hash = |record: &(String, Option<String>, Vec<u64>)| {
            let mut hash = Hash(0);
            <(String, Option<String>, Vec<u64>)>::visit(record.view(), &mut hash);
            hash.0
        };
        let text = |text: &str| text.to_owned();
        let records = [
            (text("ab"), Some(text("c")), vec![1, 2]),
            (text("a"), Some(text("bc")), vec![1, 2]),
            (text("ab"), None, vec![1, 2]),
            (text("ab"), Some(text("")), vec![1, 2]),
            (text("ab"), Some(text("c")), vec![2, 1]),
            (text("ab"), Some(text("c")), vec![1, 2, 0]),
            (text("ab\0"), Some(text("c")), vec![1, 2]),
        ];
        let hashes: std::collections::BTreeSet<u64> = records.iter().map(hash).collect();
        assert_eq!(hashes.len(), records.len());
    }

    /// It chooses the same in every build: what was sampled before an update is what is sampled after it.
    #[test]
    fn what_is_chosen_is_part_of_the_format() {
        let chosen: Vec<u64> = (0..40).filter(|i| sampled(*i, 0.25, 42)).collect();
        assert_eq!(chosen, [2, 3, 9, 14, 16, 17, 18, 21, 22, 23, 24, 28, 34, 35]);
    }
}
