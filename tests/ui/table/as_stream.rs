//! A table where a stream is: an output, an operator over batches, a union, event time.

#[dstream::job]
fn job() {
    let pages = table::csv::<(String, String)>("file:pages.csv");
    let views = source::csv::<(String, String)>("file:views.csv");
    pages.print();
    pages.map(|(url, title)| (title, url)).reduce_by_key(|a, _| a).print();
    views.union(pages).print();
    pages.union(views).print();
    pages.event_time(|_| 0i64, "1s").print();
}

dstream::main!(job);
