//! A job over JSON with every kind of field: `tests/end_to_end` compares its output with Python's.

use dstream::prelude::*;

/// Where a sample was taken.
#[derive(Record)]
struct Place {
    city: String,
    zone: Option<u8>,
}

/// A sample.
#[derive(Record)]
struct Sample {
    id: u64,
    delta: i64,
    ratio: f64,
    small: f32,
    name: String,
    letter: char,
    flag: bool,
    tags: Vec<String>,
    at: (f64, i32),
    place: Place,
    #[record(rename = "type")]
    kind: Option<String>,
}

/// Samples unchanged, and pairs and triples of their fields.
#[dstream::job(interval = "1s")]
fn samples() {
    let samples = source::json::<Sample>("none.json");
    let same = samples.map(|sample| sample);
    let ratios = samples.map(|sample| (sample.name, sample.ratio / sample.delta as f64));
    let places = samples.map(|sample| (sample.place, (sample.id, sample.kind)));
    let triples = samples.map(|sample| (sample.name, sample.at, sample.flag));
    same.save("none:");
    ratios.save("none:");
    places.save("none:");
    triples.save("none:");
}

dstream::main!(samples);
