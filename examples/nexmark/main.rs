//! Nexmark: questions about an auction house, q0 to q22 as the suites of Apache Beam and Flink number them. Each is a job.
//!
//! ```text
//! cargo run --release --example nexmark -- --job q5
//! cargo run --release --example nexmark -- --job q4 --source 'events=nexmark://events?records=10000000&rate=100000' --sink result=none:
//! cargo run --release --example nexmark -- --job events --sink events=json+file://out/events   # to feed another system
//! ```

mod events;
mod queries;

use events::NEXMARK;
use queries::{
    events, q0, q1, q2, q3, q4, q5, q6, q7, q8, q9, q10, q11, q12, q13, q14, q15, q16, q17, q18,
    q19, q20, q21, q22,
};

dstream::main!(
    events, q0, q1, q2, q3, q4, q5, q6, q7, q8, q9, q10, q11, q12, q13, q14, q15, q16, q17, q18, q19, q20, q21, q22;
    sources = [NEXMARK]
);
