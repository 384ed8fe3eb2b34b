//! The clock under an imported name.

use std::time::SystemTime;

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.map(|line| (line, SystemTime::now().elapsed().is_ok())).print();
}

dstream::main!(job);
