//! Events of a simulated process. Those of its threads are ordered independently of thread scheduling, and
//! delayed as if they had taken time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::Fiber;
use crate::host::{self, Arrives};
use crate::sched::simulation::{Seed, hash};

pub(crate) struct Later<T> {
    fiber: Arc<Fiber>,
    events: RefCell<Events<T>>,
}

struct Events<T> {
    due: BTreeMap<(Instant, u64), T>,
    /// Earliest next event of a lane: a thread does one thing at a time.
    not_before: BTreeMap<&'static str, Instant>,
    numbered: u64,
    seed: Seed,
}

impl<T: Arrives> Later<T> {
    pub(crate) fn here() -> Option<Self> {
        let fiber = super::here()?;
        let seed = Seed(hash(&[fiber.seed(), 1]) | 1);
        let (due, not_before) = (BTreeMap::new(), BTreeMap::new());
        let events = RefCell::new(Events { due, not_before, numbered: 0, seed });
        Some(Self { fiber, events })
    }

    pub(crate) fn next(&self, channel: &Receiver<T>, until: Option<Instant>) -> Option<T> {
        loop {
            // Everything in the channel was sent while this engine was suspended.
            self.events.borrow_mut().take_in(channel);
            // A thread that has ended has sent all its events before.
            if self.fiber.in_flight.take_yielded() {
                self.events.borrow_mut().hurry();
            }
            if let Some(event) = self.ready() {
                return Some(event);
            }
            if until.is_some_and(|until| until <= host::now()) {
                return None;
            }
            let due = self.events.borrow().due.first_key_value().map(|((at, _), _)| *at);
            self.fiber.wait([until, due].into_iter().flatten().min());
        }
    }

    pub(crate) fn ready(&self) -> Option<T> {
        let due = &mut self.events.borrow_mut().due;
        let first = due.first_entry().filter(|first| first.key().0 <= host::now())?;
        Some(first.remove())
    }
}

impl<T: Arrives> Events<T> {
    /// Makes all future events due now, in order.
    fn hurry(&mut self) {
        let now = host::now();
        for ((at, number), event) in std::mem::take(&mut self.due) {
            self.due.insert((at.min(now), number), event);
        }
        self.not_before.clear();
    }

    fn take_in(&mut self, channel: &Receiver<T>) {
        let mut came: Vec<_> = channel.try_iter().map(|event| (event.lane(), event)).collect();
        // A stable sort: events of one thread keep their order.
        came.sort_by_key(|(lane, _)| *lane);
        let now = host::now();
        for (lane, event) in came {
            let at = now + Duration::from_millis(self.seed.below(lane.most_ms + 1));
            let before = self.not_before.entry(lane.name).or_insert(now);
            *before = at.max(*before);
            self.numbered += 1;
            self.due.insert((*before, self.numbered), event);
        }
    }
}
