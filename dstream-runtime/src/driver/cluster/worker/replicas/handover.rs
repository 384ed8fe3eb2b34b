//! A worker that leaves hands over what it holds of what clients have sent.
//!
//! It goes when two others hold each line that may still be read, or one where there is only one: one of them may
//! be lost at the same moment without notice. Its own record of the holders does not count, since they may have
//! been lost since; so it asks, in *rounds*. A round asks all others that stay and can be reached what they hold;
//! when all have answered, each line that too few hold is copied to others, which acknowledge it. When a worker
//! comes or goes, or a connection ends, another round begins and nothing of the one before counts. At the end the
//! master hears which workers hold what, and the holders hear of each other.
//!
//! With a log it goes once no batch needs what it has received itself: copies elsewhere are in memory, and no process
//! reads the log of a worker that does not come again.
//!
//! Invariants: a line is handed over when [`ENOUGH`] others, or all if there are fewer, have said in this round
//! that they hold it; a worker that has handed over everything takes in no copy any more, so no worker counts it as
//! a holder.

use super::*;

/// How many others are to hold what a leaving worker holds.
const ENOUGH: usize = 2;

/// What is to be done to hand over.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::driver::cluster::worker) enum Step {
    /// Ask a worker which of these it holds, in this round.
    Ask(WorkerId, u64, Vec<BlockRange>),
    /// Send a worker a copy.
    Copy(WorkerId, Key),
    /// Everything is handed over: what is to be said of it.
    Over(HandedOver),
}

/// Who holds what a worker had that has handed over everything.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::driver::cluster::worker) struct HandedOver {
    /// All of them.
    pub(in crate::driver::cluster::worker) to: Vec<WorkerId>,
    /// Who holds what.
    pub(in crate::driver::cluster::worker) holders: Vec<(WorkerId, BlockRange)>,
    /// Who is to hear that another one holds the same, in place of this worker.
    pub(in crate::driver::cluster::worker) instead: Vec<(WorkerId, BlockRange, WorkerId)>,
}

/// A round.
#[derive(Debug, Default)]
pub(super) struct Handover {
    round: u64,
    /// Who stays, and can be reached.
    others: BTreeSet<WorkerId>,
    unanswered: BTreeSet<WorkerId>,
    lines: BTreeMap<Key, Holders>,
    /// Those of them that too few hold.
    open: BTreeSet<Key>,
    is_over: bool,
    /// It was over once.
    is_closed: bool,
}

/// Who else has a line.
#[derive(Debug, Default)]
struct Holders {
    /// They have said so.
    hold: BTreeSet<WorkerId>,
    /// They were sent it.
    awaited: BTreeSet<WorkerId>,
}

impl Handover {
    fn enough(&self) -> usize {
        ENOUGH.min(self.others.len()).max(1)
    }

    /// A worker says that it holds a line.
    fn hold(&mut self, key: Key, by: WorkerId) {
        let enough = self.enough();
        let holders = self.lines.entry(key).or_default();
        holders.awaited.remove(&by);
        holders.hold.insert(by);
        if holders.hold.len() >= enough {
            self.open.remove(&key);
        }
    }

    /// Who else gets a line: those that come after `id`, as with all copies.
    fn targets(&mut self, id: WorkerId, key: Key) -> Vec<WorkerId> {
        let enough = self.enough();
        let holders = self.lines.entry(key).or_default();
        let missing = enough.saturating_sub(holders.hold.len() + holders.awaited.len());
        let all = self.others.range(id..).chain(self.others.range(..id));
        let able = all.filter(|to| !holders.hold.contains(to) && !holders.awaited.contains(to));
        let targets: Vec<WorkerId> = able.take(missing).copied().collect();
        holders.awaited.extend(&targets);
        targets
    }
}

impl ReplicaLog {
    /// This worker is to hand over what it holds to these others, which stay and can be reached. Nothing if it
    /// does so already.
    pub(in crate::driver::cluster::worker) fn hand_over(
        &mut self,
        others: BTreeSet<WorkerId>,
    ) -> Vec<Step> {
        let before = self.handover.take().unwrap_or_default();
        if before.round > 0 && before.others == others {
            self.handover = Some(before);
            return Vec::new();
        }
        // Whom a line was given to once is believed to hold it still.
        let is_known = |lines: &Lines| lines.other.is_some() && left_out(Guard::HoldersAreAsked);
        let open = self.lines.iter().filter(|(_, lines)| !is_known(lines));
        let handover = Handover {
            round: before.round + 1,
            unanswered: others.clone(),
            others,
            lines: BTreeMap::new(),
            open: open.map(|(key, _)| *key).collect(),
            is_over: false,
            is_closed: before.is_closed,
        };
        let (round, all) = (handover.round, runs(handover.open.iter().copied()));
        let whom = handover.others.iter().filter(|_| !all.is_empty());
        let mut steps: Vec<Step> =
            whom.map(|worker| Step::Ask(*worker, round, all.clone())).collect();
        self.handover = Some(handover);
        steps.extend(self.handed_over());
        steps
    }

    /// A worker has answered which of the lines that it was asked about it holds.
    pub(in crate::driver::cluster::worker) fn held_by(
        &mut self,
        by: WorkerId,
        round: u64,
        all: &[BlockRange],
    ) -> Vec<Step> {
        let held: Vec<Key> = all.iter().flat_map(|numbers| self.held(*numbers)).collect();
        let Some(handover) = &mut self.handover else { return Vec::new() };
        if handover.round != round || !handover.unanswered.remove(&by) {
            return Vec::new();
        }
        held.into_iter().for_each(|key| handover.hold(key, by));
        self.go_on_handing_over()
    }

    /// A worker has its copy of a line.
    pub(in crate::driver::cluster::worker) fn handed_to(
        &mut self,
        by: WorkerId,
        key: Key,
    ) -> Vec<Step> {
        let Some(handover) = &mut self.handover else { return Vec::new() };
        // What it said before it was asked says nothing of now.
        let is_awaited = |holders: &Holders| holders.awaited.contains(&by);
        if handover.lines.get(&key).is_some_and(is_awaited) {
            handover.hold(key, by);
        }
        self.handed_over().into_iter().collect()
    }

    /// A line cannot be read back: it cannot be copied, and the task that has to read it finds that out.
    pub(in crate::driver::cluster::worker) fn cannot_hand_over(&mut self, key: Key) -> Vec<Step> {
        if let Some(handover) = &mut self.handover {
            handover.open.remove(&key);
        }
        self.handed_over().into_iter().collect()
    }

    /// Lines have come, or are needed no more.
    pub(in crate::driver::cluster::worker) fn go_on_handing_over(&mut self) -> Vec<Step> {
        let Some(handover) = &mut self.handover else { return Vec::new() };
        handover.open.retain(|key| self.lines.contains_key(key));
        let mut steps = Vec::new();
        if handover.unanswered.is_empty() {
            for key in handover.open.clone() {
                let targets = handover.targets(self.id, key).into_iter();
                steps.extend(targets.map(|to| Step::Copy(to, key)));
            }
        }
        steps.extend(self.handed_over());
        steps
    }

    /// Whether this worker takes in nothing any more, because it has handed over all that it had.
    pub(in crate::driver::cluster::worker) fn has_handed_over(&self) -> bool {
        self.handover.as_ref().is_some_and(|handover| handover.is_closed)
    }

    /// A line is here that was not.
    pub(super) fn is_to_be_handed_over(&mut self, key: Key) {
        if let Some(handover) = &mut self.handover {
            handover.open.insert(key);
        }
    }

    /// The end of a round, once.
    fn handed_over(&mut self) -> Option<Step> {
        let handover = self.handover.as_mut().filter(|h| h.open.is_empty() && !h.is_over)?;
        let is_logged = |log: &IngestLog, key| log.has(key) || self.mine.contains_key(key);
        if self.log.as_ref().is_some_and(|log| self.lines.keys().any(|key| is_logged(log, key))) {
            return None;
        }
        (handover.is_over, handover.is_closed) = (true, true);
        let (mut holders, mut instead) = (Vec::new(), Vec::new());
        for key in self.lines.keys() {
            let Some(Holders { hold, .. }) = handover.lines.get(key) else { continue };
            for by in hold {
                holders.push((*by, *key));
                let other = hold.iter().find(|other| *other != by);
                instead.extend(other.map(|other| ((*by, *other), *key)));
            }
        }
        let to: BTreeSet<WorkerId> = holders.iter().map(|(by, _)| *by).collect();
        let instead = together(instead).into_iter();
        Some(Step::Over(HandedOver {
            to: to.into_iter().collect(),
            holders: together(holders),
            instead: instead.map(|((to, by), numbers)| (to, numbers, by)).collect(),
        }))
    }

    /// A worker that leaves has handed over these, and another one that holds them counts in its place.
    pub(in crate::driver::cluster::worker) fn instead(
        &mut self,
        numbers: BlockRange,
        leaver: WorkerId,
        by: WorkerId,
    ) -> Vec<(Key, Settled)> {
        let with_it = |key: &Key| self.lines.get(key).is_some_and(|l| l.other == Some(leaver));
        let keys: Vec<Key> = self.held(numbers).filter(with_it).collect();
        let settle = |key| {
            if let Some(lines) = self.lines.get_mut(&key) {
                // The master has heard it of the one that leaves.
                lines.is_news = false;
            }
            (key, self.shared(key, by))
        };
        keys.into_iter().map(settle).collect()
    }
}

/// The numbers that follow each other, by whatever else they are told of together.
fn together<T: Copy + Ord>(mut all: Vec<(T, Key)>) -> Vec<(T, BlockRange)> {
    all.sort_unstable();
    let groups = all.chunk_by(|one, other| one.0 == other.0);
    let of = |group: &[(T, Key)]| {
        let with = group[0].0;
        runs(group.iter().map(|(_, key)| *key)).into_iter().map(move |run| (with, run))
    };
    groups.flat_map(|group| of(group).collect::<Vec<_>>()).collect()
}

#[cfg(test)]
mod tests;
