//! How far the life of a receiving thread has come.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;

/// How long a stopped source goes on with a client that sends without a pause, and how long `stop`
/// waits for all that; what is not there then comes with the cuts that follow.
pub(in crate::source) const DRAIN: Duration = Duration::from_millis(500);

/// The phases, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::source) enum Phase {
    /// It accepts clients and receives.
    Open,
    /// It receives what the kernel had when it was stopped.
    Draining,
    /// It was dropped.
    Closed,
}

/// Stops it, if it is open.
pub(in crate::source) fn drain(phase: &watch::Sender<Phase>) {
    phase.send_if_modified(|phase| {
        let open = *phase == Phase::Open;
        if open {
            *phase = Phase::Draining;
        }
        open
    });
}

/// Runs `future` unless, before it is done, the source has come to `phase` or further.
pub(in crate::source) async fn unless<T>(
    phases: &mut watch::Receiver<Phase>,
    phase: Phase,
    future: impl Future<Output = T>,
) -> Option<T> {
    let reached = |now: &Phase| *now == phase || *now == Phase::Closed;
    let mut stopped = pin!(phases.wait_for(reached));
    let mut future = pin!(future);
    poll_fn(|context| {
        // A sender that is gone is a source that is gone.
        if stopped.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        future.as_mut().poll(context).map(Some)
    })
    .await
}
