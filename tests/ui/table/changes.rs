//! A join with what was made of the changes of a table.

#[dstream::job]
fn job() {
    let views = source::csv::<(String, String)>("file:views.csv");
    let titles = views.latest_by_key().map_values(|title| title.len() as u64);
    views.join(titles).print();
}

dstream::main!(job);
