//! Replacements that messages suggest for operators of other systems compile, and compute the same.

#![expect(clippy::print_stdout, reason = "the example of `foreach_batch`")]

use dstream::prelude::{State, agg};
use dstream::testing::Run;

use crate::{Tested, first};

#[rustfmt::skip]
#[dstream::job]
fn hints() {
    let words = source::text("none");
    let numbers = words.map(|w| w.len() as u64);
    let left = words.map(|w| (w, w.len() as u64));
    let pairs = left.reduce_by_key(|a, b| a + b);
    let right = source::text("none");
    let others = right.map(|w| (w, 1u64)).reduce_by_key(|a, b| a + b);
    let like_map_with_state = pairs.track(|word, n, sum: &mut State<u64>| { *sum.or_default() += n; sum.get().map(|sum| (word, *sum)) }, timeout = "30m");
    let like_scan = pairs.running_reduce(|a, b| a + b);
    let like_group_by = words.map(|w| (w.len() as u64, 1u64)).reduce_by_key(|a, b| a + b);
    let like_count_by_key = pairs.map_values(|_| 1u64).reduce_by_key(|a, b| a + b);
    let like_value_counts = words.count_by_value();
    let like_select_key = words.key_by(|w| w.len() as u64);
    let like_keys = pairs.map(|(key, _)| key);
    let like_random_split = numbers.sample(0.1, 42);
    let like_glom = words.map_partitions(|rows| [rows.len() as u64]);
    let like_skip = words.sort_by(|w| w).zip_with_index().filter(|(_, i)| i >= 3);
    let like_enumerate = words.zip_with_index();
    let like_rank = words.sort_by(|w| w.len() as u64).zip_with_index();
    let like_sort_by_key = pairs.sort_by(|(key, _)| key);
    let like_sort = words.sort_by(|w| w);
    let like_count_window = words.window_batches(60, 10);
    let like_aggregate_by_key_and_window = pairs.window("30s").aggregate_by_key(agg::count(), agg::sum());
    let like_fold_by_window = numbers.window("30s").aggregate(agg::sum());
    let like_quantile = numbers.aggregate(agg::quantile(0.95), agg::variance());
    let like_session_window = pairs.event_time(|(_, n)| n, "10s").session("30min").reduce_by_key(|a, b| a + b);
    let like_reduce_groups = pairs.reduce_by_key(|a, b| a + b);
    let like_aggregate_by_key = pairs.fold_by_key((0u64, 0u64), |acc, n| (acc.0 + n, acc.1 + 1), |a, b| (a.0 + b.0, a.1 + b.1));
    let like_into_group_map = pairs.group_by_key();
    let like_values = pairs.map(|(_, value)| value);
    let like_window_all = words.window("30s", "10s");
    let like_tumbling_window = words.window("30s", "30s");
    let like_suppress = pairs.reduce_by_key_and_window(|a, b| a + b, "30s", "30s");
    let like_left_join = pairs.left_outer_join(others);
    let like_right_join = pairs.right_outer_join(others);
    let like_outer_join = pairs.full_outer_join(others);
    let like_co_group = pairs.cogroup(others);
    let like_subtract = pairs.subtract_by_key(others);
    let like_semi_join = pairs.join(others.map(|(key, _)| (key, true)).distinct()).map_values(|(n, _)| n);
    let like_peek = words.inspect(|w| println!("{w}"));
    let like_inner_join = pairs.join(others);
    let like_interval_join = pairs.event_time(|(_, n)| n, "10s").join_within(others.event_time(|(_, n)| n, "10s"), "-5m", "1m");
    let like_lookup_join = pairs.join(others.latest_by_key());
    let like_window_join = pairs.window("30s").join(others.window("30s"));
    let like_connect = pairs.union(others);
    pairs.foreach_batch(|batch, rows| println!("{batch}: {} pairs", rows.len()));
    let like_sum = numbers.reduce(|a, b| a + b);
    let like_max = numbers.reduce(|a, b| a.max(b));
    let like_min = numbers.reduce(|a, b| a.min(b));
    let like_max_by = words.top_k(1, |w| w.len() as u64);
    let like_min_by = words.top_k(1, |w| u64::MAX - w.len() as u64);
    let like_fold = numbers.map(|n| (n, 1u64)).reduce(|a, b| (a.0 + b.0, a.1 + b.1));
    let like_mean = numbers.aggregate(agg::mean());
    let like_unique = words.distinct();
    let like_dedup_by_key = words.distinct_by(|w| w.len() as u64, expire_after = "1h");
    let like_take = words.top_k(10, |w| w.len() as u64);
    let like_filter_not = words.filter(|w| !w.is_empty());
    let like_flatten = words.flat_map(|w| w.split(' '));
    let like_assign_timestamps = numbers.event_time(|n| n, "10s");
    let like_branch = words.filter(|w| w.len() > 3);
    let like_select = words.map(|w| w.len() as u64);
    like_map_with_state.save("none:");
    like_scan.save("none:");
    like_group_by.save("none:");
    like_count_by_key.save("none:");
    like_value_counts.save("none:");
    like_select_key.save("none:");
    like_keys.save("none:");
    like_random_split.save("none:");
    like_glom.save("none:");
    like_skip.save("none:");
    like_enumerate.save("none:");
    like_rank.save("none:");
    like_sort_by_key.save("none:");
    like_sort.save("none:");
    like_count_window.save("none:");
    like_aggregate_by_key_and_window.save("none:");
    like_fold_by_window.save("none:");
    like_quantile.save("none:");
    like_session_window.save("none:");
    like_reduce_groups.save("none:");
    like_aggregate_by_key.save("none:");
    like_into_group_map.save("none:");
    like_values.save("none:");
    like_window_all.save("none:");
    like_tumbling_window.save("none:");
    like_suppress.save("none:");
    like_left_join.save("none:");
    like_right_join.save("none:");
    like_outer_join.save("none:");
    like_co_group.save("none:");
    like_subtract.save("none:");
    like_semi_join.save("none:");
    like_peek.save("none:");
    like_inner_join.save("none:");
    like_interval_join.save("none:");
    like_lookup_join.save("none:");
    like_window_join.save("none:");
    like_connect.save("none:");
    like_sum.save("none:");
    like_max.save("none:");
    like_min.save("none:");
    like_max_by.save("none:");
    like_min_by.save("none:");
    like_fold.save("none:");
    like_mean.save("none:");
    like_unique.save("none:");
    like_dedup_by_key.save("none:");
    like_take.save("none:");
    like_filter_not.save("none:");
    like_flatten.save("none:");
    like_branch.save("none:");
    like_assign_timestamps.save("none:");
    like_select.save("none:");
    pairs.save("json+file://out/pairs");
    words.print(5);
}

type Both = (String, (Option<u64>, Option<u64>));

#[test]
fn what_is_written_instead_computes_the_same() -> Tested {
    let done = Run::new(hints)
        .input("words", [["a b", "cc", "a b", ""]])
        .input("right", [["cc", "x", "x"]])
        .run()?;
    let text = |text: &str| text.to_owned();
    let joined = |output: &str| first::<(String, (u64, Option<u64>))>(&done, output);
    let (none, ab) = ((text(""), (0, None)), (text("a b"), (6, None)));
    assert_eq!(joined("like_left_join")?, [none.clone(), ab.clone(), (text("cc"), (2, Some(1)))]);
    assert_eq!(
        first::<(String, (Option<u64>, u64))>(&done, "like_right_join")?,
        [(text("cc"), (Some(2), 1)), (text("x"), (None, 2))]
    );
    assert_eq!(first::<(String, u64)>(&done, "like_subtract")?, [(text(""), 0), (text("a b"), 6)]);
    assert_eq!(first::<(String, u64)>(&done, "like_semi_join")?, [(text("cc"), 2)]);
    assert_eq!(
        first::<Both>(&done, "like_outer_join")?,
        [
            (text(""), (Some(0), None)),
            (text("a b"), (Some(6), None)),
            (text("cc"), (Some(2), Some(1))),
            (text("x"), (None, Some(2)))
        ]
    );
    assert_eq!(first::<String>(&done, "like_unique")?, ["", "a b", "cc"]);
    let by_length = [(0, text("")), (2, text("cc")), (3, text("a b"))];
    let mut firsts = by_length.map(|(_, word)| word);
    firsts.sort();
    assert_eq!(first::<String>(&done, "like_dedup_by_key")?, firsts);
    assert_eq!(first::<f64>(&done, "like_mean")?, [2.0]);
    assert_eq!(first::<u64>(&done, "like_sum")?, [8]);
    assert_eq!(first::<u64>(&done, "like_max")?, [3]);
    assert_eq!(first::<u64>(&done, "like_min")?, [0]);
    assert_eq!(first::<String>(&done, "like_max_by")?, ["a b"]);
    assert_eq!(first::<String>(&done, "like_min_by")?, [""]);
    let counts = [(text(""), 1), (text("a b"), 2), (text("cc"), 1)];
    assert_eq!(first::<(String, u64)>(&done, "like_value_counts")?, counts);
    assert_eq!(first::<(u64, u64)>(&done, "like_group_by")?, [(0, 1), (2, 1), (3, 2)]);
    assert_eq!(first::<String>(&done, "like_filter_not")?, ["a b", "a b", "cc"]);
    assert_eq!(first::<String>(&done, "like_flatten")?, ["", "a", "a", "b", "b", "cc"]);
    Ok(())
}
