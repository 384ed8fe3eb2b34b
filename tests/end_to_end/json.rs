//! JSON in and out, judged by Python's `json`.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::job::{Ended, Job, shell};
use crate::published::Published;

fn samples(dir: &Path, source: &str) -> Job {
    Job::example("samples").current_dir(dir).source("samples", source).args(["--partitions", "1"])
}

/// Runs a Python program in a directory; returns its output.
fn python(dir: &Path, program: &str) -> String {
    fs::write(dir.join("program.py"), program).expect("there is room");
    shell(dir, "python3 program.py")
}

/// Writes `samples.json`: values that are easily read or written wrong.
const WRITE: &str = r#"
import json, random, struct
random.seed(7)
texts = ["", "a", "\u0000\u001f\u007f\u0080", "\u2028\u2029\ufeff\ufffd\uffff", "\U0001f600\U0010ffff", "\"\\/\b\f\n\r\t",
         "e\u0301\u00e9", "null", "NaN", "[1]", " lead and trail ", "x" * 5000]
floats = [0.0, -0.0, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, -1.7976931348623157e308, 0.1, 1/3, 1e21,
          1e22, 1e23, 123456789012345680.0, 9007199254740993.0, 1.0, -1.5e-7]
floats += [struct.unpack("<d", random.getrandbits(63).to_bytes(8, "little"))[0] for _ in range(300)]
floats = [f for f in floats if f == f and abs(f) != float("inf")]
singles = [struct.unpack("<f", struct.pack("<f", f))[0] for f in (0.1, -0.0, 3.4028234663852886e38, 1e-45, 16777217.0)]
with open("samples.json", "w", encoding="utf-8") as out:
    for n, ratio in enumerate(floats):
        text = texts[n % len(texts)]
        sample = {
            "id": [0, 1, 2**53 + 1, 2**63, 2**64 - 1][n % 5],
            "delta": [1, -1, 2**63 - 1, -2**63, 7][n % 5],
            "ratio": ratio,
            "small": singles[n % len(singles)],
            "name": text,
            "letter": ["x", "\u00e9", "\U0001f600", "\u0000", "\""][n % 5],
            "flag": n % 2 == 0,
            "tags": [text] * (n % 3),
            "at": [n / 7, -n],
            "place": {"city": text, "zone": [None, 255][n % 2]},
            "type": [None, "", "t"][n % 3],
        }
        items = list(sample.items())
        random.shuffle(items)
        if n % 4 == 0 and sample["type"] is None:
            items = [item for item in items if item[0] != "type"]
        print(json.dumps(dict(items + [("unknown", [sample])]), ensure_ascii=n % 2 == 0), file=out)
"#;

/// Compares written and read values, floats by their bits as singles.
const COMPARE: &str = r#"
import glob, json, struct
def lines(pattern):
    text = "".join(open(name, encoding="utf-8", newline="").read() for name in sorted(glob.glob(pattern)))
    assert text.endswith("\n")
    def strict(name): raise ValueError(name)
    return [json.loads(line, parse_constant=strict) for line in text[:-1].split("\n")]
def bits(f): return struct.pack("<d", f)
read, same = lines("samples.json"), lines("same/*/part-*.json")
ratios, places, triples = lines("ratios/*/part-*.json"), lines("places/*/part-*.json"), lines("triples/*/part-*.json")
assert len(read) == len(same) == len(ratios) == len(places) == len(triples) > 300
for a, b, ratio, place, triple in zip(read, same, ratios, places, triples):
    a.pop("unknown")
    a.setdefault("type", None)
    assert bits(a["ratio"]) == bits(b["ratio"]), (a, b)
    assert struct.pack("<f", a["small"]) == struct.pack("<f", b["small"]), (a, b)
    a["small"] = b["small"]
    assert a == b, (a, b)
    assert list(ratio) == ["key", "value"] and ratio["key"] == a["name"], ratio
    assert bits(ratio["value"]) == bits(a["ratio"] / a["delta"]), (ratio, a)
    assert place == {"key": a["place"], "value": [a["id"], a["type"]]}, place
    assert triple == {"_0": a["name"], "_1": a["at"], "_2": a["flag"]}, triple
print(len(read))
"#;

#[test]
fn what_is_written_is_what_python_reads_and_what_we_read_back() {
    let dir = tempfile::tempdir().expect("a directory");
    python(dir.path(), WRITE);
    let run = |source: &str, out: &str| {
        let files =
            |job: Job, name: &str| job.files(name, "json", &dir.path().join(out).join(name));
        let job = ["same", "ratios", "places", "triples"]
            .into_iter()
            .fold(samples(dir.path(), source), files);
        job.args(["--summary", "json"]).run().code(0)
    };
    let done = run("samples.json", ".");
    assert_eq!(done.summary()["sources"][0]["dead_letters"], 0, "{}", done.said());
    assert!(python(dir.path(), COMPARE).trim().parse::<u64>().is_ok_and(|lines| lines > 300));
    let first = Published::read(&dir.path().join("same"));
    fs::write(dir.path().join("again.json"), first.lines().join("\n") + "\n")
        .expect("there is room");
    run("again.json", "again");
    assert_eq!(Published::read(&dir.path().join("again/same")).lines(), first.lines());
}

fn sample(ratio: &str, delta: i64) -> String {
    format!(
        "{{\"id\":1,\"delta\":{delta},\"ratio\":{ratio},\"small\":0,\"name\":\"n\",\"letter\":\"x\",\"flag\":true,\
         \"tags\":[],\"at\":[0,0],\"place\":{{\"city\":\"Ulm\"}}}}\n"
    )
}

#[test]
fn floats_that_json_has_no_number_for_stop_the_job_or_are_strings() {
    let dir = tempfile::tempdir().expect("a directory");
    for (ratio, name) in [("0", "NaN"), ("1", "Infinity"), ("-1", "-Infinity")] {
        let lines = [sample("1", 4), sample(ratio, 0)].concat();
        fs::write(dir.path().join("in.json"), lines).expect("there is room");
        let out = dir.path().join(name);
        let done = samples(dir.path(), "in.json").files("ratios", "json", &out).run().code(1);
        done.says(&[
            "error: `ratios`: save at tests/jobs/samples.rs:",
            &format!("JSON has no number for {name}"),
            "the record \"n\\t",
            "`?floats=string` in the URL of the output",
            "after 1 attempt",
        ]);
        assert!(Published::read(&out).batches().is_empty(), "nothing of the batch is visible");
        // Text and CSV can represent it.
        samples(dir.path(), "in.json")
            .files("ratios", "csv", &dir.path().join("csv").join(name))
            .run()
            .code(0);
        let job = samples(dir.path(), "in.json");
        let url = format!("json+file://{}?fsync=false&floats=string", out.display());
        job.sink("ratios", url).run().code(0);
        let expected = [json!({"key": "n", "value": 0.25}), json!({"key": "n", "value": name})];
        let read = Published::read(&out)
            .lines()
            .iter()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect::<Vec<Value>>();
        assert_eq!(read, expected);
    }
    let wrong = samples(dir.path(), "in.json").sink("ratios", "json+stdout:?floats=null").run();
    wrong.code(2).says(&["`floats=null`: expected `string` or `refuse`"]);
}

#[test]
fn such_strings_are_read_only_if_the_source_says_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let lines: String =
        ["\"NaN\"", "\"Infinity\"", "\"-Infinity\"", "\"nan\"", "\"1\"", "NaN", "null", "2"]
            .iter()
            .map(|ratio| sample(ratio, 1))
            .collect();
    fs::write(dir.path().join("in.json"), lines).expect("there is room");
    let run = |source: &str, out: &str| {
        let url =
            format!("json+file://{}?fsync=false&floats=string", dir.path().join(out).display());
        let job = samples(dir.path(), source).sink("same", url).args(["--summary", "json"]);
        let dead = dir.path().join(out).with_extension("dead");
        let done = job.files("samples.dead", "json", &dead).run().code(0);
        let dead = done.summary()["sources"][0]["dead_letters"].as_u64();
        let ratio =
            |line: &&str| serde_json::from_str::<Value>(line).expect("JSON")["ratio"].clone();
        (dead, Published::read(&dir.path().join(out)).lines().iter().map(ratio).collect::<Vec<_>>())
    };
    assert_eq!(run("in.json", "refused"), (Some(7), vec![json!(2.0)]));
    let strings = vec![json!("NaN"), json!("Infinity"), json!("-Infinity"), json!(2.0)];
    assert_eq!(run("in.json?floats=string", "strings"), (Some(4), strings));
    let hint = shell(dir.path(), "cat refused.dead/*/part-*");
    assert!(hint.contains("only with `floats=string` in the source's URL"), "{hint}");
    let done: Ended = samples(dir.path(), "in.json?floats=yes").run();
    done.code(2).says(&["`floats=yes`", "`string` or `refuse`"]);
}

/// Invalid samples, and a part of the expected reason.
fn hostile() -> Vec<(Vec<u8>, &'static str)> {
    let good = sample("1", 1).trim_end().to_owned();
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replace(from, to).into_bytes()
    };
    vec![
        (
            b"[1,1,1,0,\"n\",\"x\",true,[],[0,0],{\"city\":\"Ulm\"},null]".to_vec(),
            "not a `Sample`: an array, expected an object with the fields of `Sample` at line 1 column 1",
        ),
        (
            with("{\"city\":\"Ulm\"}", "[\"Ulm\",1]"),
            "not a `Sample`: `place`: an array, expected an object with the fields of `Place`",
        ),
        (
            with("{\"city\":\"Ulm\"}", "{\"zone\":1}"),
            "not a `Sample`: `place.city`: the field is missing at line 1 column",
        ),
        (with("\"id\":1,", ""), "not a `Sample`: `id`: the field is missing"),
        (with("\"id\":1,", "\"id\":1,\"id\":1,"), "`id`: the field occurs twice"),
        (
            with("\"city\":\"Ulm\"", "\"city\":\"Ulm\",\"city\":\"Ulm\""),
            "`place.city`: the field occurs twice",
        ),
        (
            with("\"id\":1", "\"id\":18446744073709551616"),
            "`id`: the number 1.8446744073709552e19, expected a number (`u64`)",
        ),
        (
            with("\"id\":1", "\"id\":-1"),
            "`id`: invalid value: integer `-1`, expected a number (`u64`)",
        ),
        (with("\"id\":1", "\"id\":1.0"), "`id`: the number 1.0, expected"),
        (
            with("\"small\":0", "\"small\":1e39"),
            "`small`: the number 1e39 is out of range, expected a number (`f32`)",
        ),
        (with("\"ratio\":1", "\"ratio\":1e309"), "`ratio`: number out of range"),
        (with("\"name\":\"n\"", "\"name\":\"\\ud800\""), "not a `Sample`: `name`: "),
        (with("\"name\":\"n\"", "\"name\":\"\\udc00\\ud800\""), "not a `Sample`: `name`: "),
        (with("\"name\":\"n\"", "\"name\":\"\u{1}\""), "`name`: control character"),
        (with("\"name\":\"n\"", "\"name\":null"), "`name`: `null`, expected a string"),
        (
            with("\"letter\":\"x\"", "\"letter\":\"xy\""),
            "`letter`: invalid value: string \"xy\", expected a string of one character",
        ),
        (
            with("\"tags\":[]", "\"tags\":[\"a\",7]"),
            "`tags[1]`: invalid type: integer `7`, expected a string",
        ),
        (with("\"at\":[0,0]", "\"at\":[0]"), "`at`: invalid length 1"),
        (with("\"at\":[0,0]", "\"at\":[0,0,0]"), "`at`: more than 2 parts"),
        (
            with("\"flag\":true", "\"flag\":1"),
            "`flag`: invalid type: integer `1`, expected `true` or `false`",
        ),
        (
            good.as_bytes()[..good.len() - 1].to_vec(),
            "EOF while parsing an object at line 1 column",
        ),
        ([good.as_bytes(), b" x"].concat(), "trailing characters at line 1 column"),
        (good.replace('"', "'").into_bytes(), "key must be a string at line 1 column 2"),
        ([&good.as_bytes()[..20], b"\xff\xfe"].concat(), "is not UTF-8"),
        (b"nonsense".to_vec(), "not a `Sample`: expected ident at line 1 column 2"),
    ]
}

#[test]
fn invalid_records_are_reported_with_type_path_and_place() {
    let dir = tempfile::tempdir().expect("a directory");
    // The first line is a whole value, so the format is one value per line.
    let (cases, mut bytes, mut positions) = (hostile(), sample("1", 1).into_bytes(), Vec::new());
    for (line, _) in &cases {
        positions.push(bytes.len() as u64);
        bytes.extend_from_slice(line);
        bytes.push(b'\n');
        bytes.extend_from_slice(sample("1", 1).as_bytes());
    }
    fs::write(dir.path().join("in.json"), &bytes).expect("there is room");
    let job = samples(dir.path(), "in.json").args(["--summary", "json"]);
    let job = job.files("same", "json", &dir.path().join("out"));
    let done = job.files("samples.dead", "json", &dir.path().join("dead")).run().code(0);
    let source = &done.summary()["sources"][0];
    assert_eq!(source["records"], cases.len() + 1);
    assert_eq!(source["dead_letters"], cases.len());
    assert_eq!(Published::read(&dir.path().join("out")).lines().len(), cases.len() + 1);
    let dead = Published::read(&dir.path().join("dead"));
    let dead = dead.lines();
    assert_eq!(dead.len(), cases.len());
    for ((letter, (line, why)), position) in dead.iter().zip(&cases).zip(positions) {
        let letter: Value = serde_json::from_str(letter).expect("JSON");
        let reason = letter["reason"].as_str().expect("it has one");
        assert!(reason.contains(why), "{}: {reason}", String::from_utf8_lossy(line));
        assert!(!reason.contains("Draft"), "{reason}");
        assert_eq!(letter["position"], position);
    }
}
