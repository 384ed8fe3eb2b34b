//! SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): numbers that look random, from numbers.

/// What the state moves on by: successive states are far from each other.
pub(crate) const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The output function: every bit of the result depends on every bit of the argument. 0 stays 0.
#[inline(always)]
pub(crate) fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
