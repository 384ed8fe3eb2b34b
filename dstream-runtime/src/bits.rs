//! A dense set of small numbers.

/// A set of numbers below the bound given to [`Bits::reset`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Bits {
    words: Vec<u64>,
    bound: usize,
}

impl Bits {
    /// Empties the set and sets its bound, keeping its memory.
    pub(crate) fn reset(&mut self, bound: usize) {
        self.words.clear();
        self.words.resize(bound.div_ceil(64), 0);
        self.bound = bound;
    }

    /// Adds a number. Returns `false` if it is a member already or not below the bound.
    pub(crate) fn insert(&mut self, number: usize) -> bool {
        if number >= self.bound {
            return false;
        }
        let (word, bit) = (&mut self.words[number / 64], 1 << (number % 64));
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Whether it is a member.
    pub(crate) fn contains(&self, number: usize) -> bool {
        number < self.bound && self.words[number / 64] & (1 << (number % 64)) != 0
    }

    /// The number of members below `end`.
    pub(crate) fn count_below(&self, end: usize) -> usize {
        let end = end.min(self.bound);
        let whole: u32 = self.words[..end / 64].iter().map(|word| word.count_ones()).sum();
        let rest = match end % 64 {
            0 => 0,
            bits => (self.words[end / 64] & ((1 << bits) - 1)).count_ones(),
        };
        (whole + rest) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_members_once_and_refuses_what_is_out_of_bounds() {
        let mut bits = Bits::default();
        bits.reset(130);
        for number in [0, 63, 64, 129] {
            assert!(bits.insert(number), "{number}");
            assert!(!bits.insert(number), "{number}");
        }
        assert!(!bits.insert(130));
        assert!(!bits.contains(130));
        assert_eq!(
            [0, 1, 64, 65, 129, 130, 999].map(|end| bits.count_below(end)),
            [0, 1, 2, 3, 3, 4, 4]
        );
        bits.reset(64);
        assert_eq!(bits.count_below(64), 0);
    }
}
