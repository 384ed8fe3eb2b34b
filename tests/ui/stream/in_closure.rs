//! A stream inside a closure.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let stop_words = source::text("file:stop");
    let kept = lines.filter(|line| !stop_words.contains(line));
    kept.print();
    stop_words.print();
}

dstream::main!(job);
