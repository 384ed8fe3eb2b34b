//! Runs worlds by the thousand. A failing world prints its seed, is run again to confirm the failure, and
//! its faults are shrunk until each one is needed.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use super::faults::Fault;
use super::{Sites, World};
use crate::sched::simulation::losses::plans;
use crate::sched::simulation::{seeds, surveyed};

/// Seeds of each of the four tests.
const USUAL: u64 = 5000;

/// Where something must have happened in all worlds of a test.
const SITES: [&str; 53] = [
    "two workers are killed at the same time",
    "all workers are killed",
    "a client connects",
    "clients have sent everything",
    "a second loss without a surviving holder is skipped",
    "a second loss without a surviving holder",
    "what was pushed is lost, and the job says so",
    "a job is to go on without what is lost",
    "a master that knows what is lost ends",
    "a worker's port is taken",
    "a worker is turned away before its old connection has ended",
    "a worker joins again",
    "a process is killed",
    "a worker is killed",
    "a short freeze",
    "a zombie",
    "a master crashes",
    "a master is frozen",
    "a master is frozen until there is another",
    "two masters",
    "another master",
    "a master learns that it is replaced",
    "an old master's entry",
    "a worker without its master",
    "a worker that its master does not hear",
    "a worker that does not hear its master",
    "two workers wait for each other",
    "two workers have lost each other",
    "a slow host",
    "a slow link between two workers",
    "a busy master",
    "full storage",
    "storage that hangs",
    "slow storage",
    "damage",
    "a saved state is found damaged",
    "a damaged state is loaded",
    "an older state is used",
    "doubled messages",
    "messages in another order",
    "failing tasks",
    "the clock is set back",
    "the clock is set forward",
    "a worker is drained",
    "the job is stopped",
    "a stopped job goes on",
    "given up by the master",
    "a task runs again",
    "a state is loaded",
    "a state is not saved",
    "a saved state continues another",
    "intervals are missed",
    "time is stepped over",
];

/// A seed, and which of its faults happen; all by default.
struct Found {
    number: u64,
    faults: Option<Vec<usize>>,
}

thread_local! {
    /// The first line of a panic.
    static WORLD: RefCell<Option<String>> = const { RefCell::new(None) };
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// A panic names its world first; it is silent while faults are shrunk.
pub(super) fn announce() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if QUIET.get() {
                return;
            }
            WORLD.with_borrow(|world| {
                if let Some(world) = world {
                    eprintln!("{world}");
                }
            });
            before(info);
        }));
    });
}

struct Seen {
    sites: Sites,
    trace: u64,
}

fn run(number: u64, faults: Vec<Fault>) -> Seen {
    let (_, plan) = plans()[(number % 4) as usize];
    let mut world = World::new(plan, number, faults);
    world.run();
    Seen { sites: world.sites, trace: world.trace }
}

/// Whether a world fails.
pub(super) fn fails(number: u64, faults: &[Fault]) -> bool {
    !holds(|| drop(run(number, faults.to_vec())))
}

/// Whether `run` does not panic; panics are silent.
pub(super) fn holds(run: impl FnOnce()) -> bool {
    let was = QUIET.replace(true);
    let holds = catch_unwind(AssertUnwindSafe(run)).is_ok();
    QUIET.set(was);
    holds
}

/// Drops faults that are not needed for the failure.
fn shrink(number: u64, all: &[Fault]) -> Vec<usize> {
    let of = |kept: &[usize]| kept.iter().map(|at| all[*at]).collect::<Vec<_>>();
    let mut kept: Vec<usize> = (0..all.len()).collect();
    let mut chunk = kept.len().div_ceil(2);
    while chunk > 0 {
        let mut from = 0;
        while from < kept.len() {
            let mut fewer = kept.clone();
            fewer.drain(from..(from + chunk).min(kept.len()));
            match fails(number, &of(&fewer)) {
                true => kept = fewer,
                false => from += chunk,
            }
        }
        chunk /= 2;
    }
    kept
}

fn check(found: &Found) -> Seen {
    announce();
    let number = found.number;
    let all = World::faults(number);
    let faults: Vec<Fault> = match &found.faults {
        Some(kept) => kept.iter().filter_map(|at| all.get(*at)).copied().collect(),
        None => all,
    };
    let world =
        format!("whole world, seed {number}: {}, {faults:?}", plans()[(number % 4) as usize].0);
    WORLD.set(Some(world));
    let seen = catch_unwind(AssertUnwindSafe(|| run(number, faults.clone())));
    WORLD.set(None);
    seen.unwrap_or_else(|panic| {
        let kept = shrink(number, &faults);
        let which: Vec<String> = kept.iter().map(usize::to_string).collect();
        eprintln!(
            "fails with these of its faults; line for found.txt: {number} {}",
            which.join(",")
        );
        kept.iter().for_each(|at| eprintln!("  {:?}", faults[*at]));
        std::panic::resume_unwind(panic)
    })
}

fn worlds(first: u64) {
    let count = seeds(USUAL);
    let mut sites = Sites::new();
    for number in (0..count).map(|n| 4 * n + first) {
        let found = Found { number, faults: None };
        let seen = check(&found);
        if number < 40 {
            assert_eq!(check(&found).trace, seen.trace, "seed {number} does not repeat");
        }
        for (site, count) in seen.sites {
            *sites.entry(site).or_default() += count;
        }
    }
    eprintln!("{sites:#?}");
    let stateless = first == 3;
    for site in SITES.iter().filter(|site| !(stateless && of_states(site))) {
        assert!(sites.get(site).is_some_and(|count| *count > 0), "never happened: {site}");
    }
}

/// Sites that only plans with state reach.
fn of_states(site: &str) -> bool {
    site.contains("state") || site == "damage"
}

#[test]
fn word_counts_survive() {
    worlds(0);
}

#[test]
fn rich_plans_survive() {
    worlds(1);
}

#[test]
fn chains_of_states_survive() {
    worlds(2);
}

#[test]
fn plans_without_states_survive() {
    worlds(3);
}

/// Runs the worlds of `found.txt`, or those of `DSTREAM_WORLD` in the same format; `all` stands for all faults.
#[test]
fn found_worlds_hold() {
    let some = std::env::var("DSTREAM_WORLD").ok();
    let found = some.as_deref().unwrap_or(include_str!("found.txt"));
    for line in found.lines().filter(|line| !line.starts_with('#')) {
        let (number, kept) = line.split_once(' ').unwrap_or((line, ""));
        let at = |at: &str| at.trim().parse().expect("the number of a fault");
        let kept = (kept != "all")
            .then(|| kept.split(',').filter(|kept| !kept.is_empty()).map(at).collect());
        check(&Found { number: number.parse().expect("a seed"), faults: kept });
    }
}

/// Prints the failing seeds of `DSTREAM_SURVEY=from..to`.
#[test]
fn survey() {
    let Some(wanted) = surveyed() else { return };
    announce();
    for number in wanted {
        let faults = World::faults(number);
        if fails(number, &faults) {
            let kept: Vec<String> = shrink(number, &faults).iter().map(usize::to_string).collect();
            eprintln!("{number} {}", kept.join(","));
        }
    }
}
