//! Successive masters, what they resume from, and the sites reached by each.

use super::*;

impl World {
    /// Another master takes over, in whatever state the last one is.
    pub(super) fn next_master(&mut self) {
        if self.outside.term >= MASTERS {
            assert!(!self.is_orphaned, "too many masters");
            return;
        }
        self.hit("another master");
        self.outside.next_term();
        let past = self.past();
        let mut next = Cluster::new(&self.job, &self.outside, &past, self.now, self.seed.0);
        next.accepts_loss = std::mem::take(&mut self.accepts);
        self.seed.below(2);
        next.endure(&self.conditions);
        next.act(&mut self.outside);
        let before = std::mem::replace(&mut self.current, next);
        self.count(&before);
        self.old.push(before);
        self.is_orphaned = false;
        if self.current.outcome.is_some() {
            self.ended();
        }
    }

    /// What a new master resumes from; unreadable states fall back to their predecessors.
    pub(super) fn past(&mut self) -> Past {
        let mut past = self.outside.past();
        let mut fell_back = false;
        loop {
            let damaged = |object: &str| self.outside.damaged.contains(object);
            let Some(saved) =
                past.saved_states().find(|s| s.objects.iter().any(|o| damaged(o))).cloned()
            else {
                break;
            };
            past.fall_back(saved.stage, saved.partition).expect("there are two");
            fell_back = true;
        }
        if fell_back {
            self.hit("an older state is used");
        }
        let objects: BTreeSet<String> = past.objects().map(str::to_owned).collect();
        for object in &objects {
            assert!(self.outside.storage.contains_key(object), "{object} is needed and gone");
        }
        self.outside.storage.retain(|name, _| objects.contains(name));
        let accepts = self.accepts && !past.lost().is_empty();
        if accepts {
            past.accept_loss();
        }
        if accepts || fell_back || self.seed.one_in(3) {
            self.outside.write_snapshot(&past);
        }
        past
    }

    /// Damages one state that counts: its predecessor stays readable.
    pub(super) fn damage(&mut self, which: u64) {
        let past = self.outside.past();
        if past.objects().any(|object| self.outside.damaged.contains(object)) {
            return;
        }
        let saved: Vec<_> = past.saved_states().cloned().collect();
        let Some(saved) = saved.get(which as usize % saved.len().max(1)) else { return };
        if past.clone().fall_back(saved.stage, saved.partition).is_ok() {
            self.hit("damage");
            let at = which as usize % saved.objects.len();
            self.outside.damaged.insert(saved.objects[at].clone());
        }
    }

    pub(super) fn count_current(&mut self) {
        let fresh = Outside::new(self.job.config.first, self.job.plan.sources.len());
        let none = Cluster::new(&self.job, &fresh, &Past::default(), 0, 1);
        let last = std::mem::replace(&mut self.current, none);
        self.count(&last);
        for old in std::mem::take(&mut self.old) {
            self.count(&old);
        }
    }

    pub(super) fn count(&mut self, cluster: &Cluster) {
        let counts = [
            ("given up by the master", cluster.zombies),
            ("a task runs again", cluster.again),
            ("a state is loaded", cluster.loads),
            ("a state is not saved", cluster.refused_saves),
            ("a saved state continues another", cluster.continued),
            ("a damaged state is loaded", cluster.damaged_loads),
            ("intervals are missed", cluster.missed),
            ("a worker's port is taken", cluster.taken_ports),
        ];
        for (site, count) in counts {
            *self.sites.entry(site).or_default() += u64::from(count);
        }
    }
}
