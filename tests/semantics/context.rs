//! What closures ask about their batch: its time, its partition, and random numbers that come again.

use std::collections::BTreeSet;

use dstream::testing::{Done, Error, Run};

use crate::{Tested, every};

#[dstream::job(interval = "500ms")]
fn asking() {
    let lines = source::text("none");
    let times = lines.map(|line, ctx| (line, ctx.batch_time(), ctx.batch_date().to_string()));
    let places = lines.key_by(|line, _ctx| line.len() as u64).map_values(|_, ctx| ctx.partition());
    let late = lines.filter(|_, ctx| ctx.batch_time() > 500);
    let some = lines.filter_map(|line, ctx| (ctx.batch_time() == 1000).then_some(line));
    let many = lines.flat_map(|line, ctx| (0..2u64).map(move |i| (line, ctx.batch_time() + i)));
    let last = lines.top_k(1, |line, ctx| ctx.batch_time() * 10 + line.len() as u64);
    times.save("none:");
    places.save("none:");
    late.save("none:");
    some.save("none:");
    many.save("none:");
    last.save("none:");
}

#[test]
fn every_operator_of_a_record_knows_its_batch() -> Tested {
    let text = |text: &str| text.to_owned();
    every(|partitions| {
        let run = Run::new(asking).input("lines", [vec!["a", "bb"], vec!["c"]]);
        let done = run.partitions(partitions).run()?;
        let times = |batch| done.sorted::<(String, u64, String)>("times", batch);
        assert_eq!(
            times(1)?,
            [(text("a"), 500, text("500 ms")), (text("bb"), 500, text("500 ms"))]
        );
        assert_eq!(times(2)?, [(text("c"), 1000, text("1000 ms"))]);
        for (_, partition) in done.records::<(u64, u32)>("places", 1)? {
            assert!(partition < partitions);
        }
        assert!(done.records::<String>("late", 1)?.is_empty());
        assert_eq!(done.records::<String>("late", 2)?, ["c"]);
        assert_eq!(done.records::<String>("some", 2)?, ["c"]);
        assert!(done.records::<String>("some", 1)?.is_empty());
        let many = done.sorted::<(String, u64)>("many", 1)?;
        let expected = [("a", 500), ("a", 501), ("bb", 500), ("bb", 501)];
        assert_eq!(many, crate::pairs(&expected));
        assert_eq!(done.records::<String>("last", 1)?, ["bb"]);
        Ok(())
    })
}

#[dstream::job]
fn drawing() {
    let lines = source::text("none");
    let first = lines.map(|line, ctx| (line, ctx.rng().next_u64()));
    // The same again is another operator, with numbers of its own.
    let second = lines.map(|line, ctx| (line, ctx.rng().next_u64()));
    let kept = lines.filter(|_, ctx| ctx.rng().chance(0.5));
    let after = lines.map(|line| (line.len() as u64, line)).reduce_by_key(|a, _| a);
    let reduced = after.map_values(|line, ctx| (line, ctx.rng().below(1_000_000)));
    first.save("none:");
    second.save("none:");
    kept.save("none:");
    reduced.save("none:");
}

fn draw(partitions: u32, threads: u32, restarts: &[u64]) -> Result<Done, Error> {
    let batch = |n: u64| (0..40u64).map(move |i| "x".repeat((i * n % 17) as usize));
    let run = Run::new(drawing).input("lines", (1..=6).map(batch)).partitions(partitions);
    restarts.iter().fold(run.threads(threads), |run, batch| run.restart_after(*batch)).run()
}

fn all(done: &Done, output: &str) -> Result<Vec<Vec<String>>, Error> {
    (1..=6).map(|batch| done.lines(output, batch)).collect()
}

#[test]
fn random_numbers_come_again_when_a_batch_does() -> Tested {
    for partitions in [1, 3, 8] {
        let once = draw(partitions, 1, &[])?;
        for restarts in [&[][..], &[1, 2, 4], &[3]] {
            let again = draw(partitions, 3, restarts)?;
            for output in ["first", "second", "kept", "reduced"] {
                assert_eq!(all(&once, output)?, all(&again, output)?, "{output} {restarts:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn random_numbers_differ_between_records_batches_and_operators() -> Tested {
    let done = draw(3, 2, &[])?;
    let mut seen = BTreeSet::new();
    let mut kept = 0;
    for batch in 1..=6 {
        for output in ["first", "second"] {
            let drawn = done.records::<(String, u64)>(output, batch)?;
            seen.extend(drawn.into_iter().map(|(_, number)| number));
        }
        kept += done.records::<String>("kept", batch)?.len();
    }
    assert_eq!(seen.len(), 2 * 6 * 40);
    assert!((80..160).contains(&kept), "{kept} of 240");
    Ok(())
}
