//! Which workers lack a processor, by what their engines say.
//!
//! A worker that receives may have tasks too short to judge it by: its time goes into what its engine does, which takes in,
//! copies and acknowledges. What engines have to do is not known, so they are compared by the time in which they wanted a
//! processor and had none. On a host that is busy all of them lack some, those that have little to do not less than the
//! others: an engine is slow only if it lacks several times what others do. What other threads of its process had it
//! does not lack, as a process with much to do is not starved; but the others may lack that, too.

use std::collections::{BTreeMap, BTreeSet};

use super::message::EngineTime;
use super::stragglers::{Factor, Ran, Sums, UNDECIDED, lower_median};
use crate::guards::{Guard, left_out};
use crate::id::WorkerId;

/// The time that engines are judged by, at least, in milliseconds: they report at a steady rate, several times in this.
const WINDOW_MS: u64 = 250;
/// An engine may lack this many times what is usual.
const LACKS: u64 = 3;
/// One that lacks less than this part of the time delays nothing by much.
const PART: u64 = 20;

/// What an engine has said.
#[derive(Debug, Clone, Copy, Default)]
struct Said {
    ran: Ran,
    /// How much of what it took other threads of its process may have had, in microseconds.
    shared: u64,
}

impl Said {
    fn lacks(&self) -> u64 {
        self.ran.micros - self.ran.busy_micros
    }
}

/// What engines have said since they were judged.
#[derive(Debug, Default)]
pub(super) struct Engines {
    ran: BTreeMap<WorkerId, Said>,
    since_ms: u64,
    /// Those that lacked a processor when they were judged.
    lacking: BTreeSet<WorkerId>,
}

impl Engines {
    /// A worker reports.
    pub(super) fn ran(&mut self, worker: WorkerId, engine: EngineTime) {
        let EngineTime { micros, busy_micros, shared_micros } = engine;
        let Said { ran, shared } = self.ran.entry(worker).or_default();
        let busy = busy_micros.min(micros);
        ran.micros += u64::from(micros);
        ran.busy_micros += u64::from(busy);
        *shared += u64::from(shared_micros.min(micros - busy));
    }

    /// A batch has run, in which tasks say this of workers: engines may say worse.
    pub(super) fn judge(&mut self, now_ms: u64, factors: &mut BTreeMap<WorkerId, Factor>) {
        if left_out(Guard::ReceiverIsJudged) {
            return;
        }
        let window_ms = now_ms.saturating_sub(self.since_ms);
        if window_ms < WINDOW_MS {
            // Of those that lacked a processor before, this batch does not say that they have one.
            for worker in &self.lacking {
                factors.entry(*worker).or_insert(Factor::IDLE).is_least = true;
            }
            return;
        }
        self.since_ms = now_ms;
        let slow = lacking(std::mem::take(&mut self.ran), window_ms);
        for (worker, factor) in &slow {
            let of = factors.entry(*worker).or_insert(Factor::IDLE);
            of.thousandths = of.thousandths.max(factor.thousandths);
            of.hint_ms = of.hint_ms.max(factor.hint_ms);
        }
        self.lacking = slow.into_keys().collect();
    }

    /// Forgets workers that are gone.
    pub(super) fn retain(&mut self, is_there: impl Fn(WorkerId) -> bool) {
        self.ran.retain(|worker, _| is_there(*worker));
        self.lacking.retain(|worker| is_there(*worker));
    }
}

/// The engines that lack a processor, by what they have said in a time.
fn lacking(all: BTreeMap<WorkerId, Said>, window_ms: u64) -> BTreeMap<WorkerId, Factor> {
    let known = || all.values().filter(|said| said.ran.busy_micros > 0);
    let stretch = lower_median(known().filter_map(|said| said.ran.stretch()));
    let (Some(stretch), Some(usual)) = (stretch, lower_median(known().map(Said::lacks))) else {
        return BTreeMap::new();
    };
    let factor = |(worker, said): (&WorkerId, &Said)| {
        let ran = said.ran;
        let (took, lacks) = (ran.micros - said.shared, said.lacks() - said.shared);
        let by_stretch = ran.busy_micros.saturating_mul(stretch) / 1000;
        let expected = by_stretch.max(ran.busy_micros + LACKS * usual);
        let is_much = lacks >= window_ms * 1000 / PART;
        let factor = Sums::of(took, expected.min(took)).factor();
        let is_slow = factor.thousandths >= UNDECIDED || factor.hint_ms > 0;
        (ran.busy_micros > 0 && is_much && is_slow).then_some((*worker, factor))
    };
    all.iter().filter_map(factor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By worker, for how many milliseconds its engine wanted a processor and had one.
    type Said = [(u64, u64)];

    fn say(engines: &mut Engines, said: &Said) {
        for (worker, (ms, busy)) in (0..).map(WorkerId).zip(said) {
            let (micros, busy_micros) = (*ms as u32 * 1000, *busy as u32 * 1000);
            engines.ran(worker, EngineTime { micros, busy_micros, shared_micros: 0 });
        }
    }

    /// Which workers lack a processor in a second: their numbers, factors in thousandths, and hints.
    fn lack(said: &Said) -> Vec<(u32, u32, u32)> {
        let (mut engines, mut factors) = (Engines::default(), BTreeMap::new());
        say(&mut engines, said);
        engines.judge(1000, &mut factors);
        let factors = factors.into_iter();
        factors.map(|(worker, f)| (worker.0, f.thousandths, f.hint_ms)).collect()
    }

    #[test]
    fn an_engine_that_lacks_a_processor_is_slow_whatever_its_tasks_say() {
        // Measured: a receiver with 15 % of a core, beside two with all of it.
        assert_eq!(lack(&[(150, 28), (22, 22), (9, 9)]), [(0, 5357, 0)]);
        assert_eq!(lack(&[(150, 28), (33, 22), (23, 9)]), [(0, UNDECIDED, 78)]);
        assert_eq!(lack(&[(372, 26), (24, 24)]), [(0, 14307, 0)]);
        let (mut engines, tasks) =
            (Engines::default(), Factor { thousandths: 7000, ..Factor::IDLE });
        say(&mut engines, &[(150, 28), (22, 22)]);
        let mut factors = BTreeMap::from([(WorkerId(0), tasks), (WorkerId(1), tasks)]);
        engines.judge(1000, &mut factors);
        assert!(factors.values().all(|factor| *factor == tasks), "{factors:?}");
    }

    #[test]
    fn engines_that_all_lack_a_processor_are_not_slow() {
        // Measured: four other processes on two cores. Who has least to do lacks most.
        assert_eq!(lack(&[(143, 22), (238, 19), (325, 11)]), []);
        assert_eq!(lack(&[(143, 22), (238, 19)]), []);
        assert_eq!(lack(&[(900, 100)]), [], "there is no other");
        assert_eq!(lack(&[(900, 100), (450, 50), (20, 20)]), [], "most are like it");
        // It is not known where there is no such clock.
        assert_eq!(lack(&[(900, 0), (40, 0)]), []);
        assert_eq!(lack(&[(900, 0), (40, 40), (30, 30)]), []);
    }

    #[test]
    fn what_other_threads_of_the_process_had_is_not_lacking_but_may_be_what_others_lack() {
        let lacking = |said: [(u32, u32, u32); 2]| {
            let mut engines = Engines::default();
            for (worker, (ms, busy, shared)) in (0..).map(WorkerId).zip(said) {
                let [micros, busy_micros, shared_micros] = [ms, busy, shared].map(|ms| ms * 1000);
                engines.ran(worker, EngineTime { micros, busy_micros, shared_micros });
            }
            let mut factors = BTreeMap::new();
            engines.judge(1000, &mut factors);
            factors.into_keys().map(|worker| worker.0).collect::<Vec<_>>()
        };
        assert_eq!(lacking([(500, 20, 0), (20, 20, 0)]), [0]);
        assert_eq!(lacking([(500, 20, 480), (20, 20, 0)]), [0_u32; 0]);
        assert_eq!(lacking([(500, 20, 0), (400, 20, 380)]), [0_u32; 0]);
    }

    #[test]
    fn what_delays_nothing_by_much_is_not_judged() {
        assert_eq!(lack(&[(50, 5), (8, 8), (9, 9)]), []);
        assert_eq!(lack(&[(950, 940), (8, 8), (9, 9)]), []);
        // A little now and then is a hint.
        assert_eq!(lack(&[(80, 10), (8, 8), (9, 9)]), [(0, UNDECIDED, 70)]);
    }

    #[test]
    fn batches_shorter_than_what_it_takes_to_judge_say_nothing_good() {
        let (mut engines, mut now, mut seen) = (Engines::default(), 0, Vec::new());
        for (batch, said) in (1..=15).zip([[(40, 5), (5, 5)]].into_iter().cycle()) {
            now += 50;
            say(&mut engines, if batch > 10 { &[(5, 5), (5, 5)] } else { &said });
            let mut factors = BTreeMap::new();
            engines.judge(now, &mut factors);
            let of = factors.get(&WorkerId(0));
            seen.push(of.map(|factor| (factor.thousandths >= 1600, factor.is_least)));
        }
        let (slow, stale) = (Some((true, false)), Some((false, true)));
        let twice = [&[slow][..], &[stale; 4], &[slow], &[stale; 4]].concat();
        let expected = [&[None; 4], &twice[..], &[None]].concat();
        assert_eq!(seen, expected);
        engines.retain(|_| false);
        assert!(engines.ran.is_empty() && engines.lacking.is_empty());
    }
}
