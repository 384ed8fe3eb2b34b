//! Delivers what has come to an inbox that no batch is cut from.

use std::sync::Arc;

use super::Shared;
use super::inbox::cost;
use crate::source::receive::{Deliver, Delivery, Pace, Share, groups, received};

/// Delivers until nothing more will be received, at most `most` bytes at a time.
pub(super) async fn run(shared: Arc<Shared>, deliver: Deliver, most: usize) {
    let mut pace = Pace::new();
    loop {
        shared.arrived.notified().await;
        pace.wait().await;
        let (lines, done) = {
            let mut state = shared.state();
            (state.inbox.lend(), state.done)
        };
        let mut share = Share::new(lines.iter().map(cost).sum(), shared.clone());
        for group in groups(lines, most) {
            // Lines that were divided cost no more than they did before.
            let share = share.split(group.iter().map(cost).sum());
            deliver(Delivery::Received(received(&group, share)));
        }
        if done {
            return deliver(Delivery::Ended);
        }
    }
}
