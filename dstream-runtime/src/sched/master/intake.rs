//! Which sources are asked for the next batch, if any.

use crate::id::SourceId;

/// How a source stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It may bring more.
    Open { live: bool },
    /// Nothing will come any more.
    Ended,
}

/// Whether batches are still cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// All sources that have not ended are asked.
    Running,
    /// Sources take in nothing new; what live ones have received is cut, and that is all.
    Draining,
    /// Nothing is cut any more.
    Closed,
}

/// The sources of a job.
#[derive(Debug)]
pub(super) struct Intake {
    sources: Vec<Standing>,
    mode: Mode,
}

impl Intake {
    pub(super) fn new(live: &[bool]) -> Self {
        let sources = live.iter().map(|live| Standing::Open { live: *live }).collect();
        let mut intake = Self { sources, mode: Mode::Running };
        intake.close_if_done();
        intake
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether a batch waits for its time: some live source may still bring more.
    pub(super) fn is_live(&self) -> bool {
        self.sources.contains(&Standing::Open { live: true })
    }

    /// The sources to ask for the next batch.
    pub(super) fn asked(&self) -> impl Iterator<Item = SourceId> {
        let asked = |standing: &Standing| match (self.mode, standing) {
            (Mode::Running, Standing::Open { .. }) => true,
            (Mode::Draining, Standing::Open { live }) => *live,
            _ => false,
        };
        let sources = self.sources.iter().enumerate();
        sources.filter(move |(_, s)| asked(s)).map(|(id, _)| SourceId(id as u16))
    }

    /// A source has answered. While draining, one that brings nothing has been drained.
    pub(super) fn answered(&mut self, source: SourceId, ended: bool, drained: bool) {
        if (ended || drained)
            && let Some(standing) = self.sources.get_mut(source.index())
        {
            *standing = Standing::Ended;
        }
        self.close_if_done();
    }

    /// False if it was not running any more.
    pub(super) fn drain(&mut self) -> bool {
        let running = self.mode == Mode::Running;
        if running {
            self.mode = Mode::Draining;
            self.close_if_done();
        }
        running
    }

    pub(super) fn close(&mut self) {
        self.mode = Mode::Closed;
    }

    fn close_if_done(&mut self) {
        if self.asked().next().is_none() {
            self.mode = Mode::Closed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounded_sources_are_asked_until_they_end() {
        let mut intake = Intake::new(&[false, false]);
        assert!(!intake.is_live());
        intake.answered(SourceId(0), true, false);
        assert_eq!(intake.asked().collect::<Vec<_>>(), [SourceId(1)]);
        intake.answered(SourceId(1), true, false);
        assert_eq!(intake.mode(), Mode::Closed);
    }

    #[test]
    fn draining_asks_live_sources_only_until_they_bring_nothing() {
        let mut intake = Intake::new(&[false, true]);
        assert!(intake.drain());
        assert!(!intake.drain(), "a second stop is none");
        assert_eq!(intake.asked().collect::<Vec<_>>(), [SourceId(1)]);
        intake.answered(SourceId(1), false, false);
        assert_eq!(intake.mode(), Mode::Draining);
        intake.answered(SourceId(1), false, true);
        assert_eq!(intake.mode(), Mode::Closed);
    }

    #[test]
    fn a_bounded_job_that_stops_is_closed_at_once() {
        let mut intake = Intake::new(&[false]);
        intake.drain();
        assert_eq!(intake.mode(), Mode::Closed);
        assert_eq!(Intake::new(&[]).mode(), Mode::Closed);
    }
}
