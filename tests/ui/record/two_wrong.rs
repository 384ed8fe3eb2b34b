//! Two wrong fields are two errors, whichever finds them: the derive or rustc.

use std::collections::HashSet;
use std::path::PathBuf;

use dstream::prelude::*;

struct Own;

#[derive(Record)]
struct Found {
    own: Own,
    spent: PathBuf,
}

#[derive(Record)]
struct Both {
    own: Option<Own>,
    tags: HashSet<String>,
}

#[dstream::job]
fn job() {
    let found = source::json::<Found>("file:found");
    let both = source::json::<Both>("file:both");
    found.map(|found| found.spent).print();
    both.map(|both| both).print();
}

dstream::main!(job);
