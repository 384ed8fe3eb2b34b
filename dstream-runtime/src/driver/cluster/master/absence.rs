//! A master without workers: when it says that it waits for one, and when a stop does not wait any longer.
//!
//! Pure: time is an argument. A job that is not stopping waits for ever; it says so every [`EVERY`].

use std::time::{Duration, Instant};

use super::Driver;
use crate::driver::cluster::ClusterError;
use crate::host;
use crate::id::Epoch;

/// Between two lines about it.
const EVERY: Duration = Duration::from_secs(10);

/// How long a stop waits for a worker that could finish the batches in flight. It must be longer than a
/// worker process takes to start again and join.
const STOP_WAITS: Duration = Duration::from_secs(10);

/// What is due.
#[derive(Debug, PartialEq, Eq)]
enum Due {
    /// Say that a worker has been missing for this long.
    Say(Duration),
    /// End the job: no worker will finish it.
    GiveUp,
}

/// How long workers have been missing.
#[derive(Default)]
pub(super) struct Absence {
    /// Since when too few are connected.
    since: Option<Instant>,
    /// When that is reported next.
    says: Option<Instant>,
    /// Since when a stop waits for one.
    stopping: Option<Instant>,
}

impl Absence {
    /// When something may be due.
    pub(super) fn next(&self) -> Option<Instant> {
        let gives_up = self.stopping.map(|since| since + STOP_WAITS);
        self.says.into_iter().chain(gives_up).min()
    }

    /// What is due now, where workers are `missing` or not, for a job that is `stopping` or not.
    fn due(&mut self, missing: bool, stopping: bool, now: Instant) -> Option<Due> {
        if !missing {
            *self = Self::default();
            return None;
        }
        let since = *self.since.get_or_insert(now);
        let says = self.says.get_or_insert(now + EVERY);
        if !stopping {
            self.stopping = None;
        } else if *self.stopping.get_or_insert(now) + STOP_WAITS <= now {
            return Some(Due::GiveUp);
        }
        if *says > now {
            return None;
        }
        *says = now + EVERY;
        Some(Due::Say(now.duration_since(since)))
    }
}

impl Driver<'_> {
    /// Says that workers are missing, or ends a stop that none of them will finish.
    pub(super) fn watch_absence(&mut self) {
        let have = self.members.ready();
        let want = match self.members.epoch() == Epoch(0) {
            true => self.want,
            false => 1,
        };
        match self.absence.due(have < want, self.is_stopping() && have == 0, host::now()) {
            None => {}
            Some(Due::Say(time)) => {
                let seconds = time.as_secs();
                self.master.warn(&match have {
                    0 => format!(
                        "no worker has been connected for {seconds} s: the job waits until one joins"
                    ),
                    _ => format!(
                        "{have} of {want} workers have joined after {seconds} s: the first batch waits for the others"
                    ),
                });
            }
            Some(Due::GiveUp) => {
                let unpublished = self.master.core_status().batches.len() as u64;
                let goes_on = self.saves.is_some();
                self.fatal
                    .get_or_insert(ClusterError::StoppedWithoutWorkers { unpublished, goes_on });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn missing_workers_are_reported_every_ten_seconds() {
        let (mut absence, start) = (Absence::default(), Instant::now());
        assert_eq!(absence.due(true, false, start), None);
        assert_eq!(absence.next(), Some(at(start, 10)));
        assert_eq!(absence.due(true, false, at(start, 9)), None);
        assert_eq!(
            absence.due(true, false, at(start, 10)),
            Some(Due::Say(Duration::from_secs(10)))
        );
        assert_eq!(absence.due(true, false, at(start, 11)), None);
        assert_eq!(
            absence.due(true, false, at(start, 21)),
            Some(Due::Say(Duration::from_secs(21)))
        );
    }

    #[test]
    fn a_worker_that_joins_ends_the_absence() {
        let (mut absence, start) = (Absence::default(), Instant::now());
        absence.due(true, true, start);
        assert_eq!(absence.due(false, true, at(start, 9)), None);
        assert_eq!(absence.next(), None);
        assert_eq!(absence.due(true, true, at(start, 12)), None);
        assert_eq!(absence.next(), Some(at(start, 22)));
    }

    #[test]
    fn a_stop_waits_for_a_worker_for_a_bounded_time() {
        let (mut absence, start) = (Absence::default(), Instant::now());
        absence.due(true, false, start);
        // The time before the stop does not count: a worker may be about to join.
        assert_eq!(absence.due(true, true, at(start, 60)), Some(Due::Say(Duration::from_secs(60))));
        assert_eq!(absence.due(true, true, at(start, 69)), None);
        assert_eq!(absence.due(true, true, at(start, 70)), Some(Due::GiveUp));
    }
}
