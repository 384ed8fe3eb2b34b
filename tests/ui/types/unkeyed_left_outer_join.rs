//! A left outer join of streams without keys.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.left_outer_join(source::text("file:other")).print();
}

dstream::main!(job);
