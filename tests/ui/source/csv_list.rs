//! A CSV source of records with a list, which no row can hold.

use dstream::prelude::*;

#[derive(Record)]
struct Order {
    id: u64,
    items: Vec<String>,
}

#[dstream::job]
fn job() {
    let orders = source::csv::<Order>("file:orders.csv");
    orders.map(|o| o.id).print();
}

dstream::main!(job);
