//! A job that puts out what it reads, in each of the formats: `tests/end_to_end` compares it with the input.

use dstream::prelude::*;

/// What a row or an object holds.
#[derive(Record)]
struct Entry {
    name: String,
    note: Option<String>,
    n: f64,
}

/// What was read, as it was read.
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
