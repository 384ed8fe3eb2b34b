//! A job of two CSV sources: `tests/end_to_end` gives them pipes.

use dstream::prelude::*;

/// One order.
#[derive(Record)]
struct Order {
    customer: String,
    cents: u64,
}

/// Cents per customer and batch, of both sources.
#[dstream::job(interval = "1s")]
fn two_sources() {
    let shop = source::csv::<Order>("/dev/null");
    let phone = source::csv::<Order>("/dev/null");
    let both = shop.union(phone);
    let paid = both.map(|order| (order.customer, order.cents));
    let totals = paid.running_reduce(|a, b| a + b);
    totals.save("none:");
}

dstream::main!(two_sources);
