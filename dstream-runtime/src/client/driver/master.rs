//! The connection to a master, and the callers that wait for one.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Driver;
use crate::client::ClientError;
use crate::client::link::Phase;
use crate::driver::cluster::ClusterError;
use crate::net::{CloseReason, NetError, PeerId};

/// The connection to a master.
pub(super) enum Master {
    Resting {
        until: Instant,
    },
    Connecting {
        peer: PeerId,
        addr: SocketAddr,
    },
    /// With the streams of unanswered questions, in order.
    There {
        peer: PeerId,
        addr: SocketAddr,
        asked: VecDeque<u64>,
    },
}

/// Pause between two masters.
const MASTER_REST: Duration = Duration::from_millis(100);

impl Driver {
    pub(super) fn master_lost(&mut self, addr: SocketAddr, reason: CloseReason, now: Instant) {
        if matches!(self.master, Master::There { .. }) {
            self.lonely.0 = now;
        }
        self.lonely.1 = format!("{addr}: {reason}");
        self.master = Master::Resting { until: now + MASTER_REST };
        for link in self.links.values_mut() {
            link.forget_question();
            if let Phase::Looking { asked: true, since } = link.phase {
                link.phase = Phase::Looking { asked: false, since };
            }
        }
        if let CloseReason::Refused(refusal) = reason {
            self.refusals += 1;
            // All masters refused in a row: another attempt would not help.
            if self.refusals >= self.options.target.masters.len() {
                let error = ClusterError::from(NetError::Refused { addr, refusal });
                self.fail_those_who_wait(&error.into(), Duration::ZERO, now);
            }
        }
    }

    /// Fails the callers that have waited longer than `patience`.
    fn fail_those_who_wait(&mut self, error: &ClientError, patience: Duration, now: Instant) {
        let too_long = |since: Instant| now.duration_since(since) >= patience;
        if too_long(self.lonely.0)
            && let Some(ready) = self.ready.take()
        {
            // The receiver may have been dropped.
            let _ = ready.send(Err(error.clone()));
        }
        for link in self.links.values_mut() {
            if matches!(link.phase, Phase::Looking { since, .. } if too_long(since)) {
                link.fail(error.clone());
            }
        }
    }

    pub(super) fn see_master(&mut self, now: Instant) {
        let patience = self.options.target.patience;
        match &self.master {
            Master::Resting { until } if *until <= now => {
                let masters = &self.options.target.masters;
                // There is at least one, or there would be no certificate.
                let Some(addr) = masters.get(self.turn % masters.len().max(1)).copied() else {
                    return;
                };
                self.turn += 1;
                self.master = Master::Connecting { peer: self.net.connect(addr), addr };
            }
            Master::There { .. } => return,
            _ => {}
        }
        if now.duration_since(self.lonely.0) >= patience {
            let (masters, why) = (self.options.target.masters.clone(), self.lonely.1.clone());
            let error = ClientError::NoMaster { masters, patience, why };
            self.fail_those_who_wait(&error, patience, now);
        }
    }
}
