//! A `map` whose closure returns a struct that is not marked.

struct Word {
    text: String,
}

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.map(|line| Word { text: line.to_owned() }).print();
}

dstream::main!(job);
