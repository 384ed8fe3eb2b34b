//! Records that make a function panic, with a source that treats them as dead letters: the output equals one
//! without these records.

use std::collections::BTreeMap;

use dstream::testing::{Done, Run};

use crate::{PARTITIONS, Tested, every};

/// The number of a line.
fn number(line: &str) -> u64 {
    line.parse().expect("every line is a number")
}

#[dstream::job]
fn tolerant() {
    let lines = source::text("none?on_panic=dead_letter");
    let even = lines.filter(|line| number(line) % 2 == 0);
    let copies =
        lines.flat_map(|line| (0..number(line) % 3).map(|n| 1000 / (n + 9 - number(line) % 10)));
    let sums = lines.map(|line| (number(line) % 5, number(line))).reduce_by_key(|a, b| a + b);
    let total = lines.map(|line| number(line)).reduce(|a, b| a + b);
    even.save("none:");
    copies.save("none:");
    sums.save("none:");
    total.save("none:");
}

/// Lines of which every `nth` is not a number; those that end in 9 make `copies` panic at its first item.
fn lines(of: u64, nth: u64) -> Vec<String> {
    let line = |n: u64| if n.is_multiple_of(nth) { format!("line {n}") } else { n.to_string() };
    (0..of).map(line).collect()
}

/// The valid numbers, found by a plain loop.
fn taken(lines: &[String]) -> Vec<u64> {
    let numbers = lines.iter().filter_map(|line| line.parse::<u64>().ok());
    numbers.filter(|n| n % 10 != 9 || n % 3 == 0).collect()
}

#[track_caller]
fn check(done: &Done, batch: u64, lines: &[String]) -> Tested {
    let numbers = taken(lines);
    let even: Vec<String> =
        numbers.iter().filter(|n| *n % 2 == 0).map(ToString::to_string).collect();
    assert_eq!(done.records::<String>("even", batch)?, even);
    let copies: Vec<u64> = numbers
        .iter()
        .flat_map(|number| (0..number % 3).map(move |n| 1000 / (n + 9 - number % 10)))
        .collect();
    assert_eq!(done.records::<u64>("copies", batch)?, copies);
    let mut sums = BTreeMap::<u64, u64>::new();
    numbers.iter().for_each(|n| *sums.entry(n % 5).or_default() += n);
    assert_eq!(done.sorted::<(u64, u64)>("sums", batch)?, Vec::from_iter(sums));
    let total: Vec<u64> = numbers.iter().copied().reduce(|a, b| a + b).into_iter().collect();
    assert_eq!(done.records::<u64>("total", batch)?, total);
    Ok(())
}

#[test]
fn what_panics_is_left_out_everywhere_and_set_aside() -> Tested {
    every(|partitions| {
        for threads in [1, 2] {
            let batches = [lines(1000, 97), lines(50, 1), lines(200, 1000)];
            let run = Run::new(tolerant).input("lines", batches.clone());
            let done = run.partitions(partitions).threads(threads).run()?;
            for (batch, lines) in (1..).zip(&batches) {
                check(&done, batch, lines)?;
            }
            let dead = done.dead_letters("lines")?;
            let count: usize = batches.iter().map(|lines| lines.len() - taken(lines).len()).sum();
            assert_eq!(dead.len(), count);
            assert_eq!((dead[0].position, &*dead[0].text), (0, "line 0"));
            assert!(
                dead[0].reason.starts_with("panicked: every line is a number"),
                "{:?}",
                dead[0]
            );
            assert!(dead[0].reason.contains("poison.rs:"), "{:?}", dead[0]);
            let divided = dead.iter().find(|letter| letter.text == "19").expect("19 % 3 is 1");
            assert!(divided.reason.contains("divide by zero"), "{divided:?}");
        }
        Ok(())
    })
}

#[dstream::job]
fn overflowing() {
    let lines = source::text("none?on_panic=dead_letter");
    let sums = lines
        .map(|line| (line.len(), number(line) as u8))
        .reduce_by_key(|a, b| a.checked_add(b).expect("the sum is small"));
    sums.save("none:");
}

#[test]
fn a_panic_that_no_record_alone_causes_stops_the_job() -> Tested {
    for partitions in PARTITIONS {
        let ok = vec!["200".to_owned(), "x".to_owned(), "55".to_owned()];
        let done = Run::new(overflowing).input("lines", [ok]).partitions(partitions).run()?;
        assert_eq!(done.sorted::<(usize, u8)>("sums", 1)?, [(2, 55), (3, 200)]);
        let large = vec!["200".to_owned(), "x".to_owned(), "100".to_owned()];
        let failed = Run::new(overflowing).input("lines", [large]).partitions(partitions).run();
        let error = failed.err().expect("neither of the two is to blame").to_string();
        assert!(error.contains("the sum is small"), "{error}");
    }
    Ok(())
}
