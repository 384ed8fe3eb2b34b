//! A table whose keys are of another type than those of the stream.

#[dstream::job]
fn job() {
    let pages = table::csv::<(u64, String)>("file:pages.csv");
    let views = source::csv::<(String, String)>("file:views.csv");
    views.join(pages).print();
}

dstream::main!(job);
