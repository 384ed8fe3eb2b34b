//! What a process gets from its host: two clocks, and threads that do what its engine asks of them.
//!
//! In tests a process may be a simulated one (`simulated`), whose host is a thread and a clock that somebody
//! else moves. Drivers see the same functions there.

mod inbox;
mod jobs;
pub(crate) mod limits;
#[cfg(test)]
pub(crate) mod simulated;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[cfg(test)]
pub(crate) use self::inbox::Lane;
pub(crate) use self::inbox::{Arrives, Inbox};
pub(crate) use self::jobs::{InFlightJobs, JobReceiver, JobSender, channel};

/// The clock that never goes back.
pub(crate) fn now() -> Instant {
    // Tokio's is that of the system, unless a test has paused it.
    tokio::time::Instant::now().into_std()
}

/// How long ago that was, by the clock that never goes back.
pub(crate) fn since(then: Instant) -> Duration {
    now().saturating_duration_since(then)
}

/// The time since the Unix epoch.
pub(crate) fn wall() -> Duration {
    #[cfg(test)]
    if let Some(host) = simulated::here() {
        return host.wall();
    }
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The process to which a thread belongs.
pub(crate) struct Host {
    #[cfg(test)]
    fiber: Option<std::sync::Arc<simulated::Fiber>>,
}

impl Host {
    /// That of this thread.
    pub(crate) fn here() -> Self {
        Self {
            #[cfg(test)]
            fiber: simulated::here(),
        }
    }

    /// What another thread of it does there.
    pub(crate) fn within<T>(self, f: impl FnOnce() -> T) -> T {
        #[cfg(test)]
        return simulated::within(self.fiber, f);
        #[cfg(not(test))]
        f()
    }
}
