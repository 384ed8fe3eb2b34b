//! How many different values there are, exactly and about.

use xxhash_rust::xxh3::xxh3_64;

use super::{Aggregate, Kind, Partial};
use crate::record::{Key, List, Record};

/// See [`distinct()`].
#[derive(Debug, Clone, Copy)]
pub struct Distinct;

/// How many different values there are, as `u64`. All of them are kept; see [`approx_distinct()`] for many.
#[must_use]
pub fn distinct() -> Distinct {
    Distinct
}

/// Keeps each value once, in order.
#[derive(Debug, Clone, Copy)]
pub struct Each;

impl<T: Record> Kind<Vec<T>> for Each {
    type Output = u64;
    fn merge(into: &mut Vec<T>, more: List<'_, T>) {
        if more.len() < 8 {
            for value in more {
                let at = into.binary_search_by(|kept| T::compare(kept.view(), value));
                if let Err(at) = at {
                    into.insert(at, T::own(value));
                }
            }
            return;
        }
        into.extend(more.iter().map(T::own));
        into.sort_by(|a, b| T::compare(a.view(), b.view()));
        into.dedup_by(|a, b| T::compare(a.view(), b.view()).is_eq());
    }
    fn finish(view: List<'_, T>) -> u64 {
        view.len() as u64
    }
}

impl<T: Record> Aggregate<T> for Distinct {
    type Acc = Partial<Vec<T>, Each>;
    fn begin(&self, value: T::View<'_>) -> Self::Acc {
        Partial::new(vec![T::own(value)])
    }
}

/// See [`approx_distinct()`].
#[derive(Debug, Clone, Copy)]
pub struct ApproxDistinct;

/// About how many different values there are, as `u64`: the standard error is 1.6 %. It keeps 4 KiB at most.
///
/// HyperLogLog with 4096 registers (Flajolet et al. 2007), estimated as by O. Ertl, "New cardinality estimation
/// algorithms for HyperLogLog sketches", 2017. The hash is that of the value's key bytes, so the result depends on the values
/// alone.
#[must_use]
pub fn approx_distinct() -> ApproxDistinct {
    ApproxDistinct
}

/// The number of registers is 2 to this power.
const BITS: u32 = 12;
/// The number of registers.
const REGISTERS: usize = 1 << BITS;
/// The greatest value of a register.
const GREATEST: usize = 64 - BITS as usize + 1;
/// Registers are listed as long as there are no more than this many.
const LISTED: usize = REGISTERS / 4;

/// Registers that are not 0, by number, while they are few; or all of them.
type Registers = (Vec<(u16, u8)>, Vec<u8>);

/// Keeps the greatest of each register.
#[derive(Debug, Clone, Copy)]
pub struct Sketch;

impl<T: Key> Aggregate<T> for ApproxDistinct {
    type Acc = Partial<Registers, Sketch>;
    fn begin(&self, value: T::View<'_>) -> Self::Acc {
        let mut bytes = Vec::with_capacity(16);
        T::write(value, &mut bytes);
        let hash = xxh3_64(&bytes);
        let register = (hash >> (64 - BITS)) as u16;
        // The bits below the register's number; a 1 behind them ends the run.
        let rank = ((hash << BITS) | (1 << (BITS - 1))).leading_zeros() as u8 + 1;
        Partial::new((vec![(register, rank)], Vec::new()))
    }
}

fn raise((listed, all): &mut Registers, register: u16, rank: u8) {
    if !all.is_empty() {
        let kept = &mut all[usize::from(register)];
        *kept = rank.max(*kept);
        return;
    }
    match listed.binary_search_by_key(&register, |(register, _)| *register) {
        Ok(at) => listed[at].1 = rank.max(listed[at].1),
        Err(at) => listed.insert(at, (register, rank)),
    }
    if listed.len() > LISTED {
        all.resize(REGISTERS, 0);
        listed.drain(..).for_each(|(register, rank)| all[usize::from(register)] = rank);
    }
}

impl Kind<Registers> for Sketch {
    type Output = u64;
    fn merge(into: &mut Registers, (listed, all): (List<'_, (u16, u8)>, List<'_, u8>)) {
        listed.iter().for_each(|(register, rank)| raise(into, register, rank));
        for (register, rank) in (0..).zip(all) {
            if rank > 0 {
                raise(into, register, rank);
            }
        }
    }
    fn finish((listed, all): (List<'_, (u16, u8)>, List<'_, u8>)) -> u64 {
        let mut counts = [0u32; GREATEST + 1];
        listed.iter().for_each(|(_, rank)| counts[usize::from(rank).min(GREATEST)] += 1);
        all.iter().for_each(|rank| counts[usize::from(rank).min(GREATEST)] += 1);
        if all.is_empty() {
            counts[0] = (REGISTERS - listed.len()) as u32;
        }
        estimate(&counts)
    }
}

/// Ertl's improved raw estimate, algorithm 6, of how many registers have each value.
fn estimate(counts: &[u32; GREATEST + 1]) -> u64 {
    let m = REGISTERS as f64;
    let mut z = m * tau(1.0 - f64::from(counts[GREATEST]) / m);
    for count in counts[1..GREATEST].iter().rev() {
        z = 0.5 * (z + f64::from(*count));
    }
    z += m * sigma(f64::from(counts[0]) / m);
    (m * m / (2.0 * std::f64::consts::LN_2 * z)).round() as u64
}

fn sigma(x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut x, mut y, mut z) = (x, 1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z <= before {
            return z;
        }
    }
}

fn tau(x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut x, mut y, mut z) = (x, 1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z >= before {
            return z / 3.0;
        }
    }
}
