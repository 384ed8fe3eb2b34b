//! What a process gets from its host: two clocks, and threads for the jobs of its engine.
//!
//! In tests a process may be simulated (`simulated`): its host is a thread with a simulated clock. Drivers
//! call the same functions there.

mod inbox;
mod jobs;
pub(crate) mod limits;
#[cfg(test)]
pub(crate) mod simulated;
mod turns;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[cfg(test)]
pub(crate) use self::inbox::Lane;
pub(crate) use self::inbox::{Arrives, Inbox};
pub(crate) use self::jobs::{InFlightJobs, JobReceiver, JobSender, channel};
pub(crate) use self::turns::Turns;

/// The monotonic clock.
pub(crate) fn now() -> Instant {
    // Tokio's clock is the system's, unless a test has paused it.
    tokio::time::Instant::now().into_std()
}

/// Time since `then`, by the monotonic clock.
pub(crate) fn since(then: Instant) -> Duration {
    now().saturating_duration_since(then)
}

/// For how long this thread has had a processor. Nothing in a simulated process, whose time is not that of a processor.
pub(crate) fn busy() -> Duration {
    #[cfg(test)]
    if simulated::here().is_some() {
        return Duration::ZERO;
    }
    processor_time(rustix::time::ClockId::ThreadCPUTime)
}

/// The same of all threads of this process together.
fn process_busy() -> Duration {
    #[cfg(test)]
    if simulated::here().is_some() {
        return Duration::ZERO;
    }
    processor_time(rustix::time::ClockId::ProcessCPUTime)
}

fn processor_time(clock: rustix::time::ClockId) -> Duration {
    Duration::try_from(rustix::time::clock_gettime(clock)).unwrap_or_default()
}

/// The time since the Unix epoch.
pub(crate) fn wall() -> Duration {
    #[cfg(test)]
    if let Some(host) = simulated::here() {
        return host.wall();
    }
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The process of a thread.
pub(crate) struct Host {
    #[cfg(test)]
    fiber: Option<std::sync::Arc<simulated::Fiber>>,
}

impl Host {
    /// The host of this thread.
    pub(crate) fn here() -> Self {
        Self {
            #[cfg(test)]
            fiber: simulated::here(),
        }
    }

    /// Runs `f` on another thread of the same process.
    pub(crate) fn within<T>(self, f: impl FnOnce() -> T) -> T {
        #[cfg(test)]
        return simulated::within(self.fiber, f);
        #[cfg(not(test))]
        f()
    }
}
