//! What a client is told: where the master is, what lets it in, and how much it may gather and keep.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::driver::cluster::{Access, ClientTarget};
use crate::wire::ClientId;

/// How a client reaches its job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOptions {
    /// The job, where its masters may be, and what lets the client in. `patience` is how long it may
    /// find nobody before it gives up.
    pub target: ClientTarget,
    /// Bytes of a stream that may be gathered, sent, and not acknowledged: with more,
    /// [`send`](super::AppendStream::send) waits.
    pub unacknowledged: usize,
    /// Lines are gathered up to so many bytes, …
    pub append: usize,
    /// … and no longer than that.
    pub linger: Duration,
}

impl ClientOptions {
    /// For that job, whose master listens there. `token` is the file of a token for clients; the
    /// certificate that it buys is kept beside it, with `.json` at the end of the name, and used from
    /// then on.
    #[must_use]
    pub fn new(job: &str, master: SocketAddr, token: impl Into<PathBuf>) -> Self {
        let token = token.into();
        let mut identity = token.clone().into_os_string();
        identity.push(".json");
        Self::at(ClientTarget {
            job: job.to_owned(),
            // Another program does not know the plan, and computes nothing.
            plan: 0,
            masters: vec![master],
            access: Access::Token { token, identity: identity.into() },
            name: format!("client-{}", std::process::id()),
            patience: Duration::from_secs(30),
        })
    }

    /// For that target.
    #[must_use]
    pub fn at(target: ClientTarget) -> Self {
        Self {
            target,
            unacknowledged: 16 << 20,
            append: 256 << 10,
            linger: Duration::from_millis(1),
        }
    }

    /// Also with these masters, to be tried in turn.
    #[must_use]
    pub fn masters(mut self, masters: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.target.masters.extend(masters);
        self
    }
}

/// What is sent, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamOptions {
    /// The name of the stream.
    pub stream: String,
    /// Who numbers what is sent; random if none is given. No two streams may have the same at a time.
    pub client: Option<ClientId>,
    /// The number of the first append: one more than the last that was acknowledged to this client
    /// before.
    pub first: u64,
}

impl StreamOptions {
    /// To that stream, from a new client.
    #[must_use]
    pub fn new(stream: &str) -> Self {
        Self { stream: stream.to_owned(), client: None, first: 1 }
    }

    /// From a client that has sent before, and was acknowledged everything before `first`. Whoever goes
    /// on after a restart sends the same appends again from there: call [`flush`](super::AppendStream::flush)
    /// after each of them, so that they are cut in the same places.
    #[must_use]
    pub fn go_on(mut self, client: ClientId, first: u64) -> Self {
        (self.client, self.first) = (Some(client), first);
        self
    }
}
