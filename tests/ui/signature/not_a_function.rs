//! A job that is no function.

#[dstream::job]
struct Job {
    interval: u64,
}

fn main() {}
