//! Zipf's distribution: rank k comes 1/k times as often as rank 1.
//!
//! Drawn by Walker's alias method (built after Vose): two loads and one comparison per draw, for
//! any number of ranks.

/// A table to draw ranks from, counted from 0.
pub(super) struct Zipf {
    slots: Vec<Slot>,
}

#[derive(Clone, Copy)]
struct Slot {
    /// Below this the slot's own rank is drawn, else the alias.
    threshold: u32,
    alias: u32,
}

impl Zipf {
    /// A table of `ranks` ranks, at least one and fewer than 2³².
    pub(super) fn new(ranks: usize) -> Self {
        let total: f64 = (1..=ranks).map(|rank| 1.0 / rank as f64).sum();
        // How often each rank is drawn, as a multiple of the mean.
        let mut share: Vec<f64> =
            (1..=ranks).map(|rank| ranks as f64 / (rank as f64 * total)).collect();
        let mut slots: Vec<Slot> =
            (0..ranks).map(|rank| Slot { threshold: u32::MAX, alias: rank as u32 }).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..ranks).partition(|rank| share[*rank] < 1.0);
        while let (Some(poor), Some(rich)) = (small.pop(), large.pop()) {
            let threshold = (share[poor] * f64::from(u32::MAX)) as u32;
            slots[poor] = Slot { threshold, alias: rich as u32 };
            share[rich] -= 1.0 - share[poor];
            if share[rich] < 1.0 { small.push(rich) } else { large.push(rich) }
        }
        Self { slots }
    }

    /// The rank that belongs to a random number.
    #[inline(always)]
    pub(super) fn rank(&self, draw: u64) -> usize {
        let slot = (((draw >> 32) * self.slots.len() as u64) >> 32) as usize;
        let Slot { threshold, alias } = self.slots[slot];
        if (draw as u32) < threshold { slot } else { alias as usize }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::generate::Draws;

    #[test]
    fn frequencies_fall_with_the_rank() {
        const DRAWS: u32 = 1_000_000;
        let (zipf, mut draws) = (Zipf::new(1000), Draws::new(1, 1));
        let mut counts = vec![0_u32; 1000];
        for _ in 0..DRAWS {
            counts[zipf.rank(draws.next())] += 1;
        }
        let total: f64 = (1..=1000).map(|rank| 1.0 / f64::from(rank)).sum();
        for rank in [1_u32, 2, 3, 10, 100, 1000] {
            let expected = f64::from(DRAWS) / (f64::from(rank) * total);
            let got = f64::from(counts[rank as usize - 1]);
            assert!(
                (got - expected).abs() < 5.0 * expected.sqrt(),
                "{rank}: {got}, not {expected}"
            );
        }
    }

    #[test]
    fn one_rank() {
        let zipf = Zipf::new(1);
        assert_eq!([0, u64::MAX / 2, u64::MAX].map(|draw| zipf.rank(draw)), [0; 3]);
    }
}
