//! Fields of every type, through files of CSV and JSON and back, with Python as the other side.

use std::fs;
use std::path::Path;

use crate::job::{Ended, Job, shell};

/// Writes the same events as CSV, as JSON with other names, and as the example is to write them.
const WRITE: &str = r#"python3 -c '
import csv, datetime, json, random
random.seed(5)
rows = []
for n in range(300):
    ms = random.randrange(1_790_000_000_000, 1_800_000_000_000)
    at = datetime.datetime.fromtimestamp(ms // 1000, datetime.timezone.utc)
    seconds, nanos = random.randrange(100_000), random.choice([0, 0, 5, 500_000_000, 123_456_789])
    address = random.choice(["10.1.2.3", "2001:db8::7", "255.255.255.255"])
    rows.append({
        "at": at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03}Z",
        "account": random.randrange(1 << 64),
        "action": random.choice(["view", "add-to-cart", "purchase"]),
        "sourceAddress": address,
        "took": (f"{seconds}.{nanos:09}".rstrip("0") if nanos else str(seconds)) + "s",
        "amount": random.choice([0, -5, 10**30, -(2**127), 2**64]),
        "country": random.choice(["", "de", "a,b", "\"x\""]),
        "type": random.choice([None, "view"]),
    })
with open("events.csv", "w", newline="") as file:
    names = ["type", "cents", "at", "sourceAddress", "more", "account", "took", "action", "country"]
    out = csv.writer(file, lineterminator="\n")
    out.writerow(names)
    for n, row in enumerate(rows):
        written = {**row, "cents": row["amount"], "more": "x"}
        if n % 3 == 0:
            written["at"] = int(datetime.datetime.fromisoformat(row["at"].replace("Z", "+00:00")).timestamp() * 1000 + 0.5)
        out.writerow(["" if written[name] is None else written[name] for name in names])
with open("events.json", "w") as file:
    for n, row in enumerate(rows):
        other = {("price" if n % 2 else "amount") if name == "amount" else name: value for name, value in row.items()}
        other["seen"] = 9
        if not other["country"]:
            del other["country"]
        if n % 5 == 0 and other["type"] is None:
            del other["type"]
        print(json.dumps(other), file=file)
with open("expected.json", "w") as file:
    for row in rows:
        print(json.dumps(row, separators=(",", ":"), ensure_ascii=False), file=file)
with open("expected.csv", "w", newline="") as file:
    out = csv.DictWriter(file, list(rows[0]))
    out.writeheader()
    out.writerows(rows)
'"#;

fn records(dir: &Path, job: &str) -> Job {
    let job = Job::example("records").current_dir(dir).args(["--job", job, "--partitions", "1"]);
    job.files("as_csv", "csv", &dir.join("csv")).files("as_json", "json", &dir.join("json"))
}

/// Compares the outputs with what Python has expected, and removes them.
fn as_expected(dir: &Path, which: &str) {
    let script = r#"cat json/*/part* | cmp - expected.json
    python3 -c '
import csv, glob
part, = glob.glob("csv/*/part*")
found = list(csv.reader(open(part, newline="")))
expected = list(csv.reader(open("expected.csv", newline="")))[1:]
assert found == expected, [pair for pair in zip(found, expected) if pair[0] != pair[1]][:2]
'
    mkdir -p kept; cat json/*/part* > kept/json; cat expected.csv | head -n 1 > kept/csv; cat csv/*/part* >> kept/csv; rm -r json csv"#;
    shell(dir, script);
    assert!(dir.join("kept/csv").exists(), "{which}");
}

#[test]
fn every_type_is_read_and_written_as_python_does_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path();
    shell(dir, WRITE);
    records(dir, "rows").source("events", "events.csv").run().code(0);
    as_expected(dir, "from CSV");
    records(dir, "objects").source("events", "events.json").run().code(0);
    as_expected(dir, "from JSON");
    // What was written is read back.
    records(dir, "objects").source("events", "kept/json").run().code(0);
    as_expected(dir, "from its JSON");
    records(dir, "rows").source("events", "kept/csv").run().code(0);
    as_expected(dir, "from its CSV");
}

#[test]
fn a_value_that_is_none_of_its_type_is_said_at_its_field() {
    let dir = tempfile::tempdir().expect("a directory");
    let good = r#"{"at":1796047200000,"account":1,"action":"view","sourceAddress":"::1","took":"5s","amount":1}"#;
    let run = |from: &str, to: &str| -> Ended {
        let line = good.replace(from, to);
        assert_ne!(line, good, "{from}");
        let path = dir.path().join("events.json");
        fs::write(path, format!("{good}\n{line}\n")).expect("there is room");
        records(dir.path(), "objects").args(["--overwrite"]).run().code(0)
    };
    let cases = [
        (
            r#""at":1796047200000"#,
            r#""at":"soon""#,
            "`at`: invalid value: string \"soon\", expected a date like",
        ),
        (r#""action":"view""#, r#""action":"vew""#, "`action`: "),
        (
            r#""action":"view""#,
            r#""action":3"#,
            "expected one of \"view\", \"add-to-cart\", \"purchase\"",
        ),
        (
            r#""sourceAddress":"::1""#,
            r#""sourceAddress":"1.2.3""#,
            "`sourceAddress`: invalid value: string \"1.2.3\", expected an IP address",
        ),
        (
            r#""took":"5s""#,
            r#""took":5"#,
            "`took`: invalid type: integer `5`, expected a duration like",
        ),
        (r#","amount":1"#, "", "`amount`: the field is missing"),
        (r#""amount":1"#, r#""amount":1,"cents":2"#, "`amount`: the field occurs twice"),
    ];
    for (from, to, why) in cases {
        let said = run(from, to).said();
        assert!(said.contains(why), "{to}: {said}");
    }
    let csv = "at,account,action,sourceAddress,took,amount\n1796047200000,1,buy,::1,5s,1\n1796047200000,1,view,::1,5s,1\n";
    fs::write(dir.path().join("events.csv"), csv).expect("there is room");
    let done = records(dir.path(), "rows").args(["--overwrite"]).run().code(0);
    done.says(&[
        "field 3 is \"buy\", which is no Action: it is one of `view`, `add-to-cart`, `purchase`",
    ]);
}
