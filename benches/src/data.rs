//! Data for benchmarks; the same bytes on every machine.
//!
//! Words have 2 to 12 letters and a Zipf distribution with exponent 1 over [`WORDS`] words. Only additions,
//! multiplications and divisions of floats are used, which every machine rounds alike.

use std::io::{self, Write};

/// Number of distinct words.
pub const WORDS: u32 = 100_000;

/// Bytes per line of text, with its newline.
pub const LINE: usize = 100;

/// Of 100 words, how many have 2, 3, … 12 letters.
const LENGTHS: [u64; 11] = [3, 8, 12, 13, 14, 14, 12, 10, 7, 4, 3];

/// Steele and Vigna's SplitMix generator: small, and sufficient for data.
#[derive(Debug, Clone)]
pub struct SplitMix(u64);

impl SplitMix {
    /// Starts from a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A random number below `end`.
    #[inline]
    pub fn below(&mut self, end: u32) -> u32 {
        (((self.next_u64() >> 32) * u64::from(end)) >> 32) as u32
    }
}

/// The word of a rank; 0 is the most frequent.
#[must_use]
pub fn word(rank: u32) -> String {
    let mut random = SplitMix::new(u64::from(rank));
    let mut ticket = random.next_u64() % 100;
    let mut len = 2;
    for share in LENGTHS {
        if ticket < share {
            break;
        }
        ticket -= share;
        len += 1;
    }
    (0..len).map(|_| char::from(b'a' + random.below(26) as u8)).collect()
}

/// Draws ranks with probability proportional to 1 / (rank + 1), by Vose's alias method.
#[derive(Debug)]
pub struct Zipf {
    /// Per column: the share of its own rank, of 2^32, and the rank of the rest.
    columns: Vec<(u32, u32)>,
}

impl Zipf {
    /// The distribution over that many ranks.
    #[must_use]
    pub fn new(ranks: u32) -> Self {
        let total: f64 = (1..=ranks).map(|rank| 1.0 / f64::from(rank)).sum();
        let scale = f64::from(ranks) / total;
        let mut weights: Vec<f64> = (1..=ranks).map(|rank| scale / f64::from(rank)).collect();
        let (mut small, mut large): (Vec<u32>, Vec<u32>) =
            (0..ranks).partition(|rank| weights[*rank as usize] < 1.0);
        let mut columns: Vec<_> = (0..ranks).map(|rank| (u32::MAX, rank)).collect();
        while let (Some(less), Some(more)) = (small.pop(), large.pop()) {
            let share = weights[less as usize];
            columns[less as usize] = ((share * 4_294_967_296.0) as u32, more);
            weights[more as usize] -= 1.0 - share;
            let side = if weights[more as usize] < 1.0 { &mut small } else { &mut large };
            side.push(more);
        }
        Self { columns }
    }

    /// Draws a rank.
    #[inline]
    pub fn draw(&self, random: &mut SplitMix) -> u32 {
        let column = random.below(self.columns.len() as u32);
        let (share, other) = self.columns[column as usize];
        if (random.next_u64() >> 32) as u32 <= share { column } else { other }
    }
}

/// Writes lines of words, each of [`LINE`] bytes, padded with spaces.
///
/// # Errors
/// When `out` fails.
pub fn write_words(rows: u64, seed: u64, out: &mut impl Write) -> io::Result<()> {
    let vocabulary: Vec<String> = (0..WORDS).map(word).collect();
    let zipf = Zipf::new(WORDS);
    let mut random = SplitMix::new(seed);
    let mut line = Vec::with_capacity(LINE);
    for _ in 0..rows {
        line.clear();
        loop {
            let word = &vocabulary[zipf.draw(&mut random) as usize];
            if line.len() + word.len() > LINE - 1 {
                break;
            }
            line.extend_from_slice(word.as_bytes());
            if line.len() == LINE - 1 {
                break;
            }
            line.push(b' ');
        }
        line.resize(LINE - 1, b' ');
        line.push(b'\n');
        out.write_all(&line)?;
    }
    Ok(())
}

/// Writes a header and rows of `user_id,url,bytes`: a million users, [`WORDS`] pages.
///
/// # Errors
/// When `out` fails.
pub fn write_csv(rows: u64, seed: u64, out: &mut impl Write) -> io::Result<()> {
    let zipf = Zipf::new(WORDS);
    let mut random = SplitMix::new(seed);
    writeln!(out, "user_id,url,bytes")?;
    for _ in 0..rows {
        let (user, bytes) = (random.below(1_000_000), 200 + random.below(100_000));
        let page = zipf.draw(&mut random);
        writeln!(out, "{user},/{}/{}.html,{bytes}", page % 97, word(page))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_their_length_and_repeat() {
        let mut first = Vec::new();
        write_words(1000, 1, &mut first).unwrap();
        let mut second = Vec::new();
        write_words(1000, 1, &mut second).unwrap();
        assert_eq!(first, second);
        assert!(first.chunks(LINE).all(|line| line.len() == LINE && line.ends_with(b"\n")));
        assert_eq!(first.iter().filter(|byte| **byte == b'\n').count(), 1000);
    }

    #[test]
    fn frequencies_fall_with_rank() {
        let (zipf, mut random) = (Zipf::new(1000), SplitMix::new(7));
        let mut counts = vec![0u32; 1000];
        for _ in 0..1_000_000 {
            counts[zipf.draw(&mut random) as usize] += 1;
        }
        // The 1000th harmonic number is 7.485.
        for rank in [0usize, 1, 4, 20, 100] {
            let expected = 1_000_000.0 / 7.485 / (rank + 1) as f64;
            assert!((f64::from(counts[rank]) / expected - 1.0).abs() < 0.1, "{rank}");
        }
    }
}
