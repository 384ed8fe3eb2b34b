/// Arguments that are given by name.
#[dstream::job]
fn named() {
    let pairs = source::text("words.txt").map(|w| (w, 1u64));
    pairs.running_reduce(|a, b| a + b, expires_after = "30d").print();
    pairs.running_reduce(|a, b| a + b, expire_after = "30d", expire_after = "1h").print();
    pairs.running_reduce(|a, b| a + b, expire_after = 30).print();
    pairs.latest_by_key(expire_after = "0s").print();
    pairs.reduce_by_key(|a, b| a + b, expire_after = "30d").print();
    pairs.distinct_within("a while").print();
}

fn main() {}
