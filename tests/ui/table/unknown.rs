//! Tables of a format that there is not, and without their type.

#[dstream::job]
fn job() {
    let views = source::csv::<(String, String)>("file:views.csv");
    views.join(table::parquet("file:pages")).print();
    views.join(table::csv("file:pages.csv")).print();
}

dstream::main!(job);
