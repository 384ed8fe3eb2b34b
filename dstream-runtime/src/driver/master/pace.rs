//! What people are told when batch times and the wall clock part, and when intervals had no batch.

use std::time::Duration;

use super::Master;

/// An absence of that many milliseconds is worth a line.
const LONG_MS: u64 = 10_000;

impl Master<'_> {
    /// How far the wall clock is behind batch times; none if it is not, or hardly.
    pub(super) fn clock_behind(&self) -> Option<Duration> {
        let usual = (self.core.timetable().interval() * 2).max(Duration::from_secs(1));
        Some(self.clock.lead()).filter(|lead| self.live && *lead > usual)
    }

    /// The wall clock was set back since the last batch.
    pub(super) fn say_if_ahead(&mut self) {
        let Some(behind) = self.clock_behind() else { return };
        self.warn(&format!(
            "the clock of this host is {} behind the last batch time: batch times go on from there at a slightly \
             slower pace, until the clock has caught up",
            span(behind)
        ));
    }

    /// The wall clock was ahead, and stays there.
    pub(super) fn say_followed(&mut self, by: Duration) {
        self.warn(&format!(
            "the clock of this host is {} ahead of batch times: they follow it",
            span(by)
        ));
    }

    /// The number of intervals in which no batch could be cut; some of them have one all the same.
    pub(super) fn say_missed(&mut self, intervals: u64, run: u64) {
        let interval_ms = self.core.timetable().interval_ms();
        if intervals.saturating_mul(interval_ms) < LONG_MS {
            return;
        }
        let time = span(Duration::from_millis(intervals.saturating_mul(interval_ms)));
        let mut line =
            format!("no batch was cut for {time}: {intervals} intervals are made up for");
        match intervals - run {
            0 => line.push_str(", one by one"),
            rest => line.push_str(&format!(", {run} one by one and {rest} empty ones in one step")),
        }
        if run == intervals {
            if let Some((operator, at)) = self.plan.emits_from_nothing().next() {
                let file = self.plan.file;
                line.push_str(&format!(": `{operator}` ({file}:{at}) has a result for each"));
            } else if self.ends.publishes_empty {
                line.push_str(": an output has `?empty=publish`");
            }
        }
        self.warn(&line);
    }
}

/// A time span for people, to two units.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units_at_most() {
        let spans = [1.25, 75.0, 3_700.0, 200_000.0].map(|s| span(Duration::from_secs_f64(s)));
        assert_eq!(spans, ["1.2 s", "1 min 15 s", "1 h 1 min", "2 d 7 h"]);
    }
}
