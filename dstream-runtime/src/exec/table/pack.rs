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

/// Packs a key of at most [`INLINE`] bytes.
///
/// # Panics
/// When it is longer.
#[inline(always)]
pub(super) fn pack(key: &[u8]) -> Packed {
    let mask = MASKS[key.len()];
    match wide::load(key) {
        Some(Packed { lo, hi }) => Packed { lo: lo & mask.lo, hi: hi & mask.hi },
        None => pack_within(key),
    }
}

/// The bits of a key by its length.
const MASKS: [Packed; INLINE + 1] = {
    let mut masks = [Packed { lo: 0, hi: 0 }; INLINE + 1];
    let mut len = 1;
    while len <= INLINE {
        let all = u128::MAX >> (128 - 8 * len);
        masks[len] = Packed { lo: all as u64, hi: (all >> 64) as u64 };
        len += 1;
    }
    masks
};

/// Loads past the end of a key.
///
/// The lengths of keys are random, and a branch on them costs more than the rest of an upsert.
/// Loading 16 bytes whatever the length has none.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[expect(unsafe_code, reason = "measured: a third off the time of a word count")]
mod wide {
    use std::arch::asm;

    use super::{INLINE, Packed};

    /// Smallest page of the processor, in bytes.
    const PAGE: usize = 4096;

    /// The key and what lies behind it, unless that could be another page.
    #[inline(always)]
    pub(super) fn load(key: &[u8]) -> Option<Packed> {
        let at = key.as_ptr();
        if key.is_empty() || at.addr() % PAGE > PAGE - INLINE {
            return None;
        }
        let (lo, hi): (u64, u64);
        // SAFETY: all 16 bytes lie in the page of the key's first byte, which can be read, so the
        // loads cannot fault. What lies behind the key is no memory that Rust code may read, and
        // another thread may be writing it; that is why the loads are not Rust's but the
        // processor's (as in the `strlen` of compiler-builtins), and why `pack` throws those
        // bytes away.
        unsafe {
            asm!(
                "mov {lo}, qword ptr [{at}]",
                "mov {hi}, qword ptr [{at} + 8]",
                at = in(reg) at,
                lo = out(reg) lo,
                hi = lateout(reg) hi,
                options(pure, readonly, nostack, preserves_flags),
            );
        }
        Some(Packed { lo, hi })
    }
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
mod wide {
    use super::Packed;

    /// Nothing, where such a load is not known to be safe.
    pub(super) fn load(_: &[u8]) -> Option<Packed> {
        None
    }
}

/// [`pack`] by loads that overlap.
#[inline(always)]
fn pack_within(key: &[u8]) -> Packed {
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
    let Some((first, last)) = key.first().zip(key.last()) else {
        return Packed { lo: 0, hi: 0 };
    };
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
