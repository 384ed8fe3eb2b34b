//! Nexmark: every question is answered as a few lines of Python answer it (`nexmark.py`), however the input is cut.

use std::fs;
use std::path::Path;

use crate::job::{Job, shell};

/// Events: some of two days.
const EVENTS: u64 = 25_000;
const RATE: u64 = 500;

fn question(job: &str) -> Job {
    Job::example("nexmark").current_dir(dstream_tests::workspace()).args(["--job", job])
}

fn events(options: &str) -> String {
    format!("events=nexmark://events?records={EVENTS}&rate={RATE}{options}")
}

/// Writes what each question answers, in a file of its own, and compares all.
fn answers_are_those_of_python(dir: &Path, options: &str, arguments: &[&str]) {
    let written = dir.join("events.json");
    let all = question("events").args(["--source", &events("")]).run().code(0).out;
    fs::write(&written, all.join("\n") + "\n").expect("there is room");
    for number in 0..=22 {
        let cut = match number {
            12 => "&batch_records=1000&windows=batches".to_owned(),
            // Who sells and what is sold is known before the first auction and the first bid.
            3 | 20 if !options.is_empty() => format!("{options}&join=batch"),
            _ => options.to_owned(),
        };
        let job = question(&format!("q{number}")).args(["--source", &events(&cut)]);
        let done = job.sink("result", "csv+stdout:").args(arguments).run().code(0);
        fs::write(dir.join(format!("q{number}.csv")), done.out.join("\n") + "\n")
            .expect("there is room");
    }
    let (written, dir) = (written.display(), dir.display());
    let script = format!("python3 tests/end_to_end/nexmark.py {written} {dir} 2>&1 || echo FAILED");
    let said = shell(dstream_tests::workspace(), &script);
    assert_eq!(said, "");
}

#[test]
fn in_one_batch() {
    let dir = tempfile::tempdir().expect("a directory");
    answers_are_those_of_python(dir.path(), "", &[]);
}

#[test]
fn in_batches_of_any_size_on_any_number_of_partitions() {
    let dir = tempfile::tempdir().expect("a directory");
    answers_are_those_of_python(dir.path(), "&batch_records=1733", &["--partitions", "3"]);
}

#[test]
fn by_three_workers() {
    let dir = tempfile::tempdir().expect("a directory");
    answers_are_those_of_python(dir.path(), "&batch_records=7000", &["--workers", "3"]);
}

#[test]
fn last_values_of_a_source_in_pieces_are_asked_for_by_name() {
    let cut = events("&batch_records=1000");
    let done = question("q3").args(["--source", &cut]).run().code(2);
    done.says(&[
        "`sold.join` (join, examples/nexmark/queries.rs:",
        "gives a record the last value of its key as of its batch",
        "if only values as of a batch are meant",
        "&join=batch'",
    ]);
}

#[test]
fn what_binaries_of_several_jobs_have_is_asked_without_one() {
    let nexmark = |arguments: &[&str]| Job::example("nexmark").args(arguments).run();
    let help = nexmark(&["--help"]).code(0).out.join("\n");
    assert!(help.contains("Jobs: events, q0, q1,") && help.contains("JOB --job NAME"), "{help}");
    let sources = nexmark(&["sources"]).code(0).out.join("\n");
    assert!(sources.contains("nexmark://events"), "{sources}");
    nexmark(&["plan"]).code(2).says(&["say which job with --job: events, q0"]);
}

#[test]
fn orders_live_as_a_few_lines_of_python_say() {
    let root = dstream_tests::workspace();
    let mut out = Job::example("orders").current_dir(root).run().code(0).out;
    let script = r#"python3 -c '
import csv
state, results = {}, []
rows = list(csv.DictReader(open("examples/orders.csv")))
batches = [rows[i:i + 3] for i in range(0, len(rows), 3)]
for now, batch in enumerate(batches, 1):
    for order, (placed, paid, timer) in list(state.items()):
        if timer == now:
            results.append((order, "not shipped" if paid else "cancelled", now - placed))
            if paid:
                state[order] = (placed, paid, None)
            else:
                del state[order]
    for row in batch:
        order, what = row["order"], row["what"]
        placed, paid, _ = state.get(order, (None, None, None))
        if what == "placed" and placed is None:
            state[order] = (now, False, now + 10)
        elif what == "paid" and paid is False:
            state[order] = (placed, True, now + 20)
        elif what == "shipped" and paid:
            results.append((order, "done", now - placed))
            del state[order]
        else:
            results.append((order, "out of order", 0))
print("_0,_1,_2")
for order, what, seconds in results:
    print(f"{order},{what},{seconds * 1000}")
'"#;
    let mut expected: Vec<String> = shell(root, script).lines().map(str::to_owned).collect();
    out.sort_unstable();
    expected.sort_unstable();
    assert_eq!(out, expected);
    assert!(out.len() > 100);
}
