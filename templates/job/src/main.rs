//! Orders per customer: a running total and the largest of the last minute.

use dstream::prelude::*;

/// One order, as the shop reports it.
#[derive(Record)]
struct Order {
    customer: String,
    cents: u64,
}

#[dstream::params]
struct OrderParams {
    /// Orders below this many cents do not count
    #[arg(long, default_value_t = 100)]
    at_least: u64,
}

/// Running totals per customer, and the best customers of the last minute.
#[dstream::job(interval = "1s")]
fn orders(params: &OrderParams) {
    // Windows are of time, which a file has not: each batch of it stands for one interval.
    let orders = source::csv::<Order>("orders.csv?batch_records=1000&windows=batches");
    let paid = orders
        .filter(|order| order.cents >= params.at_least)
        .map(|order| (order.customer, order.cents));
    let totals = paid.running_reduce(|a, b| a + b);
    let best = paid.reduce_by_key_and_window(|a, b| a + b, "1m", "1s").top_k(3, |(_, cents)| cents);
    totals.save("csv+file://out/totals");
    best.print();
}

dstream::main!(orders);

#[cfg(test)]
mod tests {
    use dstream::testing::Run;

    use super::*;

    #[test]
    fn totals_run_over_batches() -> Result<(), dstream::testing::Error> {
        let order = |customer: &str, cents| Order { customer: customer.into(), cents };
        let done = Run::new(orders)
            .params(OrderParams { at_least: 100 })
            .input("orders", [vec![order("ann", 250), order("bob", 99)], vec![order("ann", 100)]])
            .run()?;
        assert_eq!(done.records::<(String, u64)>("totals", 1)?, [("ann".to_owned(), 250)]);
        assert_eq!(done.records::<(String, u64)>("totals", 2)?, [("ann".to_owned(), 350)]);
        Ok(())
    }
}
