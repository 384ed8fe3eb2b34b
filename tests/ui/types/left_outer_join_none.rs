//! The right side of a left outer join, used as if it were always there.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let ones = lines.map(|line| (line, 1u64));
    let both = ones.left_outer_join(ones.filter(|(_, n)| n > 1));
    both.map_values(|(left, right)| left + right).print();
}

dstream::main!(job);
