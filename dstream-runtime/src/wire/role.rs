//! Who a process of a cluster is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a process may do; its certificate says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Places partitions, cuts batches, publishes. It holds the authority and so needs no token.
    Master,
    /// Runs tasks: it reports to the master, and sends blocks to other workers.
    Worker,
    /// Appends to sources, asks for results and status.
    Client,
}

impl Role {
    /// As a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Worker => "worker",
            Self::Client => "client",
        }
    }

    /// Whether processes of these roles have anything to say to each other: clients do not talk to
    /// clients, and a second master speaks through the durable store, never to the first.
    #[must_use]
    pub const fn may_talk_to(self, other: Self) -> bool {
        !matches!((self, other), (Self::Client, Self::Client) | (Self::Master, Self::Master))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No role has that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no role has that name: it is `master`, `worker` or `client`")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(name: &str) -> Result<Self, UnknownRole> {
        [Self::Master, Self::Worker, Self::Client]
            .into_iter()
            .find(|role| role.name() == name)
            .ok_or(UnknownRole)
    }
}
