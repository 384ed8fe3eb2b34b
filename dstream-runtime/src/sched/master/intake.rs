//! Which sources are asked for the next batch, if any.

use crate::id::SourceId;
use crate::sched::Past;
use crate::source::Position;

/// How a source stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It may bring more; whether that comes with time, and whether what it has received is cut when the job stops.
    Open { live: bool, drains: bool },
    /// Nothing will come any more.
    Ended,
}

/// Whether batches are still cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// All sources that have not ended are asked.
    Running,
    /// Sources take in nothing new; what some have received is cut, and that is all.
    Draining,
    /// Nothing is cut any more.
    Closed,
}

/// The sources of a job.
#[derive(Debug)]
pub(super) struct Intake {
    sources: Vec<Standing>,
    mode: Mode,
    /// From where the next cut of each goes on.
    positions: Vec<Option<Position>>,
    /// Which have ended by themselves, not because they were told to stop.
    ended: Vec<bool>,
}

impl Intake {
    pub(super) fn new(live: &[bool], drains: &[bool]) -> Self {
        let open = |(live, drains): (&bool, &bool)| Standing::Open { live: *live, drains: *drains };
        let sources = live.iter().zip(drains).map(open).collect();
        let (positions, ended) = (vec![None; live.len()], vec![false; live.len()]);
        let mut intake = Self { sources, mode: Mode::Running, positions, ended };
        intake.close_if_done();
        intake
    }

    /// Goes on where an earlier master was.
    pub(super) fn resume(live: &[bool], drains: &[bool], past: &Past) -> Self {
        let mut intake = Self::new(live, drains);
        for (index, standing) in intake.sources.iter_mut().enumerate() {
            let source = SourceId(index as u16);
            intake.positions[index] = past.position(source).cloned();
            intake.ended[index] = past.has_ended(source);
            if intake.ended[index] {
                *standing = Standing::Ended;
            }
        }
        intake.close_if_done();
        intake
    }

    /// Per source from where the next cut goes on, and whether there will be none.
    pub(super) fn reached(&self) -> (Vec<Option<Position>>, Vec<bool>) {
        (self.positions.clone(), self.ended.clone())
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether a batch waits for its time: some live source may still bring more.
    pub(super) fn is_live(&self) -> bool {
        self.sources.iter().any(|standing| matches!(standing, Standing::Open { live: true, .. }))
    }

    /// The sources to ask for the next batch.
    pub(super) fn asked(&self) -> impl Iterator<Item = SourceId> {
        let asked = |standing: &Standing| match (self.mode, standing) {
            (Mode::Running, Standing::Open { .. }) => true,
            (Mode::Draining, Standing::Open { drains, .. }) => *drains,
            _ => false,
        };
        let sources = self.sources.iter().enumerate();
        sources.filter(move |(_, s)| asked(s)).map(|(id, _)| SourceId(id as u16))
    }

    /// A source has answered. While draining, one that brings nothing has been drained.
    pub(super) fn answered(
        &mut self,
        source: SourceId,
        position: Option<Position>,
        ended: bool,
        drained: bool,
    ) {
        let at = source.index();
        let Some(standing) = self.sources.get_mut(at) else { return };
        self.positions[at] = position;
        // One that ends because it was told to stop goes on after the next start of the job.
        self.ended[at] |= ended && self.mode == Mode::Running;
        if ended || drained {
            *standing = Standing::Ended;
        }
        self.close_if_done();
    }

    /// Whether all sources have ended by themselves.
    pub(super) fn has_ended(&self) -> bool {
        !self.ended.contains(&false)
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
        let mut intake = Intake::new(&[false; 2], &[false; 2]);
        assert!(!intake.is_live());
        intake.answered(SourceId(0), None, true, false);
        assert_eq!(intake.asked().collect::<Vec<_>>(), [SourceId(1)]);
        intake.answered(SourceId(1), None, true, false);
        assert_eq!(intake.mode(), Mode::Closed);
    }

    #[test]
    fn a_source_that_was_stopped_has_not_ended_for_the_next_start() {
        let mut intake = Intake::new(&[true; 2], &[true; 2]);
        intake.answered(SourceId(0), Some([1u8].into()), true, false);
        intake.drain();
        intake.answered(SourceId(1), Some([2u8].into()), true, false);
        assert_eq!(intake.mode(), Mode::Closed);
        let positions = vec![Some([1u8].into()), Some([2u8].into())];
        assert_eq!(intake.reached(), (positions, vec![true, false]));
    }

    #[test]
    fn draining_asks_those_that_drain_until_they_bring_nothing() {
        let mut intake = Intake::new(&[false, true], &[false, true]);
        assert!(intake.drain());
        assert!(!intake.drain(), "a second stop is none");
        assert_eq!(intake.asked().collect::<Vec<_>>(), [SourceId(1)]);
        intake.answered(SourceId(1), None, false, false);
        assert_eq!(intake.mode(), Mode::Draining);
        intake.answered(SourceId(1), None, false, true);
        assert_eq!(intake.mode(), Mode::Closed);
    }

    #[test]
    fn a_bounded_job_that_stops_is_closed_at_once() {
        let mut intake = Intake::new(&[false], &[false]);
        intake.drain();
        assert_eq!(intake.mode(), Mode::Closed);
        assert_eq!(Intake::new(&[], &[]).mode(), Mode::Closed);
        // What a pipe has given cannot be read again.
        let mut pipe = Intake::new(&[false], &[true]);
        pipe.drain();
        assert!(!pipe.is_live());
        assert_eq!(pipe.mode(), Mode::Draining);
        pipe.answered(SourceId(0), None, true, false);
        assert_eq!((pipe.mode(), pipe.has_ended()), (Mode::Closed, false));
    }
}
