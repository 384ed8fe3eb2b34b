//! Where an engine waits for what happens: the only place where it stands still.

use std::time::Instant;

use crossbeam_channel::Receiver;

use super::Event;
#[cfg(test)]
use simulated::Later;

/// The events of one engine.
pub(super) struct Inbox {
    events: Receiver<Event>,
    #[cfg(test)]
    later: Option<Later>,
}

impl Inbox {
    pub(super) fn new(events: Receiver<Event>) -> Self {
        Self {
            events,
            #[cfg(test)]
            later: Later::here(),
        }
    }

    /// The next event; nothing if there was none until then, or there will never be one.
    pub(super) fn next(&self, until: Option<Instant>) -> Option<Event> {
        #[cfg(test)]
        if let Some(later) = &self.later {
            return later.next(&self.events, until);
        }
        match until {
            Some(at) => self.events.recv_deadline(at).ok(),
            None => self.events.recv().ok(),
        }
    }

    /// The next event, if it is there.
    pub(super) fn ready(&self) -> Option<Event> {
        #[cfg(test)]
        if let Some(later) = &self.later {
            return later.ready();
        }
        self.events.try_recv().ok()
    }
}

/// Events of a simulated process. Those that its threads have made come in an order that does not depend on the
/// threads, and after some time, as if it had taken that long.
#[cfg(test)]
mod simulated {
    use std::cell::RefCell;
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use crossbeam_channel::Receiver;

    use crate::driver::Event;
    use crate::host;
    use crate::host::simulated::Fiber;
    use crate::sched::simulation::{Seed, hash};

    /// What tells events of one sort apart, so that they can be put in order.
    type Which = (u64, u64, u64);

    pub(super) struct Later {
        fiber: Arc<Fiber>,
        events: RefCell<Events>,
    }

    struct Events {
        due: BTreeMap<(Instant, u64), Event>,
        /// Since when nothing of a sort comes earlier: each thread does one thing after another.
        not_before: BTreeMap<&'static str, Instant>,
        numbered: u64,
        seed: Seed,
    }

    impl Later {
        pub(super) fn here() -> Option<Self> {
            let fiber = host::simulated::here()?;
            let seed = Seed(hash(&[fiber.seed(), 1]) | 1);
            let (due, not_before) = (BTreeMap::new(), BTreeMap::new());
            let events = RefCell::new(Events { due, not_before, numbered: 0, seed });
            Some(Self { fiber, events })
        }

        pub(super) fn next(
            &self,
            channel: &Receiver<Event>,
            until: Option<Instant>,
        ) -> Option<Event> {
            loop {
                // Whatever is in there was put there while this engine stood still.
                self.events.borrow_mut().take_in(channel);
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

        pub(super) fn ready(&self) -> Option<Event> {
            let due = &mut self.events.borrow_mut().due;
            let first = due.first_entry().filter(|first| first.key().0 <= host::now())?;
            Some(first.remove())
        }
    }

    impl Events {
        fn take_in(&mut self, channel: &Receiver<Event>) {
            let mut came: Vec<_> = channel.try_iter().map(|event| (sort(&event), event)).collect();
            // Stable: what one thread has told stays in its order.
            came.sort_by_key(|(sort, _)| *sort);
            let now = host::now();
            for ((lane, _, most), event) in came {
                let at = now + Duration::from_millis(self.seed.below(most + 1));
                let before = self.not_before.entry(lane).or_insert(now);
                *before = at.max(*before);
                self.numbered += 1;
                self.due.insert((*before, self.numbered), event);
            }
        }
    }

    /// Which thread tells it, what it is about, and how many milliseconds that may take.
    fn sort(event: &Event) -> (&'static str, Which, u64) {
        let one = |lane, most| (lane, (0, 0, 0), most);
        match event {
            Event::Ran(ran) => {
                let task = ran.task;
                let which = (task.batch.0, u64::from(task.stage.0), u64::from(task.partition.0));
                ("ran", which, 30)
            }
            Event::Cut { batch, source, .. } => ("cut", (batch.0, u64::from(source.0), 0), 3),
            Event::Published { .. } | Event::Refused { .. } => one("publishes", 20),
            Event::Journal(_) => one("journal", 15),
            Event::Saved(..) | Event::Loaded(..) => one("saves", 80),
            Event::Savepoint(_) => one("savepoint", 50),
            Event::Received(source, _) => ("received", (u64::from(source.0), 0, 0), 1),
            Event::Net(_) => one("a network", 0),
            Event::Ended { .. } | Event::Stop => one("an owner", 0),
        }
    }
}
