//! Exact sums of floats: results do not depend on the order of additions.
//!
//! A sum is kept as floats that do not overlap, the *partials*, whose exact sum it is (J. R. Shewchuk, "Adaptive Precision
//! Floating-Point Arithmetic and Fast Robust Geometric Predicates", 1997). It is rounded once, when it is read, half to
//! even, as Python's `math.fsum` does.

/// Partials, in order of magnitude, and the sum of what is not finite, 0 if all is.
///
/// A sum beyond the largest float becomes infinite.
pub(super) type Exact = (Vec<f64>, f64);

/// That of one value.
pub(super) fn exact(value: f64) -> Exact {
    let mut sum = (Vec::new(), 0.0);
    add(&mut sum, value);
    sum
}

/// The sum of two floats, and what rounding has taken from it.
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let (large, small) = if a.abs() < b.abs() { (b, a) } else { (a, b) };
    let sum = large + small;
    (sum, small - (sum - large))
}

/// The product of two floats, and what rounding has taken from it.
pub(super) fn two_product(a: f64, b: f64) -> (f64, f64) {
    let product = a * b;
    (product, a.mul_add(b, -product))
}

/// Adds a value.
pub(super) fn add((partials, special): &mut Exact, value: f64) {
    if !value.is_finite() {
        *special += value;
        return;
    }
    let (mut sum, mut kept) = (value, 0);
    for at in 0..partials.len() {
        let (high, low) = two_sum(sum, partials[at]);
        if low != 0.0 {
            partials[kept] = low;
            kept += 1;
        }
        sum = high;
    }
    partials.truncate(kept);
    if sum.is_finite() {
        // No partial is 0.
        if sum != 0.0 {
            partials.push(sum);
        }
    } else {
        partials.clear();
        *special += sum;
    }
}

/// The sum, rounded once.
pub(super) fn rounded(partials: impl DoubleEndedIterator<Item = f64>, special: f64) -> f64 {
    if special != 0.0 {
        // The sign of NaN means nothing.
        return if special.is_nan() { f64::NAN } else { special };
    }
    let mut partials = partials.rev();
    let Some(mut high) = partials.next() else { return 0.0 };
    let mut low = 0.0;
    for partial in partials.by_ref() {
        let sum = high + partial;
        low = partial - (sum - high);
        high = sum;
        if low != 0.0 {
            break;
        }
    }
    // Half-way cases go by what lies below.
    if let Some(below) = partials.next()
        && ((low < 0.0 && below < 0.0) || (low > 0.0 && below > 0.0))
    {
        let (twice, sum) = (low * 2.0, high + low * 2.0);
        if twice == sum - high {
            high = sum;
        }
    }
    high
}
