//! Long runs of batches without input: once a plan rests they publish nothing, and skipping whole cycles of
//! them does not change later batches. The engine relies on that when it skips time.

use std::collections::BTreeMap;

use dstream::prelude::*;
use dstream::testing::{Done, Error, Run};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

#[dstream::job]
fn windows() {
    let lines = source::text("none");
    let ones = lines.flat_map(|line| words(line)).map(|word| (word, 1u64));
    let running = ones.running_reduce(|a, b| a + b);
    let inverse = ones.reduce_by_key_and_window(|a, b| a + b, |a, b| a - b, "5s", "2s");
    let plain = ones.reduce_by_key_and_window(|a, b| a + b, "4s", "1s");
    let floats =
        ones.map_values(|n| n as f64 / 3.0).reduce_by_key_and_window(|a, b| a + b, "3s", "3s");
    let nested = inverse.map_values(|n| n * 10).reduce_by_key_and_window(|a, b| a + b, "6s", "6s");
    let rows = lines.window("4s", "2s");
    let top = plain.top_k(2, |(_, n)| n);
    let joined = plain.join(running);
    running.save("none:");
    inverse.save("none:");
    plain.save("none:");
    floats.save("none:");
    nested.save("none:");
    rows.save("none:");
    top.save("none:");
    joined.save("none:");
}

const OUTPUTS: [&str; 8] =
    ["running", "inverse", "plain", "floats", "nested", "rows", "top", "joined"];

type Lines = Vec<Vec<String>>;

/// The published lines of each output and batch.
fn published(done: &Done) -> Result<BTreeMap<(u64, &'static str), Vec<String>>, Error> {
    let mut all = BTreeMap::new();
    for output in OUTPUTS {
        for batch in 1..=done.batches() {
            let mut lines = done.lines(output, batch)?;
            lines.sort();
            if !lines.is_empty() {
                all.insert((batch, output), lines);
            }
        }
    }
    Ok(all)
}

fn run(
    before: &Lines,
    quiet: u64,
    after: &Lines,
    restart: u64,
    partitions: u32,
) -> Result<Done, Error> {
    let silence = vec![Vec::new(); quiet as usize];
    let batches: Lines = [before.clone(), silence, after.clone()].concat();
    let run = Run::new(windows).input("lines", batches).partitions(partitions);
    let run = if restart > 0 { run.restart_after(restart) } else { run };
    // The content of the windows is emitted.
    run.batches(before.len() as u64 + quiet + after.len() as u64 + 24).run()
}

fn lines() -> impl Strategy<Value = Lines> {
    let line = prop::sample::select(vec!["a", "a b", "b c c", "d a", "e"]).prop_map(str::to_owned);
    let batch = prop::collection::vec(line, 0..3);
    prop::collection::vec(batch, 1..9)
}

fn check(
    (before, after): (Lines, Lines),
    (extra, cycles): (u64, u64),
    (restart, partitions): (u64, u32),
) -> Result<(), TestCaseError> {
    let fail = |error: Error| TestCaseError::fail(error.to_string());
    let short = run(&before, 0, &vec![], 0, 1).map_err(fail)?;
    let rest = short.plan().rest(1000).expect("nothing in it counts nothing");
    let (cycle, first) = (short.plan().cycle(), before.len() as u64);
    let (kept, gap) = (rest + extra, cycles * cycle);
    let every = run(&before, kept + gap, &after, 0, partitions).map_err(fail)?;
    let restart = if restart > 0 { first + restart % (kept + 1) } else { 0 };
    let stepped = run(&before, kept, &after, restart, partitions).map_err(fail)?;
    let shifted = |((batch, output), lines): ((u64, &'static str), Vec<String>)| {
        let later = if batch > first + rest { gap } else { 0 };
        ((batch + later, output), lines)
    };
    let stepped: BTreeMap<_, _> =
        published(&stepped).map_err(fail)?.into_iter().map(shifted).collect();
    let every = published(&every).map_err(fail)?;
    prop_assert!(
        every.keys().all(|(batch, _)| !(first + rest < *batch && *batch <= first + kept + gap))
    );
    prop_assert_eq!(every, stepped);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn whole_cycles_of_silence_change_nothing(
        lines in (lines(), lines()),
        silence in (0u64..7, 1u64..4),
        way in (0u64..30, 1u32..4),
    ) {
        check(lines, silence, way)?;
    }
}

#[test]
fn windows_hold_something_for_most_of_that_time() -> Result<(), Error> {
    // Otherwise any bound would hold.
    let mut longest = 0;
    for length in 1..=12u64 {
        let before = vec![vec!["a".to_owned()]; length as usize];
        let done = run(&before, 0, &vec![], 0, 2)?;
        let last = published(&done)?.into_keys().map(|(batch, _)| batch).max();
        longest = longest.max(last.unwrap_or(0) - length);
        assert!(longest <= done.plan().rest(1000).unwrap_or(0), "{length}: {last:?}");
        assert!(length < 12 || longest >= 8, "{longest}");
    }
    Ok(())
}

#[dstream::job]
fn sessions() {
    let lines = source::text("none");
    let ended = lines.key_by(|line| line.len() as u64).track(
        |_, line, last: &mut State<String>| {
            last.set(line.to_owned());
            None::<(u64, &str)>
        },
        timeout = "5500ms",
        on_timeout = |length, line| Some((length, line)),
    );
    let firsts = lines.distinct_by(|line| line.len() as u64, expire_after = "1h");
    ended.save("none:");
    firsts.save("none:");
}

#[dstream::job]
fn timers() {
    let pairs = source::text("none").map(|line| (line, 1u64));
    let late = pairs.track(
        |line, n, _: &mut State<u64>| Some((line, n)),
        on_timer = |line, at, _| Some((line, at)),
    );
    late.save("none:");
}

#[test]
fn a_plan_rests_when_the_last_key_has_timed_out() -> Result<(), Error> {
    let done = Run::new(sessions).input("lines", [["a", "bb"]]).batches(20).run()?;
    let rest = done.plan().rest(1000).expect("nothing has a timer");
    let last =
        (1..=20).rev().find(|batch| done.lines("ended", *batch).is_ok_and(|l| !l.is_empty()));
    // In the first batch, and that many after it.
    assert_eq!((rest, last), (6, Some(1 + 6)));
    let timers = Run::new(timers).batches(1).run()?;
    assert_eq!(timers.plan().rest(1000), None, "a timer may be due at any time");
    Ok(())
}
