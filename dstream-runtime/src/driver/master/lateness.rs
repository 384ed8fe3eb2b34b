//! When a live job falls behind.

use std::time::Duration;

/// A batch that is later than this, and than two intervals, is late.
const LATE: Duration = Duration::from_secs(1);

/// Whether a job is behind. It has caught up when a batch is published within an interval.
#[derive(Debug, Default)]
pub(super) struct Lateness {
    behind: bool,
}

impl Lateness {
    /// Takes in by how much a batch was late; whether the job falls behind with it.
    pub(super) fn begins(&mut self, delay: Duration, interval: Duration) -> bool {
        let late = delay > LATE.max(interval * 2);
        let begins = late && !self.behind;
        self.behind = late || (self.behind && delay > interval);
        begins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_falls_behind_once_until_it_has_caught_up() {
        let mut lateness = Lateness::default();
        let second = Duration::from_secs(1);
        let begins =
            [1, 2, 3, 9, 2, 3, 1, 3, 4].map(|delay| lateness.begins(second * delay, second));
        let want = [false, false, true, false, false, false, false, true, false];
        assert_eq!(begins, want);
        let mut fast = Lateness::default();
        assert!(!fast.begins(second / 2, Duration::from_millis(10)), "less than a second is noise");
    }
}
