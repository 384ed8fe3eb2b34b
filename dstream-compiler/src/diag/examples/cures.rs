//! The cure of each mistake: which words of the fixture's program are replaced by which, one row per code.

/// The code, its fixture in `tests/ui`, and the replacements.
type Cure = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// All of them, by code.
pub(super) const CURES: &[Cure] = &[
    (
        "E0001",
        "signature/not_a_function",
        &[(
            "struct Job {\n    interval: u64,\n}",
            "fn job() {\n    let lines = source::text(\"file:logs\");\n    lines.print();\n}",
        )],
    ),
    ("E0002", "signature/unknown_setting", &[("intervall", "interval")]),
    ("E0003", "signature/interval_without_value", &[("(interval)", r#"(interval = "1s")"#)]),
    ("E0004", "signature/interval_number", &[("= 5", r#"= "5s""#)]),
    ("E0005", "signature/interval_zero", &[("0s", "1s")]),
    ("E0006", "signature/interval_twice", &[(r#", interval = "2s""#, "")]),
    ("E0010", "signature/async_job", &[("async fn", "fn")]),
    ("E0011", "signature/unsafe_job", &[("unsafe fn", "fn")]),
    ("E0012", "signature/generic_job", &[("<T: Record>", "")]),
    ("E0013", "signature/const_job", &[("const fn", "fn")]),
    ("E0014", "signature/extern_job", &[(r#"extern "C" fn"#, "fn")]),
    ("E0015", "signature/job_returns", &[(" -> Stream<String>", "")]),
    (
        "E0016",
        "signature/two_parameters",
        &[
            (
                "#[dstream::job]\nfn job(input: &str, least: usize)",
                "use dstream::prelude::*;\n\n#[dstream::params]\nstruct Params {\n    #[arg(long, default_value_t = 3)]\n    least: usize,\n}\n\n#[dstream::job]\nfn job(params: &Params)",
            ),
            ("lines.print()", "lines.filter(|line| line.len() > params.least).print()"),
        ],
    ),
    ("E0017", "signature/parameter_by_value", &[("params: Params", "params: &Params")]),
    (
        "E0018",
        "signature/parameter_pattern",
        &[
            ("Params { input, least }: &Params", "params: &Params"),
            ("lines.print()", "lines.filter(|line| line.len() > params.least).print()"),
        ],
    ),
    (
        "E0019",
        "signature/method",
        &[(
            "struct Jobs;\n\nimpl Jobs {\n    #[dstream::job]\n    fn job(&self) {\n        let lines = source::text(\"file:logs\");\n        lines.print();\n    }\n}",
            "#[dstream::job]\nfn job() {\n    let lines = source::text(\"file:logs\");\n    lines.print();\n}",
        )],
    ),
    (
        "E0020",
        "operator_fn/no_stream_taken",
        &[
            ("line: &str", "lines: Stream<String>"),
            (
                "    let lines = source::text(\"file:logs\");\n    lines\n",
                "    lines.map(|line| line.to_uppercase())\n",
            ),
        ],
    ),
    ("E0021", "operator_fn/no_stream_returned", &[("-> u64", "-> Stream<u64>")]),
    ("E0022", "operator_fn/no_tail", &[(".is_empty());", ".is_empty())")]),
    ("E0023", "operator_fn/output_inside", &[("    upper_case.print();\n", "")]),
    (
        "E0024",
        "operator_fn/circle",
        &[("{\n    ping(lines)\n}", "{\n    lines.map(|line| line.to_uppercase())\n}")],
    ),
    ("E0025", "operator_fn/stream_by_reference", &[("&Stream", "Stream")]),
    ("E0101", "operator/unknown", &[("mapp", "map")]),
    ("E0102", "operator/arity", &[(", 3)", ")")]),
    ("E0103", "operator/not_a_closure", &[("42", "|line| line.len() as u64")]),
    ("E0104", "operator/closure_parameters", &[("|word, n| n", "|(_, n)| n")]),
    ("E0105", "operator/async_closure", &[("async ", "")]),
    ("E0106", "operator/turbofish", &[("::<u64>", "")]),
    (
        "E0107",
        "operator/not_a_stream",
        &[(
            r#"lines.union("other")"#,
            "let others = source::text(\"file:others\");\n    lines.union(others)",
        )],
    ),
    ("E0108", "operator/not_a_number", &[("lines_shown", "20")]),
    ("E0109", "operator/not_a_value", &[("|line| line", r#""text+file://out/lines""#)]),
    ("E0110", "operator/save_without_url", &[("save()", r#"save("text+file://out/lines")"#)]),
    ("E0111", "operator/empty_url", &[(r#""""#, r#""text+file://out/lines""#)]),
    ("E0112", "operator/float_key", &[("as f64", "as u64")]),
    ("E0113", "aggregate/aggregates", &[("agg::count)", "agg::count())")]),
    ("E0120", "operator/named_arguments", &[("expires_after", "expire_after")]),
    ("E0121", "operator/named_arguments", &[(r#", expire_after = "1h""#, "")]),
    (
        "E0122",
        "operator/state_arguments",
        &[
            ("#[dstream::job]", "use dstream::prelude::*;\n\n#[dstream::job]"),
            (
                "|word, n, sum| Some(word), on_timeout = |word, sum| Some(word)",
                "|word, n, sum: &mut State<u64>| {\n        *sum.or_default() += n;\n        None::<(&str, u64)>\n    }, timeout = \"30m\", on_timeout = |word, sum| Some((word, sum))",
            ),
        ],
    ),
    (
        "E0201",
        "window/not_written_out",
        &[("    let length = \"30s\";\n", ""), ("window(length)", r#"window("30s")"#)],
    ),
    ("E0202", "window/malformed", &[("30 parsecs", "30s")]),
    ("E0203", "window/zero", &[("0s", "30s")]),
    ("E0204", "window/not_of_interval", &[("2500ms", "3s")]),
    ("E0205", "window/not_of_slide", &[("45s", "40s")]),
    (
        "E0206",
        "window/different_slides",
        &[("recent.union(lines)", r#"recent.union(lines.window("10s", "10s"))"#)],
    ),
    ("E0207", "window/too_long", &[("1000000h", "1h")]),
    ("E0208", "operator/named_arguments", &[(r#""0s""#, r#""1h""#)]),
    ("E0209", "event_time/lost", &[(".reduce_by_key(|a, b| a + b);", ";")]),
    (
        "E0210",
        "event_time/mixed",
        &[(
            "counts.reduce_by_key(|a, b| a + b)",
            r#"counts.reduce_by_key_and_window(|a, b| a + b, "1min")"#,
        )],
    ),
    (
        "E0212",
        "event_time/differ",
        &[(r#""file:right")"#, r#""file:right").event_time(|n| n, "1s")"#)],
    ),
    ("E0213", "event_time/durations", &[("9999999h", "1h")]),
    (
        "E0214",
        "within/no_times",
        &[(r#""file:a.csv")"#, r#""file:a.csv").event_time(|(_, at)| at, "1s")"#)],
    ),
    ("E0215", "within/differences", &[(r#""1m", "-5m""#, r#""-5m", "1m""#)]),
    (
        "E0216",
        "event_time/no_form",
        &[("minutes.print()", "minutes.reduce_by_key(|a, b| a + b).print()")],
    ),
    (
        "E0217",
        "event_time/no_form",
        &[(r#""hits.json")"#, r#""hits.json").event_time(|hit| hit.at, "10s")"#)],
    ),
    ("E0301", "stream/unknown", &[("    vews.print();\n", "")]),
    ("E0302", "stream/unused", &[("lines.print", "words.print")]),
    (
        "E0303",
        "stream/same_name",
        &[("let lines = lines.filter", "let full = lines.filter"), ("lines.print", "full.print")],
    ),
    (
        "E0304",
        "stream/shadowed",
        &[("let least = lines", "let long = lines"), ("least.print", "long.print")],
    ),
    ("E0305", "stream/alias", &[("    let all = lines;\n", ""), ("all.print", "lines.print")]),
    (
        "E0306",
        "stream/as_value",
        &[
            ("    let n = lines + 1;\n", ""),
            ("lines.print()", "lines.count().map(|n| n + 1).print()"),
        ],
    ),
    (
        "E0307",
        "stream/in_closure",
        &[
            (
                r#"source::text("file:stop")"#,
                r#"table::text("file:stop").map(|word| (word, 1u64))"#,
            ),
            (
                "lines.filter(|line| !stop_words.contains(line))",
                "lines.map(|line| (line, 1u64)).subtract_by_key(stop_words)",
            ),
            ("    stop_words.print();\n", ""),
        ],
    ),
    ("E0308", "stream/pattern", &[("(words, _)", "words"), ("lines.print", "words.print")]),
    ("E0309", "stream/let_mut", &[("let mut", "let")]),
    ("E0310", "stream/type", &[(": Stream<u64>", "")]),
    (
        "E0311",
        "stream/goes_nowhere",
        &[("    lines.filter", "    let full = lines.filter"), ("lines.print", "full.print")],
    ),
    ("E0312", "stream/let_of_output", &[("let shown = ", "")]),
    (
        "E0313",
        "stream/output_in_chain",
        &[("lines.print().count()", "lines.print();\n    lines.count()")],
    ),
    (
        "E0314",
        "stream/no_output",
        &[("_words", "words"), ("split(' '));", "split(' '));\n    words.print();")],
    ),
    ("E0315", "stream/value_pattern", &[("let (least, most) = (3, 9)", "let least = 3")]),
    ("E0316", "stream/no_value", &[("let least;", "let least = 3;")]),
    ("E0317", "stream/attribute", &[("    #[inline]\n", "")]),
    ("E0318", "stream/reserved", &[("__dstream_l_out", "lines"), ("__dstream_s_x", "line")]),
    ("E0330", "table/as_stream", &[("table::csv", "source::csv")]),
    ("E0331", "table/on_left", &[("pages.join(views)", "views.join(pages)")]),
    ("E0332", "table/no_form", &[("full_outer_join", "left_outer_join")]),
    (
        "E0333",
        "table/changes",
        &[(
            "views.latest_by_key().map_values(|title| title.len() as u64)",
            "views.map_values(|title| title.len() as u64).latest_by_key()",
        )],
    ),
    (
        "E0334",
        "table/window",
        &[(r#"window("10s", "5s").join(pages)"#, r#"join(pages).window("10s", "5s")"#)],
    ),
    ("E0401", "source/unknown", &[("jsn", "json")]),
    ("E0402", "source/without_type", &[("json(", "json::<String>(")]),
    ("E0403", "source/text_with_type", &[("::<String>", "")]),
    ("E0404", "source/arguments", &[("text()", r#"text("file:words")"#)]),
    ("E0405", "source/two_types", &[("<String, u64>", "<(String, u64)>")]),
    (
        "E0410",
        "operator_fn/not_marked",
        &[("fn long_words", "#[dstream::operator]\nfn long_words")],
    ),
    ("E0411", "operator_fn/arity", &[("long_words(lines);", "long_words(lines, 5);")]),
    ("E0412", "operator_fn/needs_stream", &[(r#""other""#, r#"source::text("file:others")"#)]),
    ("E0413", "operator_fn/needs_value", &[("long_words(lines, lines)", "long_words(lines, 5)")]),
    (
        "E0501",
        "statement/if",
        &[
            ("    if true {\n        lines.print();\n    }\n", ""),
            ("lines.print()", "lines.filter(|line| !line.is_empty()).print()"),
        ],
    ),
    (
        "E0502",
        "statement/match",
        &[
            ("    match 3 {\n        3 => lines.print(),\n        _ => {}\n    }\n", ""),
            (
                "    lines.print()",
                "    let lengths = lines.filter_map(|line| match line.len() {\n        0 => None,\n        length => Some((line, length as u64)),\n    });\n    lengths.print()",
            ),
        ],
    ),
    (
        "E0503",
        "statement/for",
        &[("    for stream in [lines] {\n        stream.print();\n    }\n", "")],
    ),
    (
        "E0504",
        "statement/loop",
        &[(
            "    loop {\n        lines.print();\n    }\n    while true {\n        lines.print();\n    }\n",
            "",
        )],
    ),
    ("E0505", "statement/return", &[("    return;\n", "")]),
    (
        "E0506",
        "statement/break",
        &[("    break;\n", ""), ("lines.print()", "lines.filter(|line| !line.is_empty()).print()")],
    ),
    ("E0507", "statement/try", &[("()?", "().unwrap_or(3)")]),
    ("E0508", "statement/await", &[(".await", "")]),
    ("E0509", "statement/block", &[("    {\n        lines.print();\n    }\n", "")]),
    ("E0510", "statement/assignment", &[("    least = 4;\n", ""), ("least = 3", "least = 4")]),
    (
        "E0511",
        "statement/item",
        &[
            ("    fn long(line: &str) -> bool {\n        line.len() > 80\n    }\n", ""),
            (
                "#[dstream::job]",
                "fn long(line: &str) -> bool {\n    line.len() > 80\n}\n\n#[dstream::job]",
            ),
        ],
    ),
    (
        "E0512",
        "statement/macro",
        &[
            ("    println!(\"{}\", 1);\n", ""),
            ("lines.print()", r#"lines.inspect(|line| println!("{line}")).print()"#),
        ],
    ),
    ("E0513", "statement/expression", &[("    std::thread::yield_now();\n", "")]),
    (
        "E0514",
        "statement/let_else",
        &[(
            "let Some(least) = Some(3) else {\n        panic!()\n    };",
            "let least = Some(3).unwrap_or(9);",
        )],
    ),
    (
        "E0601",
        "determinism/clock",
        &[(
            "|line| (line, std::time::Instant::now().elapsed().as_secs())",
            "|line, ctx| (line, ctx.batch_time())",
        )],
    ),
    (
        "E0602",
        "determinism/no_reason",
        &[("#[allow_nondeterminism]", r#"#[allow_nondeterminism = "only people read it"]"#)],
    ),
];
