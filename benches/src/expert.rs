//! The jobs, written for the highest speed known.
//!
//! Grep searches the whole text and extends each hit to its line. The keyed jobs find separators 64 bytes at
//! a time, pack keys of up to 16 bytes into two words, and gather, hash and prefetch 32 keys before probing
//! an open-addressing table with 32-byte slots. Every byte up to the space is a separator, which is
//! equivalent for text.

use std::collections::HashMap;

use memchr::memmem::Finder;

use crate::counts::Counts;

const GROUP: usize = 32;
const MIN_SLOTS: usize = 1 << 10;

/// A key of 1 to 16 bytes, padded with zeroes, and a number; `len` is 0 in an empty slot.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    lo: u64,
    hi: u64,
    len: u64,
    n: u64,
}

/// Sums by key; short keys are stored by value.
#[derive(Debug, Default)]
pub struct ExpertCounts {
    slots: Vec<Slot>,
    used: usize,
    long: HashMap<Box<[u8]>, u64, foldhash::fast::FixedState>,
    gathered: Vec<Slot>,
}

#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

#[inline(always)]
fn hash(key: &Slot) -> u64 {
    let mixed = fold(key.lo ^ 0x243f_6a88_85a3_08d3, key.hi ^ 0x1319_8a2e_0370_7344);
    fold(mixed ^ key.len, 0xa409_3822_299f_31d1)
}

/// The bits of a key by its length.
const MASKS: [(u64, u64); 17] = {
    let mut masks = [(0, 0); 17];
    let mut len = 1;
    while len <= 16 {
        let all = u128::MAX >> (128 - 8 * len);
        masks[len] = (all as u64, (all >> 64) as u64);
        len += 1;
    }
    masks
};

#[inline(always)]
fn prefetch(slot: &Slot) {
    #[cfg(target_arch = "x86_64")]
    #[expect(unsafe_code, reason = "a processor's instruction")]
    // SAFETY: a prefetch is a hint, and every x86-64 processor supports it.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(slot).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = slot;
}

/// A bit for each byte up to the space.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn separators(chunk: [u8; 16]) -> u64 {
    #[inline]
    #[target_feature(enable = "sse2")]
    fn sse2(chunk: [u8; 16]) -> u64 {
        use std::arch::x86_64::{
            _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8,
        };
        let all = u128::from_le_bytes(chunk);
        let bytes = _mm_set_epi64x((all >> 64) as i64, all as i64);
        let small = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(b' ' as i8)), bytes);
        u64::from(_mm_movemask_epi8(small) as u16)
    }
    #[expect(unsafe_code, reason = "the compiler asks for it wherever a target feature is named")]
    // SAFETY: every x86-64 processor has SSE2.
    unsafe {
        sse2(chunk)
    }
}

/// A bit for each byte up to the space.
#[cfg(not(target_arch = "x86_64"))]
fn separators(chunk: [u8; 16]) -> u64 {
    chunk.iter().enumerate().fold(0, |bits, (i, byte)| bits | u64::from(*byte <= b' ') << i)
}

/// Calls `f` with the start and the end of every word.
#[inline(always)]
fn each_word(text: &[u8], mut f: impl FnMut(usize, usize)) {
    let (mut inside, mut start) = (0u64, 0usize);
    let (blocks, rest) = text.as_chunks::<64>();
    let mut padded = [b' '; 64];
    padded[..rest.len()].copy_from_slice(rest);
    for (number, block) in blocks.iter().chain([&padded]).enumerate() {
        let mut words = !0;
        for (i, chunk) in block.as_chunks::<16>().0.iter().enumerate() {
            words ^= separators(*chunk) << (16 * i);
        }
        let shifted = words << 1 | inside;
        let was_inside = inside != 0;
        inside = words >> 63;
        let (mut starts, mut ends) = (words & !shifted, shifted & !words);
        let base = number * 64;
        if was_inside && ends != 0 {
            f(start, base + ends.trailing_zeros() as usize);
            ends &= ends - 1;
        }
        while ends != 0 {
            f(base + starts.trailing_zeros() as usize, base + ends.trailing_zeros() as usize);
            starts &= starts - 1;
            ends &= ends - 1;
        }
        if starts != 0 {
            start = base + starts.trailing_zeros() as usize;
        }
    }
    if inside != 0 {
        f(start, text.len());
    }
}

impl ExpertCounts {
    /// Adds to the key at this place in a text.
    #[inline(always)]
    fn gather(&mut self, text: &[u8], start: usize, end: usize, n: u64) {
        let len = end - start;
        if len == 0 || len > 16 {
            return self.add_long(&text[start..end], n);
        }
        let bytes = match text[start..].first_chunk::<16>() {
            Some(bytes) => *bytes,
            None => {
                let mut bytes = [0; 16];
                bytes[..len].copy_from_slice(&text[start..end]);
                bytes
            }
        };
        let all = u128::from_le_bytes(bytes);
        let (lo, hi) = MASKS[len];
        self.push(Slot { lo: all as u64 & lo, hi: (all >> 64) as u64 & hi, len: len as u64, n });
    }

    #[inline(always)]
    fn push(&mut self, key: Slot) {
        self.gathered.push(key);
        if self.gathered.len() >= GROUP {
            self.flush();
        }
    }

    #[inline]
    fn flush(&mut self) {
        if (self.used + GROUP) * 2 > self.slots.len() {
            self.grow();
        }
        let mask = self.slots.len() - 1;
        let mut homes = [0; GROUP];
        for (key, home) in self.gathered.iter().zip(&mut homes) {
            *home = hash(key) as usize & mask;
            prefetch(&self.slots[*home]);
        }
        for (key, home) in self.gathered.iter().zip(&homes) {
            let mut at = *home;
            loop {
                let slot = &mut self.slots[at];
                if (slot.lo == key.lo) & (slot.hi == key.hi) & (slot.len == key.len) {
                    slot.n = slot.n.wrapping_add(key.n);
                    break;
                }
                if slot.len == 0 {
                    *slot = *key;
                    self.used += 1;
                    break;
                }
                at = (at + 1) & mask;
            }
        }
        self.gathered.clear();
    }

    #[cold]
    fn add_long(&mut self, key: &[u8], n: u64) {
        match self.long.get_mut(key) {
            Some(sum) => *sum = sum.wrapping_add(n),
            None => {
                self.long.insert(key.into(), n);
            }
        }
    }

    /// Grows the table, and drops keys with a sum of zero.
    #[cold]
    fn grow(&mut self) {
        let live = self.slots.iter().filter(|slot| slot.n != 0).count();
        let slots = ((live + GROUP) * 4).next_power_of_two().max(MIN_SLOTS);
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); slots]);
        self.used = live;
        for slot in old.into_iter().filter(|slot| slot.n != 0) {
            let mut at = hash(&slot) as usize & (slots - 1);
            while self.slots[at].len != 0 {
                at = (at + 1) & (slots - 1);
            }
            self.slots[at] = slot;
        }
    }

    fn add_all(&mut self, other: &Self, sign: impl Fn(u64) -> u64) {
        for slot in other.slots.iter().filter(|slot| slot.n != 0) {
            self.push(Slot { n: sign(slot.n), ..*slot });
        }
        self.flush();
        for (key, n) in &other.long {
            self.add_long(key, sign(*n));
        }
    }
}

impl Counts for ExpertCounts {
    fn add_words(&mut self, text: &[u8]) {
        each_word(text, |start, end| self.gather(text, start, end, 1));
        self.flush();
    }

    fn add_csv(&mut self, rows: &[u8]) {
        let mut from = 0;
        while from < rows.len() {
            let row = &rows[from..];
            let Some(url) = memchr::memchr(b',', row).map(|at| at + 1) else {
                break;
            };
            let Some(end) = memchr::memchr(b',', &row[url..]).map(|at| url + at) else {
                break;
            };
            let (mut n, mut at) = (0u64, end + 1);
            while let Some(digit @ b'0'..=b'9') = row.get(at) {
                n = n.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
                at += 1;
            }
            // A row without a number at its end, such as a header, is skipped.
            if matches!(row.get(at), None | Some(b'\n')) && at > end + 1 {
                self.gather(rows, from + url, from + end, n);
                from += at + 1;
            } else {
                from += memchr::memchr(b'\n', row).map_or(row.len(), |at| at + 1);
            }
        }
        self.flush();
    }

    fn merge(&mut self, other: &Self) {
        self.add_all(other, |n| n);
    }

    fn subtract(&mut self, other: &Self) {
        self.add_all(other, u64::wrapping_neg);
        self.long.retain(|_, n| *n != 0);
    }

    fn each(&self, mut f: impl FnMut(&[u8], u64)) {
        for slot in self.slots.iter().filter(|slot| slot.n != 0) {
            let key = (u128::from(slot.hi) << 64 | u128::from(slot.lo)).to_le_bytes();
            f(&key[..slot.len as usize], slot.n);
        }
        self.long.iter().for_each(|(key, n)| f(key, *n));
    }

    fn clear(&mut self) {
        self.slots.fill(Slot::default());
        self.used = 0;
        self.long.clear();
    }

    fn grep<'a>(text: &'a [u8], pattern: &str, mut f: impl FnMut(&'a [u8])) {
        let finder = Finder::new(pattern);
        let mut from = 0;
        while let Some(hit) = finder.find(&text[from..]).map(|at| from + at) {
            let start = memchr::memrchr(b'\n', &text[from..hit]).map_or(from, |at| from + at + 1);
            let end = memchr::memchr(b'\n', &text[hit..]).map_or(text.len(), |at| hit + at);
            f(&text[start..end]);
            from = end + 1;
            if from >= text.len() {
                break;
            }
        }
    }
}
