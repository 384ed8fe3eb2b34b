//! Whether the master is still there, by what is heard of it and by the worker's lifeline.
//!
//! The end of a lifeline alone loses no master: it makes silence count earlier, until the master is heard again. A worker
//! that is wrong about its master joins it again.

use std::time::{Duration, Instant};

use crate::driver::cluster::MasterOptions;
use crate::driver::cluster::master::ALIVE;

/// The longest silence of a master whose process has probably ended: one that lives shows it every [`ALIVE`].
const SUSPECTED: Duration = Duration::from_millis(750);
const _: () = assert!(SUSPECTED.as_millis() > ALIVE.as_millis());
/// How long a message may be on its way: one that comes later than this after the end of the lifeline was sent after it.
const ON_ITS_WAY: Duration = Duration::from_millis(250);

pub(super) struct MasterSilence {
    heard: Instant,
    /// When the lifeline ended, unless the master was heard since.
    ended: Option<Instant>,
}

impl MasterSilence {
    pub(super) fn new(now: Instant) -> Self {
        Self { heard: now, ended: None }
    }

    /// The master has said something.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.ended = self.ended.filter(|ended| now < *ended + ON_ITS_WAY);
    }

    pub(super) fn lifeline_ended(&mut self, now: Instant) {
        self.ended = Some(now);
    }

    /// For how long the master has been silent, if that is too long.
    pub(super) fn too_long(&self, now: Instant) -> Option<Duration> {
        let longest = if self.ended.is_some() { SUSPECTED } else { MasterOptions::SHORT_LEASE };
        let silent = now.saturating_duration_since(self.heard);
        (silent >= longest).then_some(silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_counts_earlier_once_the_lifeline_has_ended() {
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        let mut master = MasterSilence::new(begun);
        assert_eq!(master.too_long(at(1999)), None);
        assert_eq!(master.too_long(at(2000)), Some(Duration::from_secs(2)));
        master.heard(at(2000));
        master.lifeline_ended(at(2100));
        // What was on its way proves nothing.
        master.heard(at(2200));
        assert_eq!(master.too_long(at(2949)), None);
        assert_eq!(master.too_long(at(2950)), Some(SUSPECTED));
    }

    #[test]
    fn a_master_that_is_heard_after_its_lifeline_ended_is_there() {
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        let mut master = MasterSilence::new(begun);
        master.lifeline_ended(at(100));
        master.heard(at(400));
        assert_eq!(master.too_long(at(2399)), None);
        assert_eq!(master.too_long(at(2400)), Some(Duration::from_secs(2)));
    }
}
