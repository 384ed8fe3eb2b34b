//! A struct around something that is no record, which is used, and one whose name in text is said.

use dstream::prelude::*;

#[derive(Record)]
struct Folder(std::path::PathBuf);

#[derive(Record)]
#[record(rename_all = "camelCase")]
struct Account(u64);

#[dstream::job]
fn job() {
    let folders = source::text("file:folders").map(|line| (Folder(line.into()), 1u64));
    folders.reduce_by_key(|a, b| a + b).print();
}

dstream::main!(job);
