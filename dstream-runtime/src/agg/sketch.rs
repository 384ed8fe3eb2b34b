//! Quantiles, about.

use super::sums::Summed;
use super::{Aggregate, Kind, Partial};
use crate::record::List;

/// See [`quantile()`].
#[derive(Debug, Clone, Copy)]
pub struct Quantile(f64);

/// About the value below which a part `q` of the values lies, as `f64`: 0.5 is the median, 0.95 the 95th percentile. The
/// result is within 1 % of the value at that rank.
///
/// DDSketch (C. Masson, J. E. Rim, H. K. Lee, 2019), without a bound on its buckets: values are counted by the power of
/// 1.02 that they are near. It keeps 12 bytes per bucket that has a value, 1,400 for values from a microsecond to an hour.
/// NaN is left out; without any value the result is NaN.
///
/// # Panics
/// If `q` is not between 0 and 1.
#[must_use]
pub fn quantile(q: f64) -> Quantile {
    assert!((0.0..=1.0).contains(&q), "agg::quantile: {q} is not between 0 and 1");
    Quantile(q)
}

/// How far a result may be off, as a part of it.
const ERROR: f64 = 0.01;
/// The logarithm of the ratio of two buckets.
const WIDTH: f64 = 0.020_000_666_706_669_435;

/// Values that are not 0 by their bucket: the bucket, and how many.
type Buckets = Vec<(i32, u64)>;

/// The quantile that is asked for; the values below, at and above 0.
type Sketch = (f64, Buckets, u64, Buckets);

/// Counts values by bucket.
#[derive(Debug, Clone, Copy)]
pub struct Counts;

impl<In: Summed> Aggregate<In> for Quantile {
    type Acc = Partial<Sketch, Counts>;
    fn begin(&self, value: In::View<'_>) -> Self::Acc {
        let value = In::float(value);
        let mut sketch = (self.0, Vec::new(), 0, Vec::new());
        if value == 0.0 {
            sketch.2 = 1;
        } else if value < 0.0 {
            sketch.1.push((bucket(-value), 1));
        } else if value > 0.0 {
            sketch.3.push((bucket(value), 1));
        }
        Partial::new(sketch)
    }
}

/// The bucket of a value above 0: it holds what is up to `exp(bucket * WIDTH)`.
fn bucket(value: f64) -> i32 {
    // The greatest float is taken for infinity.
    (value.min(f64::MAX).ln() / WIDTH).ceil() as i32
}

/// The value that is no further than `ERROR` from all values of a bucket.
fn value_of(bucket: i32) -> f64 {
    (f64::from(bucket) * WIDTH).exp() * (1.0 - ERROR)
}

fn take_in(into: &mut Buckets, more: List<'_, (i32, u64)>) {
    for (bucket, count) in more {
        match into.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) => into[at].1 += count,
            Err(at) => into.insert(at, (bucket, count)),
        }
    }
}

/// A view of a sketch.
type SketchView<'a> = (f64, List<'a, (i32, u64)>, u64, List<'a, (i32, u64)>);

impl Kind<Sketch> for Counts {
    type Output = f64;
    fn merge(into: &mut Sketch, (_, below, zeros, above): SketchView<'_>) {
        take_in(&mut into.1, below);
        into.2 += zeros;
        take_in(&mut into.3, above);
    }
    fn finish((q, below, zeros, above): SketchView<'_>) -> f64 {
        let counted = |buckets: List<'_, (i32, u64)>| buckets.iter().map(|(_, n)| n).sum::<u64>();
        let all = counted(below) + zeros + counted(above);
        if all == 0 {
            return f64::NAN;
        }
        // The rank from 0 on; the lower one of two.
        let rank = (q * (all - 1) as f64).floor() as u64;
        let mut seen = 0;
        let mut below: Vec<(i32, u64)> = below.iter().collect();
        below.reverse();
        let below = below.into_iter().map(|(bucket, n)| (-value_of(bucket), n));
        let above = above.iter().map(|(bucket, n)| (value_of(bucket), n));
        for (value, n) in below.chain([(0.0, zeros)]).chain(above) {
            seen += n;
            if seen > rank {
                return value;
            }
        }
        f64::NAN
    }
}
