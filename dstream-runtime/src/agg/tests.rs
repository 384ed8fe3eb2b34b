//! Each aggregate against a few lines on whole lists, in many orders and groupings of merges.

use proptest::prelude::*;

use super::*;

/// What an aggregate makes of values, merged in groups of that size, in an order that follows from `seed`.
fn of<In: Record, A: Aggregate<In>>(
    aggregate: &A,
    values: &[In],
    group: usize,
    seed: u64,
) -> <A::Acc as Accumulator>::Output {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by_key(|n| (*n as u64 + 1).wrapping_mul(seed | 1).rotate_left(21));
    let whole = order.chunks(group).map(|chunk| {
        let accs = chunk.iter().map(|n| aggregate.begin(values[*n].view()));
        accs.reduce(|mut a, b| {
            a.merge(b.view());
            a
        })
    });
    let whole = whole.flatten().reduce(|mut a, b| {
        a.merge(b.view());
        a
    });
    A::Acc::finish(whole.expect("there are values").view())
}

/// The exact sum of floats as a ratio of integers: each is an integer times a power of two.
fn exact_sum(values: &[f64]) -> f64 {
    // Values are multiples of 2^-20 below 2^80, so their sum fits 128 bits.
    let scaled: i128 = values.iter().map(|value| (value * 1_048_576.0) as i128).sum();
    scaled as f64 / 1_048_576.0
}

/// Floats of very different sizes, as multiples of 2^-20.
fn float() -> impl Strategy<Value = f64> {
    (-1_000_000i64..1_000_000, 0u32..60).prop_map(|(n, by)| n as f64 * 2f64.powi(by as i32 - 20))
}

proptest! {
    #[test]
    fn sums_and_means_are_exact_in_any_order(
        values in prop::collection::vec(float(), 1..60),
        group in 1usize..9,
        seed: u64,
    ) {
        let expected = exact_sum(&values);
        prop_assert_eq!(of(&sum(), &values, group, seed).to_bits(), (expected + 0.0).to_bits());
        prop_assert_eq!(of(&mean(), &values, group, seed), expected / values.len() as f64);
    }

    #[test]
    fn a_variance_loses_nothing_to_a_large_mean(
        small in prop::collection::vec(-50i64..50, 1..40),
        group in 1usize..9,
        seed: u64,
    ) {
        // Moved far away: a naive formula would have no digit right.
        let values: Vec<f64> = small.iter().map(|n| *n as f64 + 1e12).collect();
        let n = small.len() as i64;
        let (sum, squares): (i64, i64) = (small.iter().sum(), small.iter().map(|x| x * x).sum());
        let expected = (n * squares - sum * sum) as f64 / (n * n) as f64;
        let found = of(&variance(), &values, group, seed);
        prop_assert!((found - expected).abs() <= expected * 1e-14, "{} {}", found, expected);
    }

    #[test]
    fn extremes_and_counts_are_those_of_the_list(
        values in prop::collection::vec((0u64..9, "[a-c]{0,2}"), 1..60),
        group in 1usize..9,
        seed: u64,
        k in 0u32..5,
    ) {
        let mut sorted = values.clone();
        sorted.sort();
        prop_assert_eq!(of(&count(), &values, group, seed), values.len() as u64);
        prop_assert_eq!(&of(&max(), &values, group, seed), &sorted[sorted.len() - 1]);
        prop_assert_eq!(&of(&min(), &values, group, seed), &sorted[0]);
        prop_assert_eq!(&of(&max_by(), &values, group, seed), &sorted[sorted.len() - 1].1);
        prop_assert_eq!(&of(&min_by(), &values, group, seed), &sorted[0].1);
        let best: Vec<(u64, String)> = sorted.iter().rev().take(k as usize).cloned().collect();
        prop_assert_eq!(of(&top_k(k), &values, group, seed), best);
        sorted.dedup();
        prop_assert_eq!(of(&distinct(), &values, group, seed), sorted.len() as u64);
        // Two of them may share a register.
        prop_assert!(of(&approx_distinct(), &values, group, seed).abs_diff(sorted.len() as u64) <= 2);
    }

    #[test]
    fn a_quantile_is_within_a_hundredth_of_the_value_at_its_rank(
        values in prop::collection::vec(prop_oneof![float(), Just(0.0), 1e-300..1e-3], 1..80),
        group in 1usize..9,
        seed: u64,
        q in 0.0..=1.0f64,
    ) {
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        let expected = sorted[(q * (values.len() - 1) as f64).floor() as usize];
        let found = of(&quantile(q), &values, group, seed);
        prop_assert!((found - expected).abs() <= expected.abs() * 0.01 * (1.0 + 1e-9), "{} {}", found, expected);
        prop_assert_eq!(found.to_bits(), of(&quantile(q), &values, 1, !seed).to_bits());
    }

    #[test]
    fn only_the_values_that_are_there_count(
        values in prop::collection::vec(prop::option::weighted(0.4, 0u64..1000), 1..40),
        group in 1usize..9,
        seed: u64,
    ) {
        let some: Vec<u64> = values.iter().copied().flatten().collect();
        let sum_of_some = (!some.is_empty()).then(|| some.iter().sum::<u64>());
        prop_assert_eq!(of(&super::some(sum()), &values, group, seed), sum_of_some);
        let mut different = some;
        different.sort_unstable();
        different.dedup();
        let expected = (!different.is_empty()).then_some(different.len() as u64);
        prop_assert_eq!(of(&super::some(distinct()), &values, group, seed), expected);
    }
}

#[test]
fn infinities_and_nan_do_not_depend_on_the_order() {
    let values = [1.0, f64::INFINITY, -2.0, f64::NEG_INFINITY, 5.0];
    for seed in 0..20 {
        assert!(of(&sum(), &values, 2, seed).is_nan());
        assert!(of(&variance(), &values, 2, seed).is_nan());
        assert_eq!(of(&sum(), &values[..3], 2, seed), f64::INFINITY);
        assert_eq!(of(&quantile(0.5), &[f64::NAN, 3.0], 1, seed).round(), 3.0);
    }
}

#[test]
#[should_panic(expected = "agg::sum: 200 + 100 does not fit u8")]
fn a_sum_that_does_not_fit_is_said() {
    of(&sum(), &[200u8, 100], 2, 0);
}

/// Of many values: within four standard errors, for small and large numbers.
#[test]
fn many_distinct_values_are_about_counted() {
    for (n, salt) in [(100u64, 1), (900, 2), (3000, 3), (20_000, 4), (200_000, 5)] {
        let values: Vec<u64> = (0..n).map(|value| value * 7919 + salt).collect();
        let mut whole = Aggregate::<u64>::begin(&approx_distinct(), values[0]);
        for value in values.iter().chain(&values[..50]) {
            whole.merge(Aggregate::<u64>::begin(&approx_distinct(), *value).view());
        }
        let found: u64 = finish(&whole);
        let off = (found as f64 - n as f64).abs() / n as f64;
        assert!(off < 4.0 * 0.0163, "{found} of {n}");
    }
}
