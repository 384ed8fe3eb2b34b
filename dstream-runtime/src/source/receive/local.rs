//! A receiver in the process that also cuts: what `http://` is on one machine.
//!
//! Lines are safe when they are here. They are counted until a batch has taken them, and beside that until the batch
//! is over ([`Lent`]).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{DRAIN, Delivery, Lent, Receiver, Share, http};
use crate::connect::ConnectorUrl;
use crate::record::Format;
use crate::source::part::{self, Part};
use crate::source::tcp::SPLIT;
use crate::source::{Cut, News, OpenOptions, Source, SourceError, carry};

/// A receiver, and what it has delivered.
struct Local {
    receiver: Receiver,
    inbox: Arc<Inbox>,
    /// How many bytes the next cut may bring.
    limit: u64,
    /// What batches have.
    lent: Lent,
}

#[derive(Default)]
struct Inbox {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(Vec<Part>, Share)>,
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
                // What this process has packed itself fits together.
                match carry::parts(received.what, vec![received.lines]) {
                    Ok((parts, _)) => state.waiting.push_back((parts, received.ack.done())),
                    Err(error) => state.warnings.push(error.to_string()),
                }
            }
            Delivery::Warning(warning) => state.warnings.push(warning),
            Delivery::Ended => {
                state.ended = true;
                self.ended.notify_all();
            }
        }
    }
}

impl State {
    /// Takes lines in order of arrival, up to `bytes`. The rest of a delivery stays.
    fn take(&mut self, bytes: u64) -> Result<Vec<Part>, SourceError> {
        let (mut taken, mut left) = (Vec::new(), bytes);
        while left > 0
            && let Some((mut parts, share)) = self.waiting.pop_front()
        {
            let mut rest = Vec::new();
            for part in parts.drain(..) {
                let (part, others) = match left {
                    0 => (None, Some(part)),
                    left if part.len() <= left => (Some(part), None),
                    left => {
                        let (part, others) = part.cut(left)?;
                        (Some(part), others)
                    }
                };
                left = left.saturating_sub(part.as_ref().map_or(0, Part::len));
                taken.extend(part);
                rest.extend(others);
            }
            // The memory is one block, which is there as long as any of it is.
            if !rest.is_empty() {
                self.waiting.push_front((rest, share));
            }
        }
        Ok(taken)
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
    Ok(Box::new(Local { receiver, inbox, limit: u64::MAX, lent: Lent::of(url, options)? }))
}

impl Source for Local {
    fn bounded(&self) -> bool {
        false
    }

    fn immediate(&self) -> bool {
        true
    }

    fn cut(&mut self, partitions: usize) -> Result<Cut, SourceError> {
        let limit = self.lent.within(std::mem::replace(&mut self.limit, u64::MAX));
        let (parts, waits, ended) = {
            let mut state = self.inbox.state();
            let parts = state.take(limit)?;
            let waits = !state.waiting.is_empty();
            (parts, waits, state.ended && !waits)
        };
        let bytes: u64 = parts.iter().map(Part::len).sum();
        let inputs = part::inputs(parts, SPLIT, partitions)?;
        let inputs = self.lent.lend(inputs, usize::try_from(bytes).unwrap_or(usize::MAX), waits);
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
