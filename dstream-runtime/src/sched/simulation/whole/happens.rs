//! How faults happen.

use super::*;

impl World {
    pub(super) fn goes_wrong(&mut self, kind: Kind) {
        let (now, master) = (self.now, Place::Master(self.current.term));
        let taken: Vec<usize> = match kind {
            Kind::KillBoth { one, other, .. } => vec![one, other],
            Kind::KillAll { .. } if self.job.reckless => (0..self.hosts.len()).collect(),
            kind => kind.takes().into_iter().flatten().collect(),
        };
        if self.job.pushed && !taken.is_empty() {
            let is_early = now < self.made_good;
            let all_at_once = matches!(kind, Kind::KillBoth { .. } | Kind::KillAll { .. });
            let is_safe = match all_at_once {
                true => self.is_safe_without(&taken),
                false => taken.iter().all(|host| self.is_safe_without(&[*host])),
            };
            if is_early || !is_safe {
                if !self.job.reckless {
                    return self.hit("a second loss without a surviving holder is skipped");
                }
                self.hit("a second loss without a surviving holder");
                self.bereft = true;
            }
            self.made_good = now + kind.lasts() + LOSS_MS;
        }
        // Of what no worker holds any more only the master knows that has registered it. What the job goes on without
        // is written down.
        let has_accepted = !self.outside.dropped.is_empty();
        let is_of_masters = matches!(
            kind,
            Kind::CrashMaster { .. }
                | Kind::FreezeMaster { .. }
                | Kind::Usurp
                | Kind::Damage { .. }
        );
        if self.job.reckless && is_of_masters && !has_accepted {
            return;
        }
        match kind {
            Kind::Kill { host, back } => self.kill(host, back),
            Kind::KillBoth { one, other, back } => {
                self.hit("two workers are killed at the same time");
                self.kill(one, back);
                self.kill(other, back);
            }
            Kind::KillAll { back } => {
                if !self.job.reckless {
                    return;
                }
                self.hit("all workers are killed");
                self.deserted = now;
                (0..self.hosts.len()).for_each(|host| self.kill(host, back));
            }
            Kind::Freeze { host, ms } => {
                self.hit(if ms < Cluster::lease() { "a short freeze" } else { "a zombie" });
                self.conditions.freeze(Place::Machine(host), now + ms);
            }
            Kind::CrashMaster { next } => {
                if self.is_orphaned || self.outside.term >= MASTERS {
                    return;
                }
                self.hit("a master crashes");
                if has_accepted {
                    self.hit("a master that knows what is lost ends");
                }
                self.current.set_now(now);
                self.current.crash(&mut self.outside);
                self.is_orphaned = true;
                self.note(now + next, Due::Next(self.outside.term));
            }
            Kind::FreezeMaster { ms } => {
                self.conditions.freeze(master, now + ms);
                if ms > TAKEOVER_MS {
                    self.hit("a master is frozen until there is another");
                    self.note(now + TAKEOVER_MS, Due::Next(self.outside.term));
                } else {
                    self.hit("a master is frozen");
                }
            }
            Kind::Usurp => {
                self.hit("two masters");
                self.next_master();
            }
            Kind::CutMaster { host, way, ms } => {
                self.hit(match way {
                    Way::Both => "a worker without its master",
                    Way::There => "a worker that its master does not hear",
                    Way::Back => "a worker that does not hear its master",
                });
                self.cut(Place::Machine(host), master, way, ms);
            }
            Kind::CutPeers { one, other, way, ms } => {
                if one == other {
                    return;
                }
                self.cut(Place::Machine(one), Place::Machine(other), way, ms);
                if ms < Cluster::lease() {
                    return self.hit("two workers wait for each other");
                }
                self.current.set_now(now);
                if self.current.part(one, other) {
                    self.hit("two workers have lost each other");
                }
            }
            Kind::Slow { host, ms, by } => {
                self.hit("a slow host");
                let here = Place::Machine(host);
                for other in (0..self.hosts.len()).map(Place::Machine).chain([master]) {
                    self.conditions.slow_down(here, other, now + ms, by);
                }
                self.conditions.slow_down(master, here, now + ms, by);
            }
            Kind::SlowPeer { one, other, ms, by } => {
                self.hit("a slow link between two workers");
                self.conditions.slow_down(Place::Machine(one), Place::Machine(other), now + ms, by);
            }
            Kind::Busy { ms } => {
                self.hit("a busy master");
                self.conditions.busy = now + ms;
            }
            Kind::Full { ms } => {
                self.hit("full storage");
                self.conditions.full = now + ms;
            }
            Kind::Hang { ms } => {
                self.hit("storage that hangs");
                self.conditions.freeze(Place::Storage, now + ms);
            }
            Kind::SlowStorage { ms } => {
                self.hit("slow storage");
                self.conditions.slow_storage = now + ms;
            }
            Kind::Damage { which } => self.damage(which),
            Kind::Doubling { ms } => {
                self.hit("doubled messages");
                self.conditions.doubling = now + ms;
            }
            Kind::Reordering { ms } => {
                self.hit("messages in another order");
                self.conditions.reordering = now + ms;
            }
            Kind::FailTasks { ms } => {
                self.hit("failing tasks");
                self.conditions.failing = now + ms;
            }
            Kind::Jump { by } => {
                self.hit(if by < 0 { "the clock is set back" } else { "the clock is set forward" });
                self.current.jump(by);
            }
            Kind::Drain { host } => {
                self.current.set_now(now);
                if !self.is_orphaned && self.current.drain_on(host) {
                    self.hit("a worker is drained");
                    if self.job.pushed {
                        // It may stay until its blocks are read, which may need another worker.
                        self.add_host();
                    }
                    self.current.act(&mut self.outside);
                }
            }
            Kind::Join => {
                self.hit("a host is added");
                self.add_host();
            }
            Kind::Stop => {
                if !self.is_orphaned {
                    self.hit("the job is stopped");
                    self.current.set_now(now);
                    self.current.stop();
                    self.current.act(&mut self.outside);
                    if self.current.outcome.is_some() {
                        self.ended();
                    }
                }
            }
        }
    }

    /// Kills the worker process of a host, which is replaced later.
    fn kill(&mut self, host: usize, back: u64) {
        let now = self.now;
        if !std::mem::replace(&mut self.hosts[host].is_up, false) {
            return;
        }
        (self.hosts[host].is_member, self.hosts[host].node) = (false, None);
        self.outside.port.take_if(|at| *at == host);
        self.hit("a process is killed");
        for client in self.clients.iter_mut().filter(|client| client.at == Some(host)) {
            client.at = None;
        }
        let mut was_there = false;
        for cluster in self.old.iter_mut().chain([&mut self.current]) {
            cluster.set_now(now);
            was_there |= cluster.kill_on(host);
        }
        if was_there {
            self.hit("a worker is killed");
        }
        self.note(now + back, Due::Back(host));
    }

    pub(super) fn cut(&mut self, one: Place, other: Place, way: Way, ms: u64) {
        if way != Way::Back {
            self.conditions.cut(one, other, self.now + ms);
        }
        if way != Way::There {
            self.conditions.cut(other, one, self.now + ms);
        }
    }
}
