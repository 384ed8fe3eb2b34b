//! Compares dstream's collectors and splitters with hand-written loops, in memory, on one thread.
#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

use std::hint::black_box;
use std::time::Instant;

use clap::Parser;
use dstream_bench::data;
use dstream_runtime::exec::table::{Gather, KeyTable, hash_key};
use dstream_runtime::text;

/// Compares dstream's collectors and splitters with hand-written loops.
#[derive(Parser)]
struct Options {
    /// Lines of 100 bytes.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Only kernels with this in their name.
    #[arg(default_value = "")]
    only: String,
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut from = 0;
    memchr::memchr_iter(b'\n', text.as_bytes()).map(move |end| {
        let line = &text[from..end];
        from = end + 1;
        line
    })
}

struct PlainTable(
    hashbrown::HashTable<(String, u64)>,
    foldhash::fast::FixedState,
);
impl PlainTable {
    fn new() -> Self {
        Self(
            hashbrown::HashTable::new(),
            foldhash::fast::FixedState::default(),
        )
    }
    #[inline]
    fn add(&mut self, word: &str) {
        use std::hash::BuildHasher;
        let hash = self.1.hash_one(word);
        self.0
            .entry(
                hash,
                |(w, _)| w == word,
                |(w, _)| self.1.hash_one(w.as_str()),
            )
            .and_modify(|(_, n)| *n += 1)
            .or_insert_with(|| (word.to_owned(), 1));
    }
}

fn plain(text: &str) -> u64 {
    let mut table = PlainTable::new();
    for line in lines(text) {
        for w in line.split_ascii_whitespace() {
            table.add(w)
        }
    }
    table
        .0
        .iter()
        .map(|(w, n)| hash_key(w.as_bytes()).wrapping_mul(*n))
        .fold(0, u64::wrapping_add)
}
fn sum(table: &KeyTable<u64>) -> u64 {
    table
        .iter()
        .map(|(_, h, n)| h.wrapping_mul(*n))
        .fold(0, u64::wrapping_add)
}
fn ours(text: &str) -> u64 {
    let mut table = KeyTable::new();
    let mut gather = Gather::new();
    for line in lines(text) {
        for w in text::words(line) {
            if gather.push(w.as_bytes(), 1u64) {
                gather.drain(&mut table, |n| n, |a, n| *a += n)
            }
        }
    }
    gather.drain(&mut table, |n| n, |a, n| *a += n);
    sum(&table)
}
fn single(text: &str) -> u64 {
    let mut table = KeyTable::new();
    for line in lines(text) {
        for w in text::words(line) {
            let w = w.as_bytes();
            table.upsert_with(w, hash_key(w), 1u64, |n| n, |a, n| *a += n);
        }
    }
    sum(&table)
}
fn split_std(text: &str) -> u64 {
    let mut s = 0;
    for line in lines(text) {
        for w in line.split_ascii_whitespace() {
            s += black_box(w).len() as u64
        }
    }
    s
}
fn split_ours(text: &str) -> u64 {
    let mut s = 0;
    for line in lines(text) {
        for w in text::words(line) {
            s += black_box(w).len() as u64
        }
    }
    s
}
fn push_ours(text: &str) -> u64 {
    let mut gather = Gather::new();
    let mut s = 0;
    for line in lines(text) {
        for w in text::words(line) {
            if gather.push(w.as_bytes(), 1u64) {
                s += 32;
                gather = black_box(Gather::new())
            }
        }
    }
    s
}

#[derive(Clone, Copy, Default)]
struct Slot {
    lo: u64,
    hi: u64,
    len: u64,
    n: u64,
}
struct Inline {
    slots: Vec<Slot>,
    live: usize,
}
#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let p = u128::from(a) * u128::from(b);
    (p as u64) ^ ((p >> 64) as u64)
}
#[inline(always)]
fn mix(lo: u64, hi: u64, len: u64) -> u64 {
    fold(
        fold(lo ^ 0x243f_6a88_85a3_08d3, hi ^ 0x1319_8a2e_0370_7344) ^ len,
        0xa409_3822_299f_31d1,
    )
}
static MASK: [[u64; 2]; 17] = {
    let mut m = [[0u64; 2]; 17];
    let mut i = 1;
    while i <= 16 {
        let a = u128::MAX >> (128 - 8 * i);
        m[i] = [a as u64, (a >> 64) as u64];
        i += 1;
    }
    m
};
impl Inline {
    fn grow(&mut self) {
        let n = (self.slots.len() * 2).max(1024);
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); n]);
        for s in old {
            if s.len != 0 {
                let mut at = mix(s.lo, s.hi, s.len) as usize & (n - 1);
                while self.slots[at].len != 0 {
                    at = (at + 1) & (n - 1)
                }
                self.slots[at] = s;
            }
        }
    }
    #[inline(always)]
    fn flush(&mut self, g: &[(u64, u64, u64)]) {
        use std::arch::x86_64::*;
        if (self.live + 32) * 2 > self.slots.len() {
            self.grow()
        }
        let mask = self.slots.len() - 1;
        let mut h = [0u64; 32];
        for (i, (lo, hi, len)) in g.iter().enumerate() {
            h[i] = mix(*lo, *hi, *len);
            let at = &raw const self.slots[h[i] as usize & mask];
            #[allow(unsafe_code)]
            unsafe {
                _mm_prefetch::<_MM_HINT_T0>(at.cast())
            };
        }
        for (i, (lo, hi, len)) in g.iter().enumerate() {
            let mut at = h[i] as usize & mask;
            loop {
                let s = &mut self.slots[at];
                if (s.lo == *lo) & (s.hi == *hi) & (s.len == *len) {
                    s.n += 1;
                    break;
                }
                if s.len == 0 {
                    *s = Slot {
                        lo: *lo,
                        hi: *hi,
                        len: *len,
                        n: 1,
                    };
                    self.live += 1;
                    break;
                }
                at = (at + 1) & mask;
            }
        }
    }
}
fn expert(text: &str) -> u64 {
    let b = text.as_bytes();
    let mut t = Inline {
        slots: vec![],
        live: 0,
    };
    let mut g = [(0u64, 0u64, 0u64); 32];
    let mut k = 0;
    let base = b.as_ptr() as usize;
    for w in text::words(text) {
        let start = w.as_ptr() as usize - base;
        let len = w.len().min(16);
        let [lo, hi] = match b.get(start..start + 16) {
            Some(c) => [
                u64::from_le_bytes(c[..8].try_into().unwrap()),
                u64::from_le_bytes(c[8..].try_into().unwrap()),
            ],
            None => {
                let mut c = [0u8; 16];
                c[..len].copy_from_slice(&w.as_bytes()[..len]);
                [
                    u64::from_le_bytes(c[..8].try_into().unwrap()),
                    u64::from_le_bytes(c[8..].try_into().unwrap()),
                ]
            }
        };
        g[k] = (lo & MASK[len][0], hi & MASK[len][1], len as u64);
        k += 1;
        if k == 32 {
            t.flush(&g);
            k = 0
        }
    }
    t.flush(&g[..k]);
    t.slots
        .iter()
        .filter(|s| s.len != 0)
        .map(|s| {
            let mut c = [0u8; 16];
            c[..8].copy_from_slice(&s.lo.to_le_bytes());
            c[8..].copy_from_slice(&s.hi.to_le_bytes());
            hash_key(&c[..s.len as usize]).wrapping_mul(s.n)
        })
        .fold(0, u64::wrapping_add)
}

#[derive(Clone, Copy)]
struct Ent {
    key: [u8; 16],
    hash: u64,
    n: u64,
}
struct Dense {
    slots: Vec<u64>,
    ents: Vec<Ent>,
}
impl Dense {
    #[cold]
    fn grow(&mut self) {
        let n = (self.slots.len() * 2).max(1024);
        let old = std::mem::replace(&mut self.slots, vec![0; n]);
        for s in old {
            if s != 0 {
                let mut at = (s >> 32) as usize & (n - 1);
                while self.slots[at] != 0 {
                    at = (at + 1) & (n - 1)
                }
                self.slots[at] = s;
            }
        }
    }
    #[inline(always)]
    fn flush<const MODE: u32>(&mut self, g: &[(u64, u64, u64)]) {
        use std::arch::x86_64::*;
        if (self.ents.len() + 32) * 2 > self.slots.len() {
            self.grow()
        }
        let mask = self.slots.len() - 1;
        let mut h = [0u64; 32];
        for (i, (lo, hi, len)) in g.iter().enumerate() {
            h[i] = (mix(*lo, *hi, *len) & !31) | *len;
            if MODE & 1 != 0 {
                let at = &raw const self.slots[(h[i] >> 5) as usize & mask];
                #[allow(unsafe_code)]
                unsafe {
                    _mm_prefetch::<_MM_HINT_T0>(at.cast())
                };
            }
        }
        let mut cand = [0u32; 32];
        for i in 0..g.len() {
            let at = (h[i] >> 5) as usize & mask;
            let a = self.slots[at];
            let b = self.slots[(at + 1) & mask];
            let tag = (h[i] >> 5) as u32;
            let c = if MODE & 2 != 0 {
                if (a >> 32) as u32 == tag {
                    a as u32
                } else {
                    b as u32
                }
            } else {
                a as u32
            };
            cand[i] = c.wrapping_sub(1);
            if MODE & 4 != 0 {
                #[allow(unsafe_code)]
                unsafe {
                    _mm_prefetch::<_MM_HINT_T0>(
                        self.ents.as_ptr().wrapping_add(cand[i] as usize).cast(),
                    )
                };
            }
        }
        for (i, (lo, hi, len)) in g.iter().enumerate() {
            let key = ((u128::from(*hi) << 64) | u128::from(*lo)).to_le_bytes();
            if let Some(e) = self.ents.get_mut(cand[i] as usize) {
                if (e.key == key) & (e.hash == h[i]) {
                    e.n += 1;
                    continue;
                }
            }
            let tag = (h[i] >> 5) as u32;
            let mut at = tag as usize & mask;
            loop {
                let s = self.slots[at];
                if (s >> 32) as u32 == tag && s != 0 {
                    let e = &mut self.ents[(s as u32 - 1) as usize];
                    if (e.key == key) & (e.hash == h[i]) {
                        e.n += 1;
                        break;
                    }
                } else if s == 0 {
                    self.ents.push(Ent {
                        key,
                        hash: h[i],
                        n: 1,
                    });
                    self.slots[at] = (tag as u64) << 32 | self.ents.len() as u64;
                    break;
                }
                at = (at + 1) & mask;
            }
        }
    }
}
fn dense<const MODE: u32>(text: &str) -> u64 {
    let b = text.as_bytes();
    let mut t = Dense {
        slots: vec![],
        ents: vec![],
    };
    let mut g = [(0u64, 0u64, 0u64); 32];
    let mut k = 0;
    let base = b.as_ptr() as usize;
    for w in text::words(text) {
        let start = w.as_ptr() as usize - base;
        let len = w.len().min(16);
        let [lo, hi] = match b.get(start..start + 16) {
            Some(c) => [
                u64::from_le_bytes(c[..8].try_into().unwrap()),
                u64::from_le_bytes(c[8..].try_into().unwrap()),
            ],
            None => {
                let mut c = [0u8; 16];
                c[..len].copy_from_slice(&w.as_bytes()[..len]);
                [
                    u64::from_le_bytes(c[..8].try_into().unwrap()),
                    u64::from_le_bytes(c[8..].try_into().unwrap()),
                ]
            }
        };
        g[k] = (lo & MASK[len][0], hi & MASK[len][1], len as u64);
        k += 1;
        if k == 32 {
            t.flush::<MODE>(&g);
            k = 0
        }
    }
    t.flush::<MODE>(&g[..k]);
    t.ents
        .iter()
        .map(|s| hash_key(&s.key[..(s.hash & 31) as usize]).wrapping_mul(s.n))
        .fold(0, u64::wrapping_add)
}

fn dline<const MODE: u32>(text: &str) -> u64 {
    let b = text.as_bytes();
    let mut t = Dense {
        slots: vec![],
        ents: vec![],
    };
    let mut g = [(0u64, 0u64, 0u64); 32];
    let mut k = 0;
    let base = b.as_ptr() as usize;
    for line in lines(text) {
        for w in text::words(line) {
            let start = w.as_ptr() as usize - base;
            let len = w.len().min(16);
            let [lo, hi] = match b.get(start..start + 16) {
                Some(c) => [
                    u64::from_le_bytes(c[..8].try_into().unwrap()),
                    u64::from_le_bytes(c[8..].try_into().unwrap()),
                ],
                None => {
                    let mut c = [0u8; 16];
                    c[..len].copy_from_slice(&w.as_bytes()[..len]);
                    [
                        u64::from_le_bytes(c[..8].try_into().unwrap()),
                        u64::from_le_bytes(c[8..].try_into().unwrap()),
                    ]
                }
            };
            g[k] = (lo & MASK[len][0], hi & MASK[len][1], len as u64);
            k += 1;
            if k == 32 {
                t.flush::<MODE>(&g);
                k = 0
            }
        }
    }
    t.flush::<MODE>(&g[..k]);
    t.ents
        .iter()
        .map(|s| hash_key(&s.key[..(s.hash & 31) as usize]).wrapping_mul(s.n))
        .fold(0, u64::wrapping_add)
}

fn main() {
    let options = Options::parse();
    let mut bytes = Vec::new();
    data::write_words(options.rows, 1, &mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let kernels: [(&str, fn(&str) -> u64); 15] = [
        ("split_std", split_std),
        ("split_ours", split_ours),
        ("push", push_ours),
        ("plain", plain),
        ("single", single),
        ("ours", ours),
        ("expert", expert),
        ("dlinee7", dline::<7>),
        ("dlinee0", dline::<0>),
        ("dense0", dense::<0>),
        ("dense1", dense::<1>),
        ("dense2", dense::<2>),
        ("dense3", dense::<3>),
        ("dense4", dense::<4>),
        ("dense7", dense::<7>),
    ];
    let mut times = vec![vec![]; kernels.len()];
    let mut sums = vec![0; kernels.len()];
    for _ in 0..15 {
        for (i, (name, kernel)) in kernels.iter().enumerate() {
            if !options.only.is_empty() && !options.only.split(',').any(|only| only == *name) {
                continue;
            }
            let start = Instant::now();
            sums[i] = kernel(black_box(&text));
            times[i].push(start.elapsed().as_secs_f64());
        }
    }
    for (i, (name, _)) in kernels.iter().enumerate() {
        if times[i].is_empty() {
            continue;
        }
        times[i].sort_by(f64::total_cmp);
        println!(
            "{name:12} {:6.2}M lines/s  (best {:6.2}) sum {:x}",
            options.rows as f64 / times[i][7] / 1e6,
            options.rows as f64 / times[i][0] / 1e6,
            sums[i]
        );
    }
}
