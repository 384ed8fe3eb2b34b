//! Counts, sums, means, variances.

use super::floats::{Exact, add, exact, rounded, two_product};
use super::{Accumulator, Aggregate, Kind, Partial};
use crate::record::{List, Record};

/// See [`count()`].
#[derive(Debug, Clone, Copy)]
pub struct Count;

/// How many values there are, as `u64`.
#[must_use]
pub fn count() -> Count {
    Count
}

/// Adds numbers up.
#[derive(Debug)]
pub struct Adds;

impl Kind<u64> for Adds {
    type Output = u64;
    #[inline]
    fn merge(into: &mut u64, other: u64) {
        *into += other;
    }
    fn finish(view: u64) -> u64 {
        view
    }
}

impl<In: Record> Aggregate<In> for Count {
    type Acc = Partial<u64, Adds>;
    #[inline]
    fn begin(&self, _: In::View<'_>) -> Self::Acc {
        Partial::new(1)
    }
}

/// See [`sum()`].
#[derive(Debug, Clone, Copy)]
pub struct Sum;

/// The sum of numbers: of integers in their own type, of floats as `f64`, rounded once.
///
/// A sum of integers that does not fit its type stops the job with an error.
#[must_use]
pub fn sum() -> Sum {
    Sum
}

/// A number that can be added up.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no number to add up",
    note = "sums, means and variances take integers and floats: return one from the closure, as in `agg::mean(|value| value.celsius)`"
)]
pub trait Summed: Record {
    /// What sums are kept in.
    type Acc: Accumulator;
    /// The sum of one.
    fn summed(view: Self::View<'_>) -> Self::Acc;
    /// As a float, the nearest one of a large integer.
    fn float(view: Self::View<'_>) -> f64;
}

/// Adds integers up, which must fit.
#[derive(Debug)]
pub struct Fits;

macro_rules! integers {
    ($($int:ty)*) => {$(
        impl Kind<$int> for Fits {
            type Output = $int;
            #[inline]
            fn merge(into: &mut $int, other: $int) {
                let sum = into.checked_add(other);
                *into = sum.unwrap_or_else(|| panic!("agg::sum: {into} + {other} does not fit {}", stringify!($int)));
            }
            fn finish(view: $int) -> $int {
                view
            }
        }

        impl Summed for $int {
            type Acc = Partial<$int, Fits>;
            fn summed(view: $int) -> Self::Acc {
                Partial::new(view)
            }
            fn float(view: $int) -> f64 {
                view as f64
            }
        }
    )*};
}

integers!(i8 i16 i32 i64 u8 u16 u32 u64);

/// Adds floats up.
#[derive(Debug)]
pub struct Floats;

/// A view of exact partials.
type ExactView<'a> = (List<'a, f64>, f64);

fn take_in(into: &mut Exact, (partials, special): ExactView<'_>) {
    partials.iter().for_each(|partial| add(into, partial));
    into.1 += special;
}

fn value((partials, special): ExactView<'_>) -> f64 {
    let partials: Vec<f64> = partials.iter().collect();
    rounded(partials.into_iter(), special)
}

impl Kind<Exact> for Floats {
    type Output = f64;
    fn merge(into: &mut Exact, other: ExactView<'_>) {
        take_in(into, other);
    }
    fn finish(view: ExactView<'_>) -> f64 {
        value(view)
    }
}

impl Summed for f64 {
    type Acc = Partial<Exact, Floats>;
    fn summed(view: f64) -> Self::Acc {
        Partial::new(exact(view))
    }
    fn float(view: f64) -> f64 {
        view
    }
}

impl Summed for f32 {
    type Acc = Partial<Exact, Floats>;
    fn summed(view: f32) -> Self::Acc {
        Partial::new(exact(view.into()))
    }
    fn float(view: f32) -> f64 {
        view.into()
    }
}

impl<In: Summed> Aggregate<In> for Sum {
    type Acc = In::Acc;
    #[inline]
    fn begin(&self, value: In::View<'_>) -> In::Acc {
        In::summed(value)
    }
}

/// See [`mean()`].
#[derive(Debug, Clone, Copy)]
pub struct Mean;

/// The mean of numbers, as `f64`: their exact sum, rounded once, by their number.
#[must_use]
pub fn mean() -> Mean {
    Mean
}

/// Sum and number.
#[derive(Debug)]
pub struct Averages;

impl Kind<(Exact, u64)> for Averages {
    type Output = f64;
    fn merge(into: &mut (Exact, u64), (sum, count): (ExactView<'_>, u64)) {
        take_in(&mut into.0, sum);
        into.1 += count;
    }
    fn finish((sum, count): (ExactView<'_>, u64)) -> f64 {
        value(sum) / count as f64
    }
}

impl<In: Summed> Aggregate<In> for Mean {
    type Acc = Partial<(Exact, u64), Averages>;
    fn begin(&self, value: In::View<'_>) -> Self::Acc {
        Partial::new((exact(In::float(value)), 1))
    }
}

/// See [`variance()`].
#[derive(Debug, Clone, Copy)]
pub struct Variance;

/// The variance of numbers, as `f64`: the mean squared distance from their mean (of a population: divided by their
/// number). It is computed of exact sums, so that nothing is lost where the numbers are close to each other.
#[must_use]
pub fn variance() -> Variance {
    Variance
}

/// Sum, sum of squares, and number.
#[derive(Debug)]
pub struct Moments;

/// What [`Moments`] keeps.
type OfMoments = (Exact, Exact, u64);

impl Kind<OfMoments> for Moments {
    type Output = f64;
    fn merge(into: &mut OfMoments, other: (ExactView<'_>, ExactView<'_>, u64)) {
        take_in(&mut into.0, other.0);
        take_in(&mut into.1, other.1);
        into.2 += other.2;
    }
    /// `(n Σx² - (Σx)²) / n²`, whose numerator is exact before it is rounded.
    fn finish((sum, squares, count): (ExactView<'_>, ExactView<'_>, u64)) -> f64 {
        if sum.1 != 0.0 || squares.1 != 0.0 {
            return f64::NAN;
        }
        let n = count as f64;
        let mut numerator = (Vec::new(), 0.0);
        let mut add_product = |a: f64, b: f64| {
            let (product, rest) = two_product(a, b);
            add(&mut numerator, product);
            add(&mut numerator, rest);
        };
        squares.0.iter().for_each(|square| add_product(n, square));
        for a in sum.0 {
            sum.0.iter().for_each(|b| add_product(-a, b));
        }
        let numerator = rounded(numerator.0.into_iter(), numerator.1);
        (numerator / n / n).max(0.0)
    }
}

impl<In: Summed> Aggregate<In> for Variance {
    type Acc = Partial<OfMoments, Moments>;
    fn begin(&self, value: In::View<'_>) -> Self::Acc {
        let x = In::float(value);
        let (square, rest) = two_product(x, x);
        let mut squares = exact(square);
        if square.is_finite() {
            add(&mut squares, rest);
        }
        Partial::new((exact(x), squares, 1))
    }
}
