//! A source of something that is no record.

#[dstream::job]
fn job() {
    let times = source::json::<std::path::PathBuf>("file:times");
    times.count().print();
}

dstream::main!(job);
