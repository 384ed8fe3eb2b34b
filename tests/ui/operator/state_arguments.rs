/// Arguments of `track` that are not right.
#[dstream::job]
fn sessions() {
    let pairs = source::text("words.txt").map(|w| (w, 1u64));
    pairs.track(|word, n, sum| Some(word), on_timeout = |word, sum| Some(word)).print();
    pairs.track(|word, n| Some(word)).print();
    pairs.track(|word, n, sum| Some(word), timeout = "30m", on_timeout = 5).print();
    pairs.track(|word, n, sum| Some(word), timeout = |word| 5).print();
    pairs.update_state_by_key(|values| None::<u64>).print();
}

fn main() {}
