//! A window of arrival time that is joined with a table.

#[dstream::job(interval = "1s")]
fn job() {
    let pages = table::csv::<(String, String)>("file:pages.csv");
    let views = source::csv::<(String, String)>("file:views.csv");
    views.window("10s", "5s").join(pages).print();
}

dstream::main!(job);
