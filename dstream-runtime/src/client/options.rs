//! Options of a client: its master, its credentials, and its limits.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::driver::cluster::{Access, ClientTarget};
use crate::wire::ClientId;

/// Options of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOptions {
    /// The job, its masters, and the client's credentials. `patience` is the longest wait for a master or
    /// receiver.
    pub target: ClientTarget,
    /// Bytes of a stream gathered or unacknowledged, at most; [`send`](super::AppendStream::send) waits
    /// beyond that.
    pub unacknowledged: usize,
    /// Bytes of lines gathered into an append, at most.
    pub append: usize,
    /// Longest time to gather lines.
    pub linger: Duration,
}

impl ClientOptions {
    /// Options for the job whose master listens at `master`. `token` is the file of a client's token; the
    /// certificate bought with it is stored beside it, with the suffix `.json`, and reused.
    #[must_use]
    pub fn new(job: &str, master: SocketAddr, token: impl Into<PathBuf>) -> Self {
        let token = token.into();
        let mut identity = token.clone().into_os_string();
        identity.push(".json");
        Self::at(ClientTarget {
            job: job.to_owned(),
            // Another program has no plan and computes nothing.
            plan: 0,
            masters: vec![master],
            access: Access::Token { token, identity: identity.into() },
            name: format!("client-{}", std::process::id()),
            patience: Duration::from_secs(30),
        })
    }

    /// Options for that target.
    #[must_use]
    pub fn at(target: ClientTarget) -> Self {
        Self {
            target,
            unacknowledged: 16 << 20,
            append: 256 << 10,
            linger: Duration::from_millis(1),
        }
    }

    /// Adds masters to try in turn.
    #[must_use]
    pub fn masters(mut self, masters: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.target.masters.extend(masters);
        self
    }
}

/// Options of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamOptions {
    /// The name of the stream.
    pub stream: String,
    /// The id under which appends are numbered; random if absent. Two streams must not use the same id at a
    /// time.
    pub client: Option<ClientId>,
    /// The number of the first append: one more than the last acknowledged to this client.
    pub first: u64,
}

impl StreamOptions {
    /// Options for that stream, as a new client.
    #[must_use]
    pub fn new(stream: &str) -> Self {
        Self { stream: stream.to_owned(), client: None, first: 1 }
    }

    /// Continues as a client whose appends before `first` are acknowledged. After a restart, send the same
    /// appends again from there, and call [`flush`](super::AppendStream::flush) after each, so that they are
    /// cut at the same places.
    #[must_use]
    pub fn go_on(mut self, client: ClientId, first: u64) -> Self {
        (self.client, self.first) = (Some(client), first);
        self
    }
}
