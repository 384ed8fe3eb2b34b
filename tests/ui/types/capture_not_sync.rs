//! A `let` that cannot be shared between threads.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let seen = std::rc::Rc::new(3);
    lines.filter(|line| line.len() > *seen).print();
}

dstream::main!(job);
