//! A job that outputs its input, in each format: `tests/end_to_end` compares the two.

use dstream::prelude::*;

/// The content of a row or object.
#[derive(Record)]
struct Entry {
    name: String,
    note: Option<String>,
    n: f64,
}

/// The records as read.
#[dstream::job(interval = "20ms")]
fn echo() {
    let lines = source::text("generate://words?records=0");
    let rows = source::csv::<Entry>("generate://words?records=0");
    let values = source::json::<Entry>("generate://words?records=0");
    let text = lines.map(|line| line);
    let csv = rows.map(|row| row);
    let json = values.map(|value| value);
    text.save("none:");
    csv.save("none:");
    json.save("none:");
}

dstream::main!(echo);
