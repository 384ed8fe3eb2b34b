//! A simulated process: engines that run in turns, on their own threads, in simulated time.
//!
//! An engine is a function that blocks only to wait for events ([`Fiber::wait`]). Its thread runs only while
//! the world's thread is inside [`Fiber::resume`], which returns when the engine waits again and all its
//! jobs are done. So one thing happens at a time, in an order independent of the machine.

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

/// What the world provides to a simulated process.
pub(crate) trait World: Send + Sync {
    /// See [`wall`](super::wall).
    fn wall(&self) -> Duration;

    /// Opens its network.
    ///
    /// # Errors
    /// As [`Endpoint::bind`](crate::net::Endpoint::bind).
    fn bind(&self, options: BindOptions, deliver: Deliver) -> Result<Net, NetError>;
}

/// The state of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It runs.
    Runs,
    /// It waits for an event, at most until that time.
    Waits(Option<Instant>),
    /// It must unwind, as if its process were killed.
    Killed,
    /// Its thread has ended.
    Over,
}

/// An engine of a simulated process, or another thread with its clocks.
pub(crate) struct Fiber {
    world: Arc<dyn World>,
    runtime: Handle,
    in_flight: InFlightJobs,
    /// Seed of the simulated duration of jobs.
    seed: u64,
    turn: Mutex<Turn>,
    changed: Condvar,
    /// Notified when an event arrives.
    told: Notify,
}

thread_local! {
    static HERE: RefCell<Option<Arc<Fiber>>> = const { RefCell::new(None) };
}

/// The fiber of this thread.
pub(crate) fn here() -> Option<Arc<Fiber>> {
    HERE.with(|here| here.borrow().clone())
}

/// Makes this thread one of that fiber while `f` runs.
pub(crate) fn within<T>(fiber: Option<Arc<Fiber>>, f: impl FnOnce() -> T) -> T {
    let Some(fiber) = fiber else { return f() };
    let runtime = fiber.runtime.clone();
    let _clock = runtime.enter();
    HERE.with(|here| *here.borrow_mut() = Some(fiber));
    f()
}

/// Longer than any step of an engine or its threads.
pub(super) const STUCK: Duration = Duration::from_secs(60);

/// Unwinds an engine's thread when its process is killed.
struct Kill;

impl Fiber {
    /// Starts a thread that runs `engine` once it is resumed.
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

    /// Called by the engine: lets the world run until an event arrives or the time is reached.
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

    /// Called by anyone: an event has arrived.
    pub(crate) fn tell(&self) {
        self.told.notify_one();
    }

    /// Called by the world: waits for an event.
    pub(crate) async fn told(&self) {
        self.told.notified().await;
    }

    /// Called by the world: runs the engine until it waits; returns its state.
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
            assert!(!waited.timed_out(), "an engine is stuck outside its wait for events");
            let turn = *turn;
            if turn == Turn::Over {
                return turn;
            }
            // The results of its jobs may change how long it can wait.
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

    /// Called by the world: kills the process; its threads unwind soon.
    pub(crate) fn kill(&self) {
        let mut turn = self.turn();
        if *turn != Turn::Over {
            *turn = Turn::Killed;
        }
        drop(turn);
        self.changed.notify_all();
    }
}

/// The result of a finished thread; `None` if it was killed; an error with the message if it panicked.
pub(crate) fn outcome<T>(thread: JoinHandle<thread::Result<T>>) -> Result<Option<T>, String> {
    match thread.join().and_then(|ended| ended) {
        Ok(result) => Ok(Some(result)),
        Err(kill) if kill.is::<Kill>() => Ok(None),
        Err(panic) => Err(message(panic.as_ref())),
    }
}
