//! The roles of processes in a cluster.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A role; the certificate carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Places partitions, cuts batches, publishes. It holds the authority and needs no token.
    Master,
    /// Runs tasks, reports to the master, and sends blocks to other workers.
    Worker,
    /// Appends to streams; asks for status and results.
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

    /// Whether processes of these roles may connect: clients do not talk to clients, and a second master
    /// communicates only through the durable store.
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

/// An unknown role name.
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
