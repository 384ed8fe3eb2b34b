//! Bytes looked for 64 at a time: a bit for each.

/// Bytes looked at together.
pub(super) const BLOCK: usize = 64;

/// A bit for each byte of the block that is `byte`, the first in the lowest place.
#[inline(always)]
pub(super) fn mask(block: &[u8; BLOCK], byte: u8) -> u64 {
    let (chunks, _) = block.as_chunks::<16>();
    let mut bits = 0;
    for (i, chunk) in chunks.iter().enumerate() {
        bits |= look16(*chunk, byte).0 << (16 * i);
    }
    bits
}

/// For each bit, whether an odd number of bits is set up to and with it.
#[inline(always)]
pub(super) fn parity(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// A bit for each byte that is `byte`, and one for each that is not ASCII.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline(always)]
#[expect(unsafe_code, reason = "the compiler asks for it wherever a target feature is named")]
pub(super) fn look16(chunk: [u8; 16], byte: u8) -> (u64, u64) {
    // SAFETY: every x86-64 processor has SSE2.
    unsafe { look16_sse2(chunk, byte) }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline]
#[target_feature(enable = "sse2")]
fn look16_sse2(chunk: [u8; 16], byte: u8) -> (u64, u64) {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8};
    let all = u128::from_le_bytes(chunk);
    let bytes = _mm_set_epi64x((all >> 64) as i64, all as i64);
    let found = _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte as i8)));
    (u64::from(found as u32), u64::from(_mm_movemask_epi8(bytes) as u32))
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
pub(super) fn look16(chunk: [u8; 16], byte: u8) -> (u64, u64) {
    let bits = |test: &dyn Fn(u8) -> bool| {
        chunk.iter().rev().fold(0, |bits, other| bits << 1 | u64::from(test(*other)))
    };
    (bits(&|other| other == byte), bits(&|other| !other.is_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_has_its_bit() {
        for at in 0..BLOCK {
            for byte in [0, b'\n', b'"', 0x7f, 0x80, 0xff] {
                let mut block = [b'a'; BLOCK];
                block[at] = byte;
                assert_eq!(mask(&block, byte), 1 << at, "{byte:#x}");
                assert_eq!(mask(&block, b'a'), !(1 << at));
            }
        }
    }

    #[test]
    fn parity_is_that_of_the_bits_before() {
        let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..100 {
            for at in 0..BLOCK {
                let odd = (bits << (63 - at)).count_ones() % 2 == 1;
                assert_eq!(parity(bits) >> at & 1 == 1, odd, "{bits:#x}, bit {at}");
            }
            bits = bits.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        }
    }
}
