//! Short keys as two words.
//!
//! Invariant: a packed key is its bytes, little endian, padded with zeroes; the length is kept
//! elsewhere (in the class of its hash).

use super::hash::INLINE;

/// A key of at most [`INLINE`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packed {
    pub(super) lo: u64,
    pub(super) hi: u64,
}

impl Packed {
    /// The padded bytes.
    #[inline(always)]
    pub(super) fn bytes(self) -> [u8; INLINE] {
        ((u128::from(self.hi) << 64) | u128::from(self.lo)).to_le_bytes()
    }

    /// What gave these bytes.
    #[inline(always)]
    pub(super) fn from_bytes(bytes: [u8; INLINE]) -> Self {
        let all = u128::from_le_bytes(bytes);
        Self { lo: all as u64, hi: (all >> 64) as u64 }
    }
}

/// Packs a key of at most [`INLINE`] bytes; of longer ones it takes the first.
#[inline(always)]
pub(super) fn pack(key: &[u8]) -> Packed {
    debug_assert!(key.len() <= INLINE);
    if let (Some(head), Some(tail)) = (key.first_chunk::<8>(), key.last_chunk::<8>()) {
        // Shifted in two steps, as a shift by all 64 bits (of a key of 8 bytes) is not defined.
        let half = 4 * (INLINE - key.len().min(INLINE));
        return Packed {
            lo: u64::from_le_bytes(*head),
            hi: u64::from_le_bytes(*tail) >> half >> half,
        };
    }
    if let (Some(head), Some(tail)) = (key.first_chunk::<4>(), key.last_chunk::<4>()) {
        let tail = u64::from(u32::from_le_bytes(*tail)) << (8 * (key.len() - 4));
        return Packed { lo: u64::from(u32::from_le_bytes(*head)) | tail, hi: 0 };
    }
    let Some((first, last)) = key.first().zip(key.last()) else { return Packed { lo: 0, hi: 0 } };
    let middle = key.len() / 2;
    let lo = u64::from(*first)
        | u64::from(key[middle]) << (8 * middle)
        | u64::from(*last) << (8 * (key.len() - 1));
    Packed { lo, hi: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_padded_with_zeroes() {
        let text = *b"\xff\x01\x82abcdefghijklmnopqrstuvwxyz";
        for from in 0..8 {
            for len in 0..=INLINE {
                let key = &text[from..from + len];
                let mut padded = [0; INLINE];
                padded[..len].copy_from_slice(key);
                assert_eq!(pack(key).bytes(), padded, "{key:?}");
            }
        }
    }
}
