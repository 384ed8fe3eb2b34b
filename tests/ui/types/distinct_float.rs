//! `distinct` of records that cannot be compared.

#[dstream::job]
fn job() {
    let numbers = source::text("file:logs").filter_map(|line| line.parse::<f64>().ok());
    numbers.distinct().print();
}

dstream::main!(job);
