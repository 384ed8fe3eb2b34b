//! A table on the left of a join.

#[dstream::job]
fn job() {
    let pages = table::csv::<(String, String)>("file:pages.csv");
    let views = source::csv::<(String, String)>("file:views.csv");
    let last = views.latest_by_key();
    pages.join(views).print();
    last.left_outer_join(views).print();
    last.join(pages).print();
}

dstream::main!(job);
