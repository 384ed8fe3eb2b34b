//! Event time: when a record happened, as the record itself says, and the windows that it is in.
//!
//! Windows are aligned to 1970. A record is kept in a *pane*, the longest interval that no window divides; a window
//! is a run of panes, so that each record is merged once however many windows it is in.
//!
//! Times are milliseconds since 1970. Invariant: those that the engine computes with are within [`EARLIEST`] and
//! [`LATEST`], so no sum of them with a length overflows.

/// Start and end of a window, in milliseconds since 1970. The end is not part of it.
pub type Bounds = (i64, i64);

/// The earliest time that a record can have; earlier ones are taken for it.
pub const EARLIEST: i64 = -(1 << 53);
/// The latest time that a record can have; later ones are taken for it.
pub const LATEST: i64 = 1 << 53;

/// The watermark of inputs that have ended: every window closes.
pub const ENDED: i64 = i64::MAX;
/// The watermark before anything is known.
pub const UNKNOWN: i64 = i64::MIN;

/// What the function of `event_time` may return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no time of an event",
    label = "`event_time` needs a `Timestamp`, or milliseconds since 1970",
    note = "return a `Timestamp` or an integer: of seconds, `seconds * 1000`; of a date as text, what `dstream::text::date` makes of it in a `filter_map` before"
)]
pub trait EventTime {
    /// In milliseconds since 1970.
    fn millis(self) -> i64;
}

impl EventTime for i64 {
    #[inline(always)]
    fn millis(self) -> i64 {
        self.clamp(EARLIEST, LATEST)
    }
}

impl EventTime for crate::timestamp::Timestamp {
    #[inline(always)]
    fn millis(self) -> i64 {
        EventTime::millis(Self::millis(self))
    }
}

impl EventTime for u64 {
    #[inline(always)]
    fn millis(self) -> i64 {
        self.min(LATEST as u64) as i64
    }
}

/// The time of a record, from what `event_time` or a window has said of it.
pub trait Timed: Copy {
    /// In milliseconds since 1970. Of a record that a window has made, the last millisecond of the window, so that
    /// longer windows of the same alignment hold it.
    fn at(self) -> i64;
}

impl Timed for i64 {
    #[inline(always)]
    fn at(self) -> i64 {
        self
    }
}

impl Timed for Bounds {
    #[inline(always)]
    fn at(self) -> i64 {
        self.1 - 1
    }
}

/// The time of what the function of `event_time` returned.
#[inline(always)]
pub fn event_time<T: EventTime>(time: T) -> i64 {
    time.millis()
}

/// The time of a record.
#[inline(always)]
pub fn time_of<T: Timed>(time: T) -> i64 {
    time.at()
}

/// The windows of an operator: how long they are and how often one begins, in milliseconds, both at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// The length of each.
    pub length: i64,
    /// From the start of one to that of the next.
    pub slide: i64,
    pane: i64,
}

impl Windows {
    /// Windows of that length and slide. Generated code calls it in constants, so that panes are found by a
    /// multiplication.
    #[must_use]
    pub const fn new(length: i64, slide: i64) -> Self {
        let (mut pane, mut rest) = (length, slide);
        while rest > 0 {
            (pane, rest) = (rest, pane % rest);
        }
        Self { length, slide, pane }
    }

    /// The length of a pane.
    #[inline(always)]
    #[must_use]
    pub const fn pane(self) -> i64 {
        self.pane
    }

    /// The start of the pane that a record of that time is in; none if no window spans it, as between windows that
    /// are shorter than their slide.
    #[inline(always)]
    #[must_use]
    pub fn pane_of(self, time: i64) -> Option<i64> {
        let pane = self.pane();
        let start = time.div_euclid(pane) * pane;
        (self.slide <= self.length || start.rem_euclid(self.slide) < self.length).then_some(start)
    }

    /// The end of the last window that spans a pane.
    #[must_use]
    pub fn last_end(self, pane: i64) -> i64 {
        pane.div_euclid(self.slide) * self.slide + self.length
    }

    /// The end of the first window that spans a pane.
    #[must_use]
    pub fn first_end(self, pane: i64) -> i64 {
        // The first start after `pane - length`, of those that leave room for the whole pane.
        let start = (pane + self.pane() - self.length).div_euclid(self.slide) * self.slide;
        let start =
            if start + self.length < pane + self.pane() { start + self.slide } else { start };
        start + self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The windows that span a time, by trying all around it.
    fn spanning(windows: Windows, time: i64) -> Vec<Bounds> {
        let near = -60..60;
        let starts = near.map(|n| (time.div_euclid(windows.slide) + n) * windows.slide);
        let all = starts.map(|start| (start, start + windows.length));
        all.filter(|(start, end)| (*start..*end).contains(&time)).collect()
    }

    #[test]
    fn panes_are_what_the_windows_around_a_time_say() {
        for (length, slide) in [(10, 10), (30, 10), (10, 30), (25, 10), (7, 3), (1, 1), (4, 6)] {
            let windows = Windows::new(length, slide);
            for time in -70..70 {
                let spanning = spanning(windows, time);
                let pane = windows.pane_of(time);
                assert_eq!(pane.is_some(), !spanning.is_empty(), "{windows:?} {time}");
                let Some(pane) = pane else { continue };
                assert!((pane..pane + windows.pane()).contains(&time));
                assert_eq!(Some(windows.last_end(pane)), spanning.last().map(|w| w.1));
                assert_eq!(Some(windows.first_end(pane)), spanning.first().map(|w| w.1));
            }
        }
    }

    #[test]
    fn times_are_clamped_and_those_of_windows_are_their_last_millisecond() {
        assert_eq!((event_time(u64::MAX), event_time(i64::MIN)), (LATEST, EARLIEST));
        assert_eq!((time_of(5i64), time_of((0i64, 60_000i64))), (5, 59_999));
    }
}
