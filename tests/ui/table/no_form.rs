//! Operators that meet two streams by batch, with a table.

#[dstream::job]
fn job() {
    let pages = table::csv::<(String, String)>("file:pages.csv");
    let views = source::csv::<(String, String)>("file:views.csv");
    views.full_outer_join(pages).print();
    views.cogroup(views.latest_by_key()).print();
}

dstream::main!(job);
