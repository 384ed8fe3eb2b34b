//! A random program as the Rust that a user would write.

use std::fmt::Write as _;

use super::language::{Join, Merge, Op, Over, Program, Reduced, Span};

/// The job, as a function of that name.
pub(crate) fn job(program: &Program, name: &str) -> String {
    let mut text = format!("#[dstream::job(interval = \"1s\")]\nfn {name}() {{\n");
    for side in program.sides() {
        let side = side.name();
        _ = writeln!(text, "    let {side} = source::text(\"none\");");
    }
    for (index, node) in program.nodes.iter().enumerate() {
        let parent = node.parents.first().map(|parent| format!("s{parent}"));
        let other = node.parents.get(1).map_or(String::new(), |other| format!("s{other}"));
        let calls = calls(node.op, &other);
        let from = match node.op {
            Op::Source(side) | Op::Timed { side, .. } => side.name().to_owned(),
            _ => parent.unwrap_or_default(),
        };
        _ = writeln!(text, "    let s{index} = {from}.{calls};");
    }
    for (index, _) in program.nodes.iter().enumerate().filter(|(_, node)| node.saved) {
        _ = writeln!(text, "    s{index}.save(\"none:\");");
    }
    text.push_str("}\n");
    text
}

fn closure(merge: Merge) -> &'static str {
    match merge {
        Merge::Add => "|a, b| a + b",
        Merge::Max => "|a, b| a.max(b)",
        Merge::Min => "|a, b| a.min(b)",
    }
}

fn inverse(inverse: bool) -> &'static str {
    if inverse { ", |all, left| all - left" } else { "" }
}

fn seconds(span: Span) -> String {
    format!("\"{}s\", \"{}s\"", span.length, span.slide)
}

fn expiry(expire: Option<u32>) -> String {
    expire.map_or(String::new(), |seconds| format!("expire_after = \"{seconds}s\""))
}

/// Arguments after others.
fn also(argument: String) -> String {
    if argument.is_empty() { argument } else { format!(", {argument}") }
}

fn calls(op: Op, other: &str) -> String {
    match op {
        Op::Source(_) => "filter_map(|line| parsed(line)).map(|(k, v, _)| (k, v))".to_owned(),
        Op::Timed { slack, .. } => format!(
            "filter_map(|line| parsed(line)).event_time(|(_, _, t)| t, \"{slack}s\").map(|(k, v, _)| (k, v))"
        ),
        Op::Union => format!("union({other})"),
        Op::Join(_) | Op::Cogroup | Op::Subtract => joined(op, other),
        Op::Map(_) | Op::Rekey(_) | Op::Filter { .. } | Op::FilterMap | Op::FlatMap(_) => {
            of_records(op)
        }
        Op::MapValues(_)
        | Op::FlatMapValues(_)
        | Op::KeyBy(_)
        | Op::Inspect
        | Op::MapPartitions(_) => of_records(op),
        Op::ReduceByKey(_)
        | Op::AggregateByKey
        | Op::FoldByKey
        | Op::GroupByKey { .. }
        | Op::CountByValue
        | Op::Distinct => by_key(op),
        Op::TopK(_) | Op::Sort | Op::Index | Op::Count | Op::Aggregate | Op::Reduce(_) => {
            of_all(op)
        }
        _ => over_time(op),
    }
}

fn of_records(op: Op) -> String {
    match op {
        Op::Map(c) => format!("map(|(k, v)| (k, (v * 3 + {c}) % 97))"),
        Op::Rekey(c) => format!("map(|(k, v)| (key(v, {c}), v + k.len() as i64))"),
        Op::Filter { modulus, rest } => {
            format!("filter(|(_, v)| v.rem_euclid({modulus}) != {rest})")
        }
        Op::FilterMap => {
            "filter_map(|(k, v)| if v % 2 == 0 { Some((k, v / 2)) } else { None })".to_owned()
        }
        Op::FlatMap(c) => format!("flat_map(|(k, v)| [(k, v), (k, (v + {c}) % 97)])"),
        Op::MapValues(c) => format!("map_values(|v| (v * 5 - {c}) % 97)"),
        Op::FlatMapValues(c) => format!("flat_map_values(|v| [v, v - {c}])"),
        Op::KeyBy(c) => {
            format!("key_by(|(_, v)| v.rem_euclid({c})).map(|(n, (_, v))| (key(n, 9), v + n))")
        }
        Op::Inspect => "inspect(|(k, v)| seen(k, v))".to_owned(),
        Op::MapPartitions(c) => {
            format!(
                "map_partitions(|rows| rows.iter().map(|(k, v)| (k, v + {c})).collect::<Vec<_>>())"
            )
        }
        _ => String::new(),
    }
}

/// Several aggregates of the values of a key, and the result as one value.
const AGGREGATES: &str = "agg::count(), agg::sum(), agg::min(), agg::max_by(|v| (v % 5, v)), agg::distinct(|v| v % 7), agg::top_k(2), agg::mean(|v| v as f64)";
const AGGREGATED: &str = "mixed(n, sum, least, by, distinct, top.iter().sum(), mean)";
const PARTS: &str = "(n, sum, least, by, distinct, top, mean)";

/// A list of values as one value.
fn folded(ordered: bool) -> &'static str {
    match ordered {
        true => "map_values(|values| values.iter().fold(7i64, |all, v| (all * 31 + v) % 1009))",
        false => "map_values(|values| values.iter().sum::<i64>() * 10 + values.len() as i64)",
    }
}

fn by_key(op: Op) -> String {
    match op {
        Op::ReduceByKey(merge) => format!("reduce_by_key({})", closure(merge)),
        Op::AggregateByKey => {
            format!("aggregate_by_key({AGGREGATES}).map(|(k, {PARTS})| (k, {AGGREGATED}))")
        }
        Op::FoldByKey => "fold_by_key((0i64, 0i64), |(sum, n), v| (sum + v, n + 1), |a, b| (a.0 + b.0, a.1 + b.1))\
            .map_values(|(sum, n)| sum * 7 + n)"
            .to_owned(),
        Op::GroupByKey { ordered } => format!("group_by_key().{}", folded(ordered)),
        Op::CountByValue => {
            "map(|(k, v)| (k, v % 3)).count_by_value().map(|((k, v), n)| (k, v * 100 + n as i64))".to_owned()
        }
        Op::Distinct => "distinct()".to_owned(),
        _ => String::new(),
    }
}

fn of_all(op: Op) -> String {
    match op {
        Op::TopK(k) => format!("top_k({k}, |(_, v)| v)"),
        Op::Sort => "sort_by(|(_, v)| v % 5)".to_owned(),
        Op::Index => "zip_with_index().map(|((k, v), n)| (k, v * 100 + n as i64))".to_owned(),
        Op::Count => "count().map(|n| (\"count\", n as i64))".to_owned(),
        Op::Aggregate => {
            format!(
                "map(|(_, v)| v).aggregate({AGGREGATES}).map(|{PARTS}| (\"all\", {AGGREGATED}))"
            )
        }
        Op::Reduce(merge) => {
            format!("map(|(_, v)| v).reduce({}).map(|v| (\"all\", v))", closure(merge))
        }
        _ => String::new(),
    }
}

fn joined(op: Op, other: &str) -> String {
    match op {
        Op::Join(Join::Inner) => format!("join({other}).map_values(|(a, b)| (a * 5 + b) % 97)"),
        Op::Join(Join::Left) => {
            format!("left_outer_join({other}).map_values(|(a, b)| (a * 5 + b.unwrap_or(50)) % 97)")
        }
        Op::Join(Join::Right) => {
            format!("right_outer_join({other}).map_values(|(a, b)| (a.unwrap_or(50) * 5 + b) % 97)")
        }
        Op::Join(Join::Full) => {
            format!(
                "full_outer_join({other}).map_values(|(a, b)| (a.unwrap_or(50) * 5 + b.unwrap_or(60)) % 97)"
            )
        }
        Op::Cogroup => format!(
            "cogroup({other}).map_values(|(a, b)| a.iter().sum::<i64>() * 3 + b.iter().sum::<i64>() \
             + 100 * a.len() as i64 + 1000 * b.len() as i64)"
        ),
        Op::Subtract => format!("subtract_by_key({other})"),
        _ => String::new(),
    }
}

fn over_time(op: Op) -> String {
    match op {
        Op::Window(span) => format!("window({})", seconds(span)),
        Op::WindowBatches(span) => format!("window_batches({}, {})", span.length, span.slide),
        Op::ReduceByKeyAndWindow { merge, inverse: has, span } => {
            format!(
                "reduce_by_key_and_window({}{}, {})",
                closure(merge),
                inverse(has),
                seconds(span)
            )
        }
        Op::GroupByKeyAndWindow { ordered, span } => {
            format!("group_by_key_and_window({}).{}", seconds(span), folded(ordered))
        }
        Op::ReduceByWindow { merge, inverse: has, span } => format!(
            "map(|(_, v)| v).reduce_by_window({}{}, {}).map(|v| (\"all\", v))",
            closure(merge),
            inverse(has),
            seconds(span)
        ),
        Op::CountByWindow(span) => {
            format!("count_by_window({}).map(|n| (\"count\", n as i64))", seconds(span))
        }
        Op::CountByValueAndWindow(span) => format!(
            "map(|(k, v)| (k, v % 3)).count_by_value_and_window({}).map(|((k, v), n)| (k, v * 100 + n as i64))",
            seconds(span)
        ),
        Op::RunningReduce { merge, expire } => {
            format!("running_reduce({}{})", closure(merge), also(expiry(expire)))
        }
        Op::RunningAggregate => {
            format!("running_aggregate({AGGREGATES}).map(|(k, {PARTS})| (k, {AGGREGATED}))")
        }
        Op::Latest { expire } => format!("latest_by_key({})", expiry(expire)),
        Op::UpdateState => "update_state_by_key(|values, sum: Option<i64>| \
             Some(sum.unwrap_or(0) + values.iter().sum::<i64>() + 1).filter(|sum| *sum < 60))"
            .to_owned(),
        Op::Track { timeout } => format!(
            "track(|k, v, sum: &mut State<i64>| {{ *sum.or_default() += v; let now = *sum.or_default(); \
             if now > 60 {{ sum.remove(); }} Some((k, now)) }}, \
             timeout = \"{timeout}s\", on_timeout = |k, sum| Some((k, sum + 1000)))"
        ),
        Op::DistinctWithin(seconds) => format!("distinct_within(\"{seconds}s\")"),
        Op::DistinctBy { expire } => format!("distinct_by(|(k, _)| k{})", also(expiry(expire))),
        Op::EventReduce { over, reduced } => event_reduce(over, reduced),
        _ => String::new(),
    }
}

fn event_reduce(over: Over, reduced: Reduced) -> String {
    let spans = match over {
        Over::Windows { span, one_call: true } => Some(seconds(span)),
        _ => None,
    };
    let windows = match over {
        Over::Windows { one_call: true, .. } => String::new(),
        Over::Windows { span, .. } => format!("window({}).", seconds(span)),
        Over::Sessions { gap } => format!("session(\"{gap}s\")."),
    };
    let call = |two: &str, one: &str, arguments: &str| match &spans {
        Some(spans) if arguments.is_empty() => format!("{one}({spans})"),
        Some(spans) => format!("{one}({arguments}, {spans})"),
        None => format!("{two}({arguments})"),
    };
    let (before, call, result) = match reduced {
        Reduced::ByKey(merge) => {
            ("", call("reduce_by_key", "reduce_by_key_and_window", closure(merge)), "|(k, v), ctx| (k, v")
        }
        Reduced::Fold => (
            "",
            "fold_by_key((0i64, 0i64), |(sum, n), v| (sum + v, n + 1), |a, b| (a.0 + b.0, a.1 + b.1))".to_owned(),
            "|(k, (sum, n)), ctx| (k, sum * 7 + n",
        ),
        Reduced::Group => (
            "",
            call("group_by_key", "group_by_key_and_window", ""),
            "|(k, values), ctx| (k, values.iter().fold(7i64, |all, v| (all * 31 + v) % 1009)",
        ),
        Reduced::Aggregate => (
            "",
            format!("aggregate_by_key({AGGREGATES})"),
            "|(k, (n, sum, least, by, distinct, top, mean)), ctx| (k, mixed(n, sum, least, by, distinct, top.iter().sum(), mean)",
        ),
        Reduced::All(merge) => (
            "map(|(_, v)| v).",
            call("reduce", "reduce_by_window", closure(merge)),
            "|v, ctx| (\"all\", v",
        ),
        Reduced::Count => ("", call("count", "count_by_window", ""), "|n, ctx| (\"count\", n as i64"),
        Reduced::CountByValue => (
            "map(|(k, v)| (k, v % 3)).",
            call("count_by_value", "count_by_value_and_window", ""),
            "|((k, v), n), ctx| (k, v * 100 + n as i64",
        ),
        Reduced::Distinct => ("", "distinct()".to_owned(), "|(k, v), ctx| (k, v"),
    };
    // Steps may stand behind a window that the next operator reduces.
    format!("{windows}{before}{call}.map({result} + ctx.window().start + 2 * ctx.window().end))")
}
