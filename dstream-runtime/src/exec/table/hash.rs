//! The hash of a key, which decides its partition and its place in tables.
//!
//! It is a function of the key's canonical bytes alone, the same in every process and on every
//! machine: blocks are partitioned by it and carry it. Changing any value is a new block format.
//! It must never be seeded, and so gives no protection against keys chosen to collide.
//!
//! Invariant: the low [`CLASS_BITS`] bits are the *class* of the key, its length up to
//! [`INLINE`] bytes or [`LONG`]; all bits above are mixed. Two keys of at most `INLINE` bytes are
//! therefore equal when their zero-padded bytes and their hashes are, and a table need not store
//! lengths.

use super::pack::{Packed, pack};

/// Longest key, in bytes, that is kept by value.
pub(super) const INLINE: usize = 16;

/// Class of the keys that are longer.
pub(super) const LONG: u64 = 17;

/// How many low bits of a hash are its class.
pub(super) const CLASS_BITS: u32 = 5;

/// The digits of pi: numbers with nothing up their sleeve.
const PI: [u64; 4] =
    [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344, 0xa409_3822_299f_31d0, 0x082e_fa98_ec4e_6c89];

/// The hash of a key's canonical bytes.
#[inline]
#[must_use]
pub fn hash_key(bytes: &[u8]) -> u64 {
    if bytes.len() <= INLINE {
        hash_packed(pack(bytes), bytes.len() as u64)
    } else {
        hash_long(bytes)
    }
}

/// The partition of a key, by the top bits of its hash, which the index of a table does not use.
#[inline]
#[must_use]
pub fn partition_of(hash: u64, partitions: u32) -> u32 {
    (((hash >> 32) * u64::from(partitions)) >> 32) as u32
}

/// What kind of key has this hash: its length if that is at most [`INLINE`], or [`LONG`].
#[inline(always)]
pub(super) fn class_of(hash: u64) -> u64 {
    hash & ((1 << CLASS_BITS) - 1)
}

/// The class of a key of `len` bytes.
#[inline(always)]
pub(super) fn class_of_len(len: usize) -> u64 {
    if len <= INLINE { len as u64 } else { LONG }
}

#[inline(always)]
fn with_class(mixed: u64, class: u64) -> u64 {
    (mixed >> CLASS_BITS << CLASS_BITS) | class
}

/// The 128-bit product, folded: every bit of the result depends on every bit of both.
#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

/// The hash of a short key of `len` bytes.
#[inline(always)]
pub(super) fn hash_packed(key: Packed, len: u64) -> u64 {
    let mixed = fold(key.lo ^ PI[0], key.hi ^ PI[1]);
    with_class(fold(mixed ^ PI[2], len ^ PI[3]), len)
}

/// The hash of a key that is not kept by value.
#[inline]
pub(super) fn hash_long(bytes: &[u8]) -> u64 {
    with_class(xxhash_rust::xxh3::xxh3_64(bytes), LONG)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks carry these values: when this test fails, the block format has changed.
    #[test]
    fn golden() {
        let of = |text: &str| format!("{:016x}", hash_key(text.as_bytes()));
        // The short ones were computed by another program from the definition.
        let got =
            ["", "a", "a\0", "word", "12345678", "sixteen bytes ok", "a key of 17 bytes"].map(of);
        assert_eq!(
            got,
            [
                "4540359c0d1adc60",
                "3904f4d1f4b004e1",
                "0ce93e0f17df3aa2",
                "8a0655a7b9344c24",
                "8afaf210a7f3ef68",
                "cc44151acdd0bed0",
                "a723f65f40ed1c31"
            ]
        );
        assert_eq!(partition_of(hash_key(b"word"), 64), 34);
        assert_eq!(partition_of(hash_key(b"word"), 1), 0);
    }

    #[test]
    fn classes() {
        for len in 0..40 {
            assert_eq!(class_of(hash_key(&vec![7; len])), class_of_len(len));
        }
    }

    /// Flipping any bit of a key flips each mixed bit of its hash about half of the time.
    #[test]
    fn avalanche() {
        const KEYS: u64 = 512;
        for len in [4usize, 8, 12, 16, 24] {
            for bit in 0..len * 8 {
                let mut flips = [0u32; 64];
                for n in 0..KEYS {
                    let mut key = vec![0u8; len];
                    for (i, byte) in key.iter_mut().enumerate() {
                        *byte = (n.wrapping_mul(PI[1]) >> ((i % 7) * 8)) as u8;
                    }
                    let before = hash_key(&key);
                    key[bit / 8] ^= 1 << (bit % 8);
                    let changed = before ^ hash_key(&key);
                    for (i, flips) in flips.iter_mut().enumerate() {
                        *flips += (changed >> i & 1) as u32;
                    }
                }
                for flips in &flips[CLASS_BITS as usize..] {
                    assert!((128..=384).contains(flips), "len {len} bit {bit}: {flips} of {KEYS}");
                }
            }
        }
    }

    #[test]
    fn counting_keys_spread_over_partitions_and_slots() {
        let (mut partitions, mut slots) = ([0u32; 100], [0u32; 128]);
        for n in 0..100_000u64 {
            let hash = hash_key(&n.to_le_bytes());
            partitions[partition_of(hash, 100) as usize] += 1;
            slots[(hash >> CLASS_BITS) as usize % 128] += 1;
        }
        assert!(partitions.iter().all(|n| (850..1150).contains(n)), "{partitions:?}");
        assert!(slots.iter().all(|n| (640..925).contains(n)), "{slots:?}");
    }
}
