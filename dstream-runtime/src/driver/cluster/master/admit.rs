//! How workers come: under a name that no other has, and known to later masters before they can hold anything.

use std::net::SocketAddr;

use super::members::Named;
use super::{Driver, HEARTBEAT, Returns};
use crate::driver::cluster::note::MasterNote;
use crate::host;
use crate::id::WorkerId;
use crate::net::PeerId;
use crate::sched::MasterEvent;

impl Driver<'_> {
    /// A worker has connected.
    pub(super) fn comes(&mut self, peer: PeerId, name: &str, addr: SocketAddr) {
        let now = host::now();
        let turned_away = match self.members.comes(name, now, self.lease) {
            Named::Free => None,
            Named::Connected => {
                let why =
                    format!("there is a connection to a worker `{name}`, which has to end first");
                Some(MasterNote::JoinAgain { why })
            }
            Named::Silent(silent) => {
                self.net.close(silent);
                let why = "it is silent, and another process has come by its name";
                // It may be the same one, which has noticed earlier that its connection has ended.
                self.gone(silent, why, Returns::Maybe);
                None
            }
            Named::There => {
                let why =
                    format!("there is a worker `{name}` already; give this one another --name");
                Some(MasterNote::Dismiss { why })
            }
        };
        if let Some(note) = turned_away {
            self.send(peer, &note);
            return self.net.close(peer);
        }
        let worker = self.members.add(peer, name.to_owned(), addr, now);
        if !self.receivers.any() {
            return self.admit(worker);
        }
        // One that is reached by memory ends with this process, and so does what its memory alone holds.
        let inside = self.net.passes_values(peer) && self.setup.ingest_log.is_none();
        self.losses.comes(name);
        self.master.handle(MasterEvent::Comes { worker, name: name.to_owned(), inside });
    }

    /// A worker may join: where clients push records, later masters know of it.
    pub(super) fn admit(&mut self, worker: WorkerId) {
        let welcome = MasterNote::Welcome {
            worker,
            setup: Box::new(self.setup.clone()),
            heartbeat_ms: HEARTBEAT.as_millis() as u64,
        };
        self.tell_note(worker, &welcome);
    }
}
