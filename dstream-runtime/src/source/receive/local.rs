//! A receiver in the process that also cuts: what `http://` is on one machine.
//!
//! Lines are safe when they are here. They are counted until a batch has taken them.

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{DRAIN, Delivery, Receiver, Share, http};
use crate::block::Block;
use crate::connect::ConnectorUrl;
use crate::record::Format;
use crate::source::part;
use crate::source::tcp::SPLIT;
use crate::source::{Carried, Cut, News, OpenOptions, Source, SourceError, carry};

/// A receiver, and what it has delivered.
struct Local {
    receiver: Receiver,
    inbox: Arc<Inbox>,
    /// How many bytes the next cut may bring.
    limit: u64,
}

#[derive(Default)]
struct Inbox {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<(Carried, Block, Share)>,
    warnings: Vec<String>,
    ended: bool,
}

impl Inbox {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing can be left half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_in(&self, delivery: Delivery) {
        let mut state = self.state();
        match delivery {
            Delivery::Received(received) => {
                let share = received.ack.done();
                state.waiting.push((received.what, received.lines, share));
            }
            Delivery::Warning(warning) => state.warnings.push(warning),
            Delivery::Ended => {
                state.ended = true;
                self.ended.notify_all();
            }
        }
    }
}

pub(super) fn open(
    url: &ConnectorUrl,
    format: Format,
    options: &OpenOptions,
) -> Result<Box<dyn Source>, SourceError> {
    let inbox = Arc::new(Inbox::default());
    let deliver = {
        let inbox = inbox.clone();
        Box::new(move |delivery| inbox.take_in(delivery))
    };
    let receiver = http::receiver(url, format, options, deliver)?;
    Ok(Box::new(Local { receiver, inbox, limit: u64::MAX }))
}

impl Source for Local {
    fn bounded(&self) -> bool {
        false
    }

    fn immediate(&self) -> bool {
        true
    }

    fn cut(&mut self, partitions: usize) -> Result<Cut, SourceError> {
        let (waiting, ended) = {
            let mut state = self.inbox.state();
            let (limit, mut taken) = (std::mem::replace(&mut self.limit, u64::MAX), 0);
            let some = state.waiting.iter().take_while(|(_, lines, _)| {
                let goes_on = taken < limit;
                taken = taken.saturating_add(lines.body().len() as u64);
                goes_on
            });
            let some = some.count();
            let waiting: Vec<_> = state.waiting.drain(..some).collect();
            (waiting, state.ended && state.waiting.is_empty())
        };
        let mut parts = Vec::new();
        for (what, lines, _given_back) in waiting {
            parts.extend(carry::parts(what, vec![lines])?.0);
        }
        let inputs = part::inputs(parts, SPLIT, partitions)?;
        Ok(Cut { inputs, ended, ..Cut::default() })
    }

    fn news(&mut self) -> News {
        News { warnings: std::mem::take(&mut self.inbox.state().warnings), ..News::default() }
    }

    fn limit(&mut self, bytes: u64) {
        self.limit = bytes;
    }

    fn stop(&mut self) {
        self.receiver.stop();
        let state = self.inbox.state();
        drop(self.inbox.ended.wait_timeout_while(state, DRAIN, |state| !state.ended));
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        Some(self.receiver.local_addr())
    }
}
