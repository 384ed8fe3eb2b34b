//! Operators of other systems, by their names there, and what to write here instead.
//!
//! `tests/accepted/hints.rs` compiles and runs every example; a test below holds it to that.

/// What to write instead of an operator that is known elsewhere.
#[derive(Debug)]
pub struct Hint {
    /// Its names, as here: `update_state_by_key` stands for `updateStateByKey` too.
    pub names: &'static [&'static str],
    /// What does the same here.
    pub instead: &'static str,
    /// How it is written. `words` are texts, `numbers` are `u64`, `pairs` and `others` pairs of them.
    pub example: Option<&'static str>,
}

/// The hint for an operator that is none of ours.
#[must_use]
pub fn hint(name: &str) -> Option<&'static Hint> {
    let bare = |name: &str| name.replace('_', "").to_lowercase();
    let written = bare(name);
    HINTS.iter().find(|hint| hint.names.iter().any(|name| bare(name) == written))
}

macro_rules! hints {
    ($($($name:literal)|+ => $instead:literal $(, $example:literal)?;)*) => {
        /// Every hint.
        pub const HINTS: &[Hint] = &[$(Hint {
            names: &[$($name),+],
            instead: $instead,
            example: hints!(@ $($example)?),
        }),*];
    };
    (@) => { None };
    (@ $example:literal) => { Some($example) };
}

hints! {
    // Keyed, with state.
    "map_with_state" | "flat_map_groups_with_state" | "map_groups_with_state" | "keyed_process_function"
        | "key_by_process" | "process_with_state" | "stateful_map" | "flat_map_with_state" | "transform_with_state"
        => "`track` keeps what a function says of each key, with timeouts and timers",
        "pairs.track(|word, n, sum: &mut State<u64>| { *sum.or_default() += n; sum.get().map(|sum| (word, *sum)) }, timeout = \"30m\")";
    "scan" | "update_state"
        => "a value per key is kept from batch to batch by `running_reduce`",
        "pairs.running_reduce(|a, b| a + b)";
    "reduce_groups" => "the values of a key are merged by `reduce_by_key`", "pairs.reduce_by_key(|a, b| a + b)";
    "into_group_map" | "collect_by_key"
        => "`group_by_key` lists the values of each key",
        "pairs.group_by_key()";
    "group_by" | "grouping_by" | "chunk_by"
        => "make pairs `(key, value)`, then merge the values of each key, or list them with `group_by_key`",
        "words.map(|w| (w.len() as u64, 1u64)).reduce_by_key(|a, b| a + b)";
    "combine_by_key"
        => "`fold_by_key` takes what to begin with, how a value is folded in, and how two results are merged",
        "pairs.fold_by_key((0u64, 0u64), |acc, n| (acc.0 + n, acc.1 + 1), |a, b| (a.0 + b.0, a.1 + b.1))";
    "count_by_key"
        => "count ones per key",
        "pairs.map_values(|_| 1u64).reduce_by_key(|a, b| a + b)";
    "value_counts" | "counts" | "histogram" | "frequencies"
        => "`count_by_value` counts equal records",
        "words.count_by_value()";
    "select_key" | "key_selector" | "assign_key" | "with_keys"
        => "`key_by` gives each record a key",
        "words.key_by(|w| w.len() as u64)";
    "keys" => "take the key of each pair", "pairs.map(|(key, _)| key)";
    "values" => "take the value of each pair", "pairs.map(|(_, value)| value)";

    // Windows and time.
    "fold_by_window" | "aggregate_by_window"
        => "`aggregate` works on a window",
        "numbers.window(\"30s\").aggregate(agg::sum())";
    "aggregate_by_key_and_window" | "fold_by_key_and_window"
        => "`aggregate_by_key` works on a window",
        "pairs.window(\"30s\").aggregate_by_key(agg::count(), agg::sum())";
    "window_all" | "time_window" | "time_window_all" | "windowed_by" | "sliding_window" | "windows"
        | "hopping_window"
        => "`window` takes its length and how often it slides",
        "words.window(\"30s\", \"10s\")";
    "count_window" | "count_window_all"
        => "windows count time, or batches: there is none of a number of records",
        "words.window_batches(60, 10)";
    "tumbling_window" | "tumbling" | "buffer" | "chunks"
        => "a tumbling window slides by its own length",
        "words.window(\"30s\", \"30s\")";
    "suppress" | "emit_final"
        => "a window emits once per slide: choose the slide",
        "pairs.reduce_by_key_and_window(|a, b| a + b, \"30s\", \"30s\")";
    "assign_timestamps_and_watermarks" | "assign_timestamps" | "with_watermark" | "with_timestamps"
        => "`event_time` says when each record happened, and how far out of order they come",
        "numbers.event_time(|n| n, \"10s\")";

    // Two streams.
    "left_join" => "`left_outer_join` keeps what has no right side", "pairs.left_outer_join(others)";
    "right_join" => "`right_outer_join` keeps what has no left side", "pairs.right_outer_join(others)";
    "outer_join" | "full_join"
        => "`full_outer_join` keeps what has no other side",
        "pairs.full_outer_join(others)";
    "co_group" | "group_with" | "co_group_by_key"
        => "`cogroup` lists the values of both by key",
        "pairs.cogroup(others)";
    "left_anti_join" | "anti_join" | "subtract" | "except" | "difference" | "minus"
        => "`subtract_by_key` keeps what has no right side; of whole records, make them keys",
        "pairs.subtract_by_key(others)";
    "left_semi_join" | "semi_join" | "intersection" | "intersect"
        => "join with the keys of the other side, each once",
        "pairs.join(others.map(|(key, _)| (key, true)).distinct()).map_values(|(n, _)| n)";
    "inner_join" | "zip" => "`join` brings together what has the same key", "pairs.join(others)";
    "interval_join" | "between"
        => "`join_within` pairs records whose event times are close",
        "pairs.event_time(|(_, n)| n, \"10s\").join_within(others.event_time(|(_, n)| n, \"10s\"), \"-5m\", \"1m\")";
    "lookup_join" | "broadcast_join" | "map_side_join" | "join_table" | "enrich"
        => "join with a table, which every record meets whole: `table::csv`, or the last values of a stream",
        "pairs.join(others.latest_by_key())";
    "window_join"
        => "join windows of both",
        "pairs.window(\"30s\").join(others.window(\"30s\"))";
    "connect" | "co_map" | "co_flat_map" | "merge" | "union_all" | "concat" | "chain" | "extend"
        => "make records of one type, and unite the streams",
        "pairs.union(others)";

    // Whole batches.
    "sum" | "sum_by_key"
        => "reduce by adding; per key, `reduce_by_key`; over all batches, `running_reduce`",
        "numbers.reduce(|a, b| a + b)";
    "max" => "reduce by the greater one", "numbers.reduce(|a, b| a.max(b))";
    "min" => "reduce by the lesser one", "numbers.reduce(|a, b| a.min(b))";
    "max_by" | "max_by_key" | "arg_max"
        => "`top_k` keeps the records with the greatest scores",
        "words.top_k(1, |w| w.len() as u64)";
    "min_by" | "min_by_key" | "arg_min"
        => "`top_k` keeps the records with the greatest scores: turn the score round",
        "words.top_k(1, |w| u64::MAX - w.len() as u64)";
    "fold" | "accumulate" | "reduce_all"
        => "make each record what is to be merged, then `reduce`",
        "numbers.map(|n| (n, 1u64)).reduce(|a, b| (a.0 + b.0, a.1 + b.1))";
    "mean" | "avg" | "average"
        => "`agg::mean` is an aggregate; per key, `aggregate_by_key`",
        "numbers.aggregate(agg::mean())";
    "quantile" | "percentile" | "approx_quantile" | "median" | "stddev" | "std"
        => "`agg::quantile` and `agg::variance` are aggregates; per key, `aggregate_by_key`",
        "numbers.aggregate(agg::quantile(0.95), agg::variance())";
    "session_window" | "event_time_session_windows" | "session_windows"
        => "`session` comes after `event_time`, and before what reduces a session",
        "pairs.event_time(|(_, n)| n, \"10s\").session(\"30min\").reduce_by_key(|a, b| a + b)";
    "unique" | "dedup" | "drop_duplicates" => "`distinct` keeps each record of a batch once", "words.distinct()";
    "dedup_by_key" | "unique_by" | "drop_duplicates_within_watermark"
        => "`distinct_by` keeps the first record of each key, and forgets keys after `expire_after`",
        "words.distinct_by(|w| w.len() as u64, expire_after = \"1h\")";
    "sort" | "sorted" => "`sort_by` takes what to sort by; by the record itself, return it", "words.sort_by(|w| w)";
    "sort_by_key" | "order_by" => "`sort_by` takes what to sort by", "pairs.sort_by(|(key, _)| key)";
    "rank" | "row_number"
        => "sort the batch, then number its records",
        "words.sort_by(|w| w.len() as u64).zip_with_index()";
    "take" | "first" | "limit" | "head" | "last" | "nth"
        => "`top_k` keeps the greatest, and `print(n)` shows n of a batch",
        "words.top_k(10, |w| w.len() as u64)";
    "enumerate" => "`zip_with_index` numbers the records of a batch", "words.zip_with_index()";
    "skip" | "step_by" | "rev"
        => "records have no position, for a stream is spread over partitions: sort them and number them, then `filter`",
        "words.sort_by(|w| w).zip_with_index().filter(|(_, i)| i >= 3)";

    // One record at a time.
    "filter_not" | "reject" | "where" | "retain" | "find" | "any" | "all" | "take_while" | "skip_while"
        => "`filter` keeps the records for which it holds",
        "words.filter(|w| !w.is_empty())";
    "glom" | "map_partitions_with_index" | "foreach_partition_map"
        => "`map_partitions` is given the records of a partition as a list",
        "words.map_partitions(|rows| [rows.len() as u64])";
    "flatten" | "explode" | "transform" | "process" | "apply" | "flat_transform"
        => "`flat_map` makes any number of records of each; a function of whole streams is marked `#[dstream::operator]`",
        "words.flat_map(|w| w.split(' '))";
    "branch" | "split" | "partition" | "through" | "side_output" | "get_side_output"
        => "use the stream once for each branch, each with a filter",
        "words.filter(|w| w.len() > 3)";
    "random_split" | "take_sample" | "sample_by_key"
        => "`sample` takes a fraction and a seed; another seed chooses independently",
        "numbers.sample(0.1, 42)";
    "select" | "project" | "with_column" | "cast" | "collect_vec" | "transform_values"
        => "`map` makes one record of each",
        "words.map(|w| w.len() as u64)";

    // Where results go.
    "foreach_rdd" | "foreach" | "for_each" | "foreach_partition"
        => "`foreach_batch` hands the records of each batch to a function",
        "pairs.foreach_batch(|batch, rows| println!(\"{batch}: {} pairs\", rows.len()))";
    "add_sink" | "sink_to" | "to" | "write_stream"
        | "save_as_text_files" | "save_as_text_file" | "save_as_object_files" | "save_as_hadoop_files"
        | "write_as_text" | "write_as_csv" | "write" | "collect" | "iter" | "into_iter" | "output"
        => "results leave by `save`, or `print`, in a statement of its own",
        "pairs.save(\"json+file://out/pairs\")";
    "peek" | "tap" | "log" => "`inspect` shows each record to a function", "words.inspect(|w| println!(\"{w}\"))";
    "debug" | "show" | "pprint" | "dump"
        => "`print` shows the first records of each batch, in a statement of its own",
        "words.print(5)";

    // What is decided elsewhere.
    "repartition" | "coalesce" | "shuffle" | "rebalance" | "rescale" | "partition_by" | "partition_custom"
        | "broadcast" | "global" | "set_parallelism"
        => "remove it: operators by key spread the records as they need it, and `--partitions` says over how many partitions";
    "cache" | "persist" | "unpersist" | "checkpoint" | "materialized" | "to_stream" | "to_table" | "boxed"
        => "remove it: the plan says what is kept, and for how long";
    "start" | "execute" | "await_termination" | "run" | "build"
        => "remove it: `dstream::main!(job);` makes the program that runs";
    "clone" | "by_ref" | "cloned" | "copied"
        => "remove it: a stream can be used as often as you like";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op;

    #[test]
    fn no_name_stands_twice_or_is_ours() {
        let all: Vec<&str> = HINTS.iter().flat_map(|hint| hint.names).copied().collect();
        for (i, name) in all.iter().enumerate() {
            assert!(!all[..i].contains(name), "{name}");
            assert!(op::by_name(name).is_none(), "{name}");
        }
    }

    #[test]
    fn names_are_found_as_they_are_written_elsewhere() {
        let found = |name| hint(name).and_then(|hint| hint.example).unwrap_or("none");
        for name in ["mapWithState", "map_with_state", "KeyedProcessFunction"] {
            assert!(found(name).starts_with("pairs.track("), "{name}");
        }
        let systems = [
            "mapWithState flatMapGroupsWithState foreachRDD transform randomSplit sortByKey \
             saveAsTextFiles mapPartitionsWithIndex repartition coGroup subtract intersection",
            "sum process windowAll timeWindow connect coMap assignTimestampsAndWatermarks addSink sinkTo rebalance",
            "groupBy count_by_key selectKey peek through to branch suppress merge leftJoin outerJoin",
            "unique left_join sum fold for_each collect enumerate zip take max_by min scan flatten tap",
        ];
        for name in systems.iter().flat_map(|names| names.split_whitespace()) {
            assert!(hint(name).is_some(), "{name}");
        }
    }

    /// Every example is in a program that is compiled and run.
    #[test]
    fn examples_are_compiled() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/accepted/hints.rs");
        let program = std::fs::read_to_string(path).expect("it is part of the repository");
        let bare = |text: &str| text.replace([' ', '\n', ','], "");
        let program = bare(&program);
        for hint in HINTS {
            let Some(example) = hint.example else { continue };
            assert!(program.contains(&format!("{};", bare(example))), "{example}");
        }
    }
}
