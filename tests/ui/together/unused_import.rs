//! Only the mistake is shown, and no warning about what it leaves unused.

use dstream::prelude::*;

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.flat_map(|line| words(lin)).mapp(|word| word).print();
}

dstream::main!(job);
