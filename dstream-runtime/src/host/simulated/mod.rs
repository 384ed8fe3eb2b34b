//! A simulated process: engines that run in turns, in threads of their own, and see the time of their world.
//!
//! An engine is a function that waits for events ([`Fiber::wait`]) and never otherwise. Its thread runs only while
//! the thread of the world stands still in [`Fiber::resume`], and until it waits again and everything is done that
//! it has asked of the process's other threads. So one thing happens at a time, in an order that does not
//! depend on the machine.

mod later;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Notify;

pub(crate) use self::later::Later;
use super::InFlightJobs;
use crate::exec::catch::message;
use crate::guards;
use crate::net::{BindOptions, Deliver, Net, NetError};

/// What a simulated process has of its world.
pub(crate) trait World: Send + Sync {
    /// See [`wall`](super::wall).
    fn wall(&self) -> Duration;

    /// Its way to others.
    ///
    /// # Errors
    /// As [`Endpoint::bind`](crate::net::Endpoint::bind).
    fn bind(&self, options: BindOptions, deliver: Deliver) -> Result<Net, NetError>;
}

/// What an engine does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It runs.
    Runs,
    /// It waits for an event, until then at most.
    Waits(Option<Instant>),
    /// It must end where it is, as if its process were killed.
    Killed,
    /// Its thread is over.
    Over,
}

/// An engine of a simulated process, or any other thread that is to run with its clocks.
pub(crate) struct Fiber {
    world: Arc<dyn World>,
    runtime: Handle,
    in_flight: InFlightJobs,
    /// What decides how long in_flight take.
    seed: u64,
    turn: Mutex<Turn>,
    changed: Condvar,
    /// Something has come for it.
    told: Notify,
}

thread_local! {
    static HERE: RefCell<Option<Arc<Fiber>>> = const { RefCell::new(None) };
}

/// The fiber to which this thread belongs.
pub(crate) fn here() -> Option<Arc<Fiber>> {
    HERE.with(|here| here.borrow().clone())
}

/// Makes this thread one of that fiber, for as long as `f` runs.
pub(crate) fn within<T>(fiber: Option<Arc<Fiber>>, f: impl FnOnce() -> T) -> T {
    let Some(fiber) = fiber else { return f() };
    let runtime = fiber.runtime.clone();
    let _clock = runtime.enter();
    HERE.with(|here| *here.borrow_mut() = Some(fiber));
    f()
}

/// Nothing that an engine or its threads do takes so long.
pub(super) const STUCK: Duration = Duration::from_secs(60);

/// With what an engine's thread is unwound if its process is killed.
struct Kill;

impl Fiber {
    /// A thread that will run `engine` when it is resumed.
    pub(crate) fn start<T: Send + 'static>(
        world: Arc<dyn World>,
        seed: u64,
        engine: impl FnOnce() -> T + Send + 'static,
    ) -> (Arc<Self>, JoinHandle<thread::Result<T>>) {
        let fiber = Arc::new(Self {
            world,
            runtime: Handle::current(),
            in_flight: InFlightJobs::new(),
            seed,
            turn: Mutex::new(Turn::Waits(None)),
            changed: Condvar::new(),
            told: Notify::new(),
        });
        fiber.told.notify_one();
        let (own, left_out) = (fiber.clone(), guards::inherited());
        let run = move || {
            guards::inherit(left_out);
            let inner = own.clone();
            let ended = within(Some(own.clone()), || {
                catch_unwind(AssertUnwindSafe(|| {
                    inner.until_resumed();
                    engine()
                }))
            });
            own.in_flight.yield_turn();
            *own.turn() = Turn::Over;
            own.changed.notify_all();
            ended
        };
        (fiber, thread::spawn(run))
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wall(&self) -> Duration {
        self.world.wall()
    }

    pub(super) fn in_flight(&self) -> InFlightJobs {
        self.in_flight.clone()
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    pub(crate) fn bind(&self, options: BindOptions, deliver: Deliver) -> Result<Net, NetError> {
        self.world.bind(options, deliver)
    }

    /// Of the engine: lets the world go on until something has come or that time has.
    pub(crate) fn wait(&self, until: Option<Instant>) {
        let mut turn = self.turn();
        if *turn == Turn::Runs {
            *turn = Turn::Waits(until);
            self.in_flight.asks(false);
            self.changed.notify_all();
        }
        drop(turn);
        self.until_resumed();
    }

    fn until_resumed(&self) {
        let waits = |turn: &mut Turn| matches!(turn, Turn::Waits(_));
        let turn = self.changed.wait_while(self.turn(), waits);
        let turn = *turn.unwrap_or_else(PoisonError::into_inner);
        if turn == Turn::Killed && !thread::panicking() {
            resume_unwind(Box::new(Kill));
        }
    }

    /// Of anybody: something has come for the engine.
    pub(crate) fn tell(&self) {
        self.told.notify_one();
    }

    /// Of the world: waits until something has come.
    pub(crate) async fn told(&self) {
        self.told.notified().await;
    }

    /// Of the world: lets the engine run until there is nothing that it could do now. What it does then.
    pub(crate) fn resume(&self) -> Turn {
        let mut seen = self.in_flight.settle();
        loop {
            let mut turn = self.turn();
            if let Turn::Waits(_) = *turn {
                *turn = Turn::Runs;
                self.in_flight.asks(true);
                self.changed.notify_all();
            }
            let runs = |turn: &mut Turn| matches!(turn, Turn::Runs | Turn::Killed);
            let waited = self.changed.wait_timeout_while(turn, STUCK, runs);
            let (turn, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            assert!(
                !waited.timed_out(),
                "an engine stands still, and not where it waits for events"
            );
            let turn = *turn;
            if turn == Turn::Over {
                return turn;
            }
            // What comes of in_flight it must hear, to know how long it can wait.
            let done = self.in_flight.settle();
            if std::mem::replace(&mut seen, done) == done {
                return turn;
            }
        }
    }

    /// Whether its engine has ended.
    pub(crate) fn is_over(&self) -> bool {
        *self.turn() == Turn::Over
    }

    /// Of the world: the process is killed. Its threads are over soon.
    pub(crate) fn kill(&self) {
        let mut turn = self.turn();
        if *turn != Turn::Over {
            *turn = Turn::Killed;
        }
        drop(turn);
        self.changed.notify_all();
    }
}

/// What a thread has come to that is over; nothing if it was killed. An error if it panicked, and how.
pub(crate) fn outcome<T>(thread: JoinHandle<thread::Result<T>>) -> Result<Option<T>, String> {
    match thread.join().and_then(|ended| ended) {
        Ok(result) => Ok(Some(result)),
        Err(kill) if kill.is::<Kill>() => Ok(None),
        Err(panic) => Err(message(panic.as_ref())),
    }
}
