//! The time of a job: by it batches are due. It is made of two clocks and reads none of them.
//!
//! * It starts at the wall clock's time, but not before the end of the last batch that was cut: batch times go on
//!   from the journal, whatever the wall clock says.
//! * From there on it passes as the steady clock does, so the wall clock may be set without effect.
//! * While it is ahead of the wall clock it passes slower by a twentieth, until the two agree again.
//! * If the wall clock is ahead by a second or more, and stays so for [`SETTLED`], it follows: the machine was
//!   suspended, or its clock was wrong before. What was missed is made up for (see `sched::master::gaps`).
//!
//! Invariant: it never goes back.

use std::time::Duration;

/// The wall clock must be ahead by as much to be followed.
const AHEAD: Duration = Duration::from_secs(1);
/// And for that long: a clock that was set forward by mistake is set back again.
const SETTLED: Duration = Duration::from_secs(5);
/// While the job is ahead, one part of this many is left out.
const SLOWER: u32 = 20;

/// The time of a job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JobClock {
    /// When both were compared last: the steady clock's time, and the job's.
    steady: Duration,
    job: Duration,
    /// Since when, by the steady clock, the wall clock has been ahead.
    ahead_since: Option<Duration>,
}

impl JobClock {
    /// A job that begins, or goes on after a batch that ended at `last`, as the two clocks show these times.
    pub(crate) fn new(steady: Duration, wall: Duration, last: Duration) -> Self {
        Self { steady, job: wall.max(last), ahead_since: None }
    }

    /// Time has passed. How far the wall clock was ahead, if it is followed now.
    pub(crate) fn tick(&mut self, steady: Duration, wall: Duration) -> Option<Duration> {
        let passed = steady.saturating_sub(self.steady);
        self.steady = self.steady.max(steady);
        let now = self.job + passed;
        self.job = now - (passed / SLOWER).min(now.saturating_sub(wall));
        let ahead = wall.saturating_sub(self.job);
        if ahead < AHEAD {
            self.ahead_since = None;
            return None;
        }
        let since = *self.ahead_since.get_or_insert(self.steady);
        if self.steady - since < SETTLED {
            return None;
        }
        (self.job, self.ahead_since) = (wall, None);
        Some(ahead)
    }

    /// The time of the job when it was compared last.
    pub(crate) fn now(&self) -> Duration {
        self.job
    }

    /// About when the job's time is `at`, by the steady clock.
    pub(crate) fn steady_at(&self, at: Duration) -> Duration {
        self.steady + at.saturating_sub(self.job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sched::simulation::Seed;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// The job's time after this many seconds, in steps of a second, with a wall clock that is set.
    fn after(clock: &mut JobClock, seconds: std::ops::Range<u64>, set: i64) -> f64 {
        for second in seconds {
            clock.tick(s(second + 1), s((second as i64 + 1 + set) as u64));
        }
        clock.now().as_secs_f64()
    }

    #[test]
    fn it_passes_as_the_steady_clock_does_whatever_the_wall_clock_says_for_a_while() {
        let mut clock = JobClock::new(s(0), s(1000), s(0));
        assert_eq!(after(&mut clock, 0..10, 1000), 1010.0);
        assert_eq!(after(&mut clock, 10..14, 4600), 1014.0, "set forward by an hour, by mistake");
        assert_eq!(after(&mut clock, 14..20, 1000), 1020.0, "and back");
    }

    #[test]
    fn batch_times_go_on_from_the_journal_when_the_clock_was_set_back() {
        for back in [10, 250, 3600, 1 << 30] {
            let (last, wall) = ((1 << 31) + back, 1 << 31);
            let mut clock = JobClock::new(s(0), s(wall), s(last));
            assert_eq!(clock.now(), s(last));
            let then = after(&mut clock, 0..10, wall as i64);
            assert!((9.4..=10.0).contains(&(then - last as f64)), "{back}: {then}");
        }
    }

    #[test]
    fn it_falls_back_into_step_slowly_and_never_behind() {
        let mut clock = JobClock::new(s(0), s(1000), s(1003));
        assert_eq!(after(&mut clock, 0..20, 1000), 1022.0);
        assert_eq!(after(&mut clock, 20..60, 1000), 1060.0);
        assert_eq!(after(&mut clock, 60..90, 1000), 1090.0);
    }

    #[test]
    fn a_clock_that_stays_ahead_is_followed_once_it_has_settled() {
        let mut clock = JobClock::new(s(0), s(1000), s(0));
        let followed: Vec<_> =
            (1..=9).filter_map(|second| clock.tick(s(second), s(4600 + second))).collect();
        assert_eq!(followed, [s(3600)]);
        assert_eq!(clock.now(), s(4609));
        // Frozen with its host: only the wall clock has gone on.
        assert_eq!(clock.tick(s(10), s(90_000)), None);
        assert_eq!(clock.tick(s(15), s(90_005)), Some(s(90_005) - s(4615)));
    }

    #[test]
    fn it_never_goes_back_and_follows_at_last_whatever_happens_to_the_wall_clock() {
        for number in 1..200 {
            let mut seed = Seed(number * 7919);
            let (mut steady, mut wall) = (s(0), s(1 << 20));
            let mut clock = JobClock::new(steady, wall, s((1 << 20) + seed.below(100)));
            for _ in 0..500 {
                let before = clock.now();
                let passed = Duration::from_millis(seed.below(1500));
                (steady, wall) = (steady + passed, wall + passed);
                match seed.below(40) {
                    0 => wall += s(seed.below(5000)),
                    1 => wall = wall.saturating_sub(s(seed.below(5000))),
                    _ => {}
                }
                let followed = clock.tick(steady, wall);
                assert!(clock.now() >= before + passed * 19 / 20, "seed {number}");
                assert!(followed.is_some() || clock.now() <= before + passed, "seed {number}");
            }
            for _ in 0..10 {
                (steady, wall) = (steady + s(1), wall + s(1));
                clock.tick(steady, wall);
            }
            assert!(wall < clock.now() + AHEAD, "seed {number}");
        }
    }
}
