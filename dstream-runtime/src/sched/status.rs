//! How a job is doing, as its master's core sees it: plain data, and the words for what it waits for.
//!
//! Workers are numbers here; who renders it knows their names. Nothing is decided by it.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::master::{Gone, Standing};
use crate::id::{BatchSeq, Epoch, Partition, StageId, WorkerId};

/// No more workers than this are named in one sentence.
const NAMED: usize = 3;

/// How a job is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The newest epoch.
    pub epoch: Epoch,
    /// Whether partitions are moving, or batches of an older placement run.
    pub moving: bool,
    /// The workers that take part.
    pub members: Vec<MemberStatus>,
    /// The last ones that took part and do not any more, oldest first.
    pub gone: Vec<Gone>,
    /// Batches in flight, oldest first.
    pub batches: Vec<BatchStatus>,
    /// The next batch to be cut.
    pub next: BatchSeq,
    /// What that waits for.
    pub cut: CutWait,
    /// How many late tasks were run on another worker too, and how many of these runs came first.
    pub speculations: (u64, u64),
}

/// A worker that takes part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// The worker.
    pub worker: WorkerId,
    /// How it stands.
    pub standing: Standing,
    /// How many tasks it can run at a time.
    pub slots: u32,
    /// How many partitions it owns.
    pub partitions: u32,
    /// How many of its tasks in the batches in flight have not run.
    pub tasks: u32,
    /// Whether all state that moves to it has arrived.
    pub settled: bool,
    /// How many times as long as others it takes, in thousandths, if it has lost partitions for that.
    pub slow: Option<u32>,
    /// How much it reads of what comes in, in percent.
    pub share: u32,
    /// How long ago it was last heard of.
    pub silent_ms: u64,
}

/// A batch in flight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchStatus {
    /// The batch.
    pub batch: BatchSeq,
    /// How long ago its sources were asked.
    pub age_ms: u64,
    /// Where it is, by what it waits for.
    pub wait: Wait,
}

/// What a batch in flight waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// It is being cut: these sources have not answered.
    Sources(Vec<String>),
    /// It runs: tasks of these stages have not, though everything they read has been made.
    Tasks(Vec<StageWait>),
    /// Its cut or its commit is being written down.
    Journal,
    /// It is done; a batch before it is not.
    Turn {
        /// The oldest batch.
        after: BatchSeq,
    },
    /// It is being published.
    Outputs,
}

/// Tasks of one stage that a batch waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageWait {
    /// The stage.
    pub stage: StageId,
    /// Its name.
    pub name: String,
    /// Who has to run how many of them, most first.
    pub tasks: Vec<(WorkerId, u32)>,
    /// Whether it has state that is still on its way to one of them.
    pub moving: bool,
}

/// What the next cut waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutWait {
    /// Workers have to join first.
    Workers {
        /// How many are there.
        have: u32,
        /// How many there must be.
        need: u32,
    },
    /// These workers have not acknowledged the newest placement.
    Placement(Vec<WorkerId>),
    /// The batch before is being cut.
    Sources,
    /// As many batches as may be are kept for the case that a worker is lost: states must be saved first.
    Checkpoints,
    /// As many batches as may be are in flight: the oldest must be over first.
    Room,
    /// Its time has not come.
    Time {
        /// When it comes, in the timetable's milliseconds.
        at_ms: u64,
    },
    /// There is none: nothing more will be cut.
    Nothing,
    /// There is none, and the job ends when these states are saved: what they have read cannot be read again.
    Saves(Vec<(String, Partition)>),
}

impl Status {
    /// What everything waits for, as a sentence: the oldest batch, or else the next cut. None if that is
    /// nothing but its time, or the end.
    #[must_use]
    pub fn cause(&self, name: &dyn Fn(WorkerId) -> String) -> Option<String> {
        match self.batches.first() {
            Some(oldest) => Some(format!("{} waits for {}", oldest.batch, oldest.wait.text(name))),
            None => {
                if let CutWait::Saves(states) = &self.cut {
                    return Some(saves(states));
                }
                let text = self.cut.text(name)?;
                Some(format!("{} waits for {text}", self.next))
            }
        }
    }
}

impl BatchStatus {
    /// The name of its phase.
    #[must_use]
    pub fn phase(&self) -> &'static str {
        match self.wait {
            Wait::Sources(_) => "cutting",
            Wait::Tasks(_) => "running",
            Wait::Journal => "committing",
            Wait::Turn { .. } => "done",
            Wait::Outputs => "publishing",
        }
    }
}

impl Wait {
    /// As words: `3 tasks on worker 2 (stage counts)`.
    #[must_use]
    pub fn text(&self, name: &dyn Fn(WorkerId) -> String) -> String {
        match self {
            Self::Sources(sources) => match sources.as_slice() {
                [source] => format!("source {source}"),
                sources => format!("sources {}", sources.join(", ")),
            },
            Self::Tasks(stages) => {
                let stages = stages.iter().map(|stage| stage.text(name));
                stages.collect::<Vec<_>>().join("; ")
            }
            Self::Journal => "the journal".into(),
            Self::Turn { after } => format!("{after}"),
            Self::Outputs => "the outputs".into(),
        }
    }
}

impl StageWait {
    fn text(&self, name: &dyn Fn(WorkerId) -> String) -> String {
        let count: u32 = self.tasks.iter().map(|(_, tasks)| tasks).sum();
        let plural = if count == 1 { "" } else { "s" };
        let named = self.tasks.iter().take(NAMED).map(|(worker, _)| name(*worker));
        let mut text = format!("{count} task{plural} on {}", named.collect::<Vec<_>>().join(", "));
        if let Some(more) = self.tasks.len().checked_sub(NAMED).filter(|more| *more > 0) {
            let _ = write!(text, " and {more} more");
        }
        let moving = if self.moving { ", whose state is moving" } else { "" };
        let _ = write!(text, " (stage {}{moving})", self.name);
        text
    }
}

/// What the end of a job waits for, as words.
fn saves(states: &[(String, Partition)]) -> String {
    let plural = if states.len() == 1 { "" } else { "s" };
    let named = states.iter().take(NAMED).map(|(stage, partition)| format!("{stage}, {partition}"));
    let named = named.collect::<Vec<_>>().join("; ");
    let more = match states.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!(
        "the end of the job waits for {} state{plural} to be saved ({named}{more})",
        states.len()
    )
}

impl CutWait {
    /// As words, if it is anything but its time.
    #[must_use]
    pub fn text(&self, name: &dyn Fn(WorkerId) -> String) -> Option<String> {
        match self {
            Self::Workers { have, need } => Some(format!("workers: {have} of {need} have joined")),
            Self::Placement(workers) => {
                let named = workers.iter().take(NAMED).map(|worker| name(*worker));
                let named = named.collect::<Vec<_>>().join(", ");
                let more = match workers.len().saturating_sub(NAMED) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                Some(format!("{named}{more} to acknowledge the placement"))
            }
            Self::Sources => Some("the sources".into()),
            Self::Checkpoints => Some("states to be saved".into()),
            Self::Room => Some("the batches in flight".into()),
            Self::Time { .. } | Self::Nothing | Self::Saves(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_told_with_its_cause() {
        let stage = |tasks: &[(u32, u32)], moving| StageWait {
            stage: StageId(1),
            name: "counts".into(),
            tasks: tasks.iter().map(|(worker, tasks)| (WorkerId(*worker), *tasks)).collect(),
            moving,
        };
        let wait = |wait| BatchStatus { batch: BatchSeq(812), age_ms: 7, wait };
        let status = |batches, cut| Status {
            epoch: Epoch(2),
            moving: false,
            members: Vec::new(),
            gone: Vec::new(),
            batches,
            next: BatchSeq(813),
            cut,
            speculations: (0, 0),
        };
        let text = |w| status(vec![wait(w)], CutWait::Room).cause(&|w| w.to_string()).unwrap();
        assert_eq!(
            text(Wait::Tasks(vec![stage(&[(2, 3)], false)])),
            "batch 812 waits for 3 tasks on worker 2 (stage counts)"
        );
        assert_eq!(
            text(Wait::Tasks(vec![stage(&[(2, 1), (3, 1), (4, 1), (5, 1)], true)])),
            "batch 812 waits for 4 tasks on worker 2, worker 3, worker 4 and 1 more \
             (stage counts, whose state is moving)"
        );
        assert_eq!(text(Wait::Sources(vec!["views".into()])), "batch 812 waits for source views");
        let cut = |cut| status(Vec::new(), cut).cause(&|w| format!("w{}", w.0));
        assert_eq!(
            cut(CutWait::Placement(vec![WorkerId(7)])).unwrap(),
            "batch 813 waits for w7 to acknowledge the placement"
        );
        assert_eq!(cut(CutWait::Time { at_ms: 9 }), None);
        let states = |n| (0..n).map(|n| ("counts".to_owned(), Partition(n))).collect();
        assert_eq!(
            cut(CutWait::Saves(states(1))).unwrap(),
            "the end of the job waits for 1 state to be saved (counts, partition 0)"
        );
        assert_eq!(
            cut(CutWait::Saves(states(5))).unwrap(),
            "the end of the job waits for 5 states to be saved (counts, partition 0; counts, partition 1; \
             counts, partition 2; and 2 more)"
        );
    }
}
