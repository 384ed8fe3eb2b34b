//! Effects of slow workers.

use super::*;

#[test]
fn slow_and_frozen_workers_do_not_change_the_output() {
    let (mut runs, mut won, mut cancelled, mut weighed) = (0, 0, 0, 0);
    for (name, plan) in [("word count", word_count()), ("rich", rich())] {
        for number in 1..=seeds(25) {
            let run = std::panic::AssertUnwindSafe(|| {
                let mut world = World::new(plan, number, 30, true);
                world.stops = world.seed.one_in(2);
                world.jitter = [0, 20, 100][world.seed.below(3) as usize];
                for _ in 0..world.seed.below(6) {
                    let from = world.seed.below(10_000);
                    let until = from + world.seed.below(10_000);
                    let (worker, times) = (world.seed.below(4) as u32, 2 + world.seed.below(10));
                    let frozen = world.seed.one_in(3);
                    world.spells.push(Spell { frozen, ..slow(worker, from, until, times) });
                }
                world.run();
                world
            });
            let world = std::panic::catch_unwind(run).unwrap_or_else(|panic| {
                eprintln!("{name}, seed {number}");
                std::panic::resume_unwind(panic)
            });
            assert_eq!(world.outcome, Some(Outcome::Done), "{name}, seed {number}");
            assert_eq!(world.published.len(), 30, "{name}, seed {number}");
            let counts = world.master.speculations();
            (runs, won) = (runs + counts.0, won + counts.1);
            cancelled += world.cancelled;
            weighed += world.said.len();
        }
    }
    // Otherwise these cases were not tested.
    eprintln!("second runs {runs}, won {won}, cancelled {cancelled}, weighed {weighed}");
    assert!(won > 20 && runs > won, "{runs}, {won}");
    assert!(cancelled > 20 && weighed > 5, "{cancelled}, {weighed}");
}

#[test]
fn nothing_runs_twice_in_a_steady_world() {
    for number in 1..=seeds(25) {
        let mut world = World::new(word_count(), number, 20, true);
        world.run();
        assert_eq!(world.master.speculations(), (0, 0), "seed {number}");
        assert_eq!(world.said, [], "seed {number}");
    }
}

#[test]
fn a_slow_worker_costs_little_with_second_runs() {
    let (mut normal, mut with, mut without) = (0, 0, 0);
    for number in 1..=8 {
        let median = |times, speculate| {
            let mut world = World::new(word_count(), number, 24, speculate);
            world.spells.push(slow(1, 0, u64::MAX, times));
            world.run();
            world.median(1)
        };
        (normal, with) = (normal + median(1, true), with + median(5, true));
        without += median(5, false);
    }
    assert!(with * 10 <= normal * 18, "{normal} ms, with second runs {with}, without {without}");
    assert!(without > 3 * normal, "{normal} ms, with second runs {with}, without {without}");
}

#[test]
fn a_slow_worker_loses_partitions_until_it_is_well() {
    for number in 1..=8 {
        let mut world = World::new(word_count(), number, 60, true);
        world.spells.push(slow(1, 3000, 18_000, 5));
        world.run();
        let said: Vec<_> =
            world.said.iter().map(|(of, factor, left)| (of.0, *factor, *left)).collect();
        let (first, last) = (said[0], said[said.len() - 1]);
        assert!(first.1 > 1600 && first.2 == 1, "seed {number}: {said:?}");
        assert_eq!(last, (1, 1000, 2), "seed {number}: {said:?}");
        assert!(said.iter().all(|(of, ..)| *of == 1) && said.len() <= 6, "seed {number}: {said:?}");
    }
}

#[test]
fn two_runs_that_make_different_things_end_the_job() {
    let mut found = 0;
    for number in 1..=20 {
        let mut world = World::new(word_count(), number, 12, true);
        world.spells.push(slow(1, 0, 100_000, 3));
        world.stops = false;
        let tasks = (1..=12).flat_map(|batch| (0..8).map(move |p| (BatchSeq(batch), Partition(p))));
        let tasks: Vec<_> = tasks.collect();
        let (batch, partition) = tasks[world.seed.below(tasks.len() as u64) as usize];
        let liar = TaskId { batch, stage: StageId(0), partition };
        world.liar = Some(liar);
        world.run();
        match world.outcome {
            Some(Outcome::Failed(master::Cause::Differs { task })) => {
                assert_eq!(task, liar);
                found += 1;
            }
            other => assert_eq!(other, Some(Outcome::Done), "seed {number}"),
        }
    }
    assert!(found > 0);
}
