//! A worker joins again, after its master was replaced: what it has received and the copies that it has are
//! all that stays, and the new master hears of them.
//!
//! Received blocks keep the names that they got, with the id that their receiver had then. The other holder has to
//! be found out anew: workers tell each other what they hold.

use super::*;

/// How many received blocks one message reports.
const TOGETHER: usize = 1000;

impl ReplicaLog {
    /// From now on this worker has another id, of a new master.
    pub(in crate::driver::cluster::worker) fn rejoined(&mut self, id: WorkerId) {
        self.were.push(std::mem::replace(&mut self.id, id));
        // Of ids under which nothing is left, nothing has to be known.
        let mine = &self.mine;
        self.were.retain(|id| mine.keys().any(|key| key.0 == *id));
        self.is_placed = false;
        self.handover = None;
        self.read.clear();
        self.read_elsewhere.clear();
        self.forgotten.clear();
        self.lost.clear();
        self.unreported.clear();
        for lines in self.lines.values_mut() {
            (lines.other, lines.is_news) = (None, false);
        }
        for (key, mine) in &mut self.mine {
            // What the log has stays there.
            if let State::Pending { copied, registered, .. } = &mut mine.state {
                (*copied, *registered) = (false, false);
                self.unreported.entry(key.1).or_default().push_back(*key);
            }
        }
    }

    /// Every worker has been placed: those that hold copies of this worker's blocks have said so.
    pub(in crate::driver::cluster::worker) fn placed(&mut self) {
        self.is_placed = true;
    }

    /// What a new master is told of what is held here; what clients wait for is reported when there is a
    /// second holder.
    pub(in crate::driver::cluster::worker) fn holds(&self) -> Vec<WorkerNote> {
        let mut by_source: BTreeMap<SourceId, Vec<(ReceivedBlock, u64)>> = BTreeMap::new();
        for (key, lines) in self.lines.iter().filter(|(key, _)| !is_pending(&self.mine, key)) {
            let (receiver, source, number) = *key;
            let (bytes, client) = (lines.bytes, lines.entry.client);
            let received_block = ReceivedBlock { receiver, number, copy: None, bytes, client };
            by_source.entry(source).or_default().push((received_block, lines.entry.records));
        }
        let notes = by_source.into_iter().flat_map(|(source, blocks)| {
            let some = blocks.chunks(TOGETHER).map(<[_]>::to_vec).collect::<Vec<_>>();
            some.into_iter().map(move |blocks| WorkerNote::Holds { source, blocks })
        });
        notes.collect()
    }

    /// What the others are told of what is held here; nothing with the first master there is.
    pub(in crate::driver::cluster::worker) fn holding(&self) -> Option<Vec<BlockRange>> {
        let all = runs(self.lines.keys().copied().filter(|key| is_older(key.0, self.id)));
        (!all.is_empty()).then_some(all)
    }

    /// Of these, the ones that are held here, and by no other worker as far as it is known.
    pub(in crate::driver::cluster::worker) fn lone(&self, numbers: BlockRange) -> Vec<Key> {
        let alone = |key: &Key| self.lines.get(key).is_some_and(|lines| lines.other.is_none());
        self.held(numbers).filter(alone).collect()
    }

    /// Another worker holds this, too, as it says itself; the master hears it from there.
    pub(in crate::driver::cluster::worker) fn shared(&mut self, key: Key, by: WorkerId) -> Settled {
        if let Some(lines) = self.lines.get_mut(&key) {
            lines.other = Some(by);
        }
        self.copied(key, Some(by))
    }
}
