//! A source of something that is no record.

#[dstream::job]
fn job() {
    let times = source::json::<std::time::Duration>("file:times");
    times.count().print();
}

dstream::main!(job);
