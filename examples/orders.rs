//! The life of orders: each is to be paid within ten seconds, or it is cancelled, and shipped within twenty more, or it is
//! reported. State of its own type per order, with timers.
//!
//! ```text
//! cargo run --release --example orders                       # a file, three of its rows as one second
//! cargo run --release --example orders -- --source steps=tcp://127.0.0.1:9000
//! ```

use dstream::prelude::*;

/// What happened to an order: it was `placed`, `paid` or `shipped`.
#[derive(Record)]
struct Step {
    order: u64,
    what: String,
}

/// What is kept of an order that is not done.
#[derive(Record, Default)]
struct Order {
    placed: u64,
    paid: bool,
}

/// How long an order may wait for its payment, and after that to be shipped, in milliseconds.
const TO_PAY: u64 = 10_000;
const TO_SHIP: u64 = 20_000;

#[dstream::job(interval = "1s")]
fn orders() {
    let steps = source::csv::<Step>("examples/orders.csv?batch_records=3&windows=batches");
    let by_order = steps.map(|step| (step.order, step.what));
    let results = by_order.track(
        |order, what, state: &mut State<Order>, ctx| {
            let now = ctx.batch_time();
            match (what, state.get_mut()) {
                ("placed", None) => {
                    state.set(Order { placed: now, paid: false });
                    ctx.timer(now + TO_PAY);
                    None
                }
                ("paid", Some(known)) if !known.paid => {
                    known.paid = true;
                    ctx.cancel_timers();
                    ctx.timer(now + TO_SHIP);
                    None
                }
                ("shipped", Some(known)) if known.paid => {
                    let took = now - known.placed;
                    state.remove();
                    Some((order, "done", took))
                }
                _ => Some((order, "out of order", 0)),
            }
        },
        on_timer = |order, at, state: &mut State<Order>| {
            let known = state.get_mut()?;
            let (waited, paid) = (at - known.placed, known.paid);
            if paid {
                return Some((order, "not shipped", waited));
            }
            state.remove();
            Some((order, "cancelled", waited))
        },
    );
    results.save("csv+stdout:");
}

dstream::main!(orders);
