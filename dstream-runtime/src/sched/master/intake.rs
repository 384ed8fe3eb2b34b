//! Which sources are asked for the next batch, if any.

use crate::id::{BatchSeq, SourceId};
use crate::sched::Past;
use crate::sched::reach::ReachSteps;
use crate::source::{Position, Reach};

/// How a source stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It may bring more; whether that comes with time, and whether what it has received is cut when the job stops.
    Open { live: bool, drains: bool },
    /// Nothing will come any more.
    Ended,
}

/// What a source says of its end with a cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct End {
    /// Nothing will come any more.
    pub(super) ended: bool,
    /// Some of its splits have data and have not been begun.
    pub(super) waiting: bool,
}

/// Whether batches are still cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// All sources that have not ended are asked.
    Running,
    /// Sources take in nothing new; what some have received is cut, and that is all.
    Draining,
    /// All sources have ended by themselves: batches without input follow until every record was in a result.
    Completing,
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
    /// How far each has come, from which batch on. One that ends because it was told to stop has not ended.
    reach: Vec<ReachSteps>,
}

impl Intake {
    pub(super) fn new(live: &[bool], drains: &[bool]) -> Self {
        let open = |(live, drains): (&bool, &bool)| Standing::Open { live: *live, drains: *drains };
        let sources = live.iter().zip(drains).map(open).collect();
        let first = |live: &bool| {
            let mut steps = ReachSteps::default();
            steps.step(BatchSeq(0), if *live { Reach::Live } else { Reach::Waiting });
            steps
        };
        let (positions, reach) = (vec![None; live.len()], live.iter().map(first).collect());
        let mut intake = Self { sources, mode: Mode::Running, positions, reach };
        intake.close_if_done();
        intake
    }

    /// Goes on where an earlier master was.
    pub(super) fn resume(live: &[bool], drains: &[bool], past: &Past) -> Self {
        let mut intake = Self::new(live, drains);
        for (index, standing) in intake.sources.iter_mut().enumerate() {
            let source = SourceId(index as u16);
            intake.positions[index] = past.position(source).cloned();
            if let Some(steps) = past.reach(source) {
                intake.reach[index].resume(steps);
            }
            if past.has_ended(source) {
                *standing = Standing::Ended;
            }
        }
        intake.close_if_done();
        intake
    }

    /// Per source from where the next cut goes on.
    pub(super) fn positions(&self) -> &[Option<Position>] {
        &self.positions
    }

    /// How far each source has come with a batch.
    pub(super) fn reach(&self, batch: BatchSeq) -> Vec<Reach> {
        let by = |steps: &ReachSteps| steps.by(batch).unwrap_or_default();
        self.reach.iter().map(by).collect()
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

    /// No batch before this one is asked for any more.
    pub(super) fn forget(&mut self, oldest: BatchSeq) {
        self.reach.iter_mut().for_each(|steps| steps.forget(oldest));
    }

    /// A source has answered. While draining, one that brings nothing has been drained.
    pub(super) fn answered(
        &mut self,
        batch: BatchSeq,
        source: SourceId,
        position: Option<Position>,
        end: End,
        drained: bool,
    ) {
        let at = source.index();
        let Some(standing) = self.sources.get_mut(at) else { return };
        self.positions[at] = position;
        let live = matches!(standing, Standing::Open { live: true, .. });
        let reach = match end {
            // One that ends because it was told to stop goes on after the next start of the job.
            End { ended: true, .. } if self.mode == Mode::Running => Reach::Ended,
            End { waiting: true, .. } => Reach::Waiting,
            _ if live => Reach::Live,
            End { .. } => Reach::Reading,
        };
        self.reach[at].step(batch, reach);
        if end.ended || drained {
            *standing = Standing::Ended;
        }
        self.close_if_done();
    }

    /// Whether all sources have ended by themselves.
    pub(super) fn has_ended(&self) -> bool {
        self.reach.iter().all(ReachSteps::has_ended)
    }

    /// The batch with which all sources have ended by themselves.
    pub(super) fn ended(&self) -> Option<BatchSeq> {
        self.reach
            .iter()
            .map(ReachSteps::ended)
            .try_fold(BatchSeq(0), |all, one| Some(all.max(one?)))
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
        if self.asked().next().is_some() {
            return;
        }
        // What was stopped goes on after the next start, and windows with it.
        let completes = self.mode == Mode::Running && !self.sources.is_empty() && self.has_ended();
        self.mode = if completes { Mode::Completing } else { Mode::Closed };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDED: End = End { ended: true, waiting: false };

    #[test]
    fn how_far_a_source_has_come_is_known_by_batch() {
        let mut intake = Intake::new(&[false], &[false]);
        for (batch, ended, waiting) in [(1, false, true), (2, false, true), (3, false, false)] {
            intake.answered(BatchSeq(batch), SourceId(0), None, End { ended, waiting }, false);
        }
        intake.answered(BatchSeq(5), SourceId(0), None, ENDED, false);
        intake.forget(BatchSeq(2));
        let reach = [1, 2, 3, 4, 5, 9].map(|batch| intake.reach(BatchSeq(batch))[0]);
        let (waiting, reading, ended) = (Reach::Waiting, Reach::Reading, Reach::Ended);
        assert_eq!(reach, [waiting, waiting, reading, reading, ended, ended]);
    }

    #[test]
    fn bounded_sources_are_asked_until_they_end() {
        let mut intake = Intake::new(&[false; 2], &[false; 2]);
        assert!(!intake.is_live());
        intake.answered(BatchSeq(1), SourceId(0), None, ENDED, false);
        assert_eq!(intake.asked().collect::<Vec<_>>(), [SourceId(1)]);
        intake.answered(BatchSeq(2), SourceId(1), None, ENDED, false);
        assert_eq!(intake.mode(), Mode::Completing);
        assert_eq!(intake.asked().next(), None);
        intake.close();
        assert_eq!(intake.mode(), Mode::Closed);
    }

    #[test]
    fn a_source_that_was_stopped_has_not_ended_for_the_next_start() {
        let mut intake = Intake::new(&[true; 2], &[true; 2]);
        intake.answered(BatchSeq(1), SourceId(0), Some([1u8].into()), ENDED, false);
        intake.drain();
        intake.answered(BatchSeq(2), SourceId(1), Some([2u8].into()), ENDED, false);
        assert_eq!(intake.mode(), Mode::Closed);
        let positions = vec![Some([1u8].into()), Some([2u8].into())];
        assert_eq!(intake.positions(), positions);
        assert_eq!(intake.reach(BatchSeq(2)), [Reach::Ended, Reach::Live]);
        assert_eq!(intake.reach(BatchSeq(0)), [Reach::Live, Reach::Live]);
    }

    #[test]
    fn draining_asks_those_that_drain_until_they_bring_nothing() {
        let mut intake = Intake::new(&[false, true], &[false, true]);
        assert!(intake.drain());
        assert!(!intake.drain(), "a second stop is none");
        assert_eq!(intake.asked().collect::<Vec<_>>(), [SourceId(1)]);
        intake.answered(BatchSeq(1), SourceId(1), None, End::default(), false);
        assert_eq!(intake.mode(), Mode::Draining);
        intake.answered(BatchSeq(2), SourceId(1), None, End::default(), true);
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
        pipe.answered(BatchSeq(1), SourceId(0), None, ENDED, false);
        assert_eq!((pipe.mode(), pipe.has_ended()), (Mode::Closed, false));
    }
}
