//! Hands batches to the sinks: in place if all of them take a batch at once, else on one thread, in
//! the order of batches; within a batch in the order of outputs.
//!
//! A sink that refuses a batch for a reason that may pass is given it again after growing pauses, by the
//! thread alone: the engine goes on, and hears of each refusal. Sinks before it in the order have the batch
//! and are not asked again. A sink that was closed by its reader is given nothing more, as long as another one keeps
//! results; without one the job has nothing left to do. Dropping the publisher ends the waiting at once.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::driver::Event;
use crate::driver::worker::task::catch;
use crate::exec::task::Panic;
use crate::host::{self, JobSender};
use crate::id::BatchSeq;
use crate::sink::{Batch, Sink, SinkError};

/// The pause after a first refusal; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause: so long the job waits at most after the reason has passed.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Why a sink did not take a batch.
#[derive(Debug, Clone)]
pub(in crate::driver) enum PublishError {
    /// It says so itself.
    Sink(SinkError),
    /// It panicked: a bug of the sink.
    Panic(Panic),
}

/// A sink has not taken a batch.
#[derive(Debug, Clone)]
pub(in crate::driver) struct Refused {
    /// Which sink.
    pub(in crate::driver) sink: usize,
    pub(in crate::driver) error: PublishError,
    /// How often it was given the batch.
    pub(in crate::driver) tries: u32,
}

impl Refused {
    fn may_pass(&self) -> bool {
        match &self.error {
            PublishError::Sink(error) => error.may_pass(),
            PublishError::Panic(_) => false,
        }
    }
}

/// Everything that one batch publishes.
pub(in crate::driver) struct Publication {
    pub(in crate::driver) seq: BatchSeq,
    /// By sink: outputs in order of definition, then dead letters.
    pub(in crate::driver) batches: Vec<(usize, Batch)>,
}

/// The sinks that were closed by their readers up to a batch.
pub(in crate::driver) type Closed = BTreeSet<usize>;

/// The sinks, wherever they are called.
pub(in crate::driver) enum Publisher {
    Here(Sinks),
    There {
        publications: JobSender<Publication>,
        /// Nothing is sent here: its end is heard by a thread that waits.
        _lives: Sender<Infallible>,
    },
}

impl Publisher {
    /// Sinks that are called in place, or on a thread that `spawn` starts. One that refuses a batch is tried
    /// again for as long as `patience` says.
    pub(in crate::driver) fn new(
        sinks: Vec<Box<dyn Sink>>,
        patience: Duration,
        events: Sender<Event>,
        spawn: impl FnOnce(Box<dyn FnOnce() + Send>) -> std::io::Result<()>,
    ) -> std::io::Result<Self> {
        if sinks.iter().all(|sink| sink.immediate()) {
            return Ok(Self::Here(Sinks::new(sinks)));
        }
        let sinks = Sinks::new(sinks);
        let (send, publications) = host::channel::<Publication>();
        let (lives, ended) = bounded(0);
        let mut outlets = Outlets { sinks, patience, events, ended };
        spawn(Box::new(move || {
            for publication in publications {
                let batch = publication.seq;
                let Some(result) = outlets.publish(&publication) else { return };
                if outlets.events.send(Event::Published { batch, result }).is_err() {
                    return;
                }
            }
        }))?;
        Ok(Self::There { publications: send, _lives: lives })
    }

    /// Publishes a batch; nothing if the result will come as an event.
    pub(in crate::driver) fn publish(
        &mut self,
        publication: Publication,
    ) -> Option<Result<Closed, Refused>> {
        match self {
            Self::Here(sinks) => {
                let error = |(at, error): (usize, PublishError)| {
                    let sink = publication.batches[at].0;
                    Refused { sink, error, tries: 1 }
                };
                Some(sinks.publish(&publication, 0).map(|()| sinks.closed.clone()).map_err(error))
            }
            Self::There { publications, .. } => {
                // The thread ends only when this end of the channel is gone.
                let _ = publications.send(publication);
                None
            }
        }
    }
}

/// The sinks of a thread of their own.
struct Outlets {
    sinks: Sinks,
    patience: Duration,
    events: Sender<Event>,
    /// Whether the publisher is gone.
    ended: Receiver<Infallible>,
}

impl Outlets {
    /// Publishes a batch, with retries; nothing if the batch is not waited for any more.
    fn publish(&mut self, publication: &Publication) -> Option<Result<Closed, Refused>> {
        let (mut from, mut tries, mut pause) = (0, 0, FIRST_PAUSE);
        let mut until = None;
        loop {
            let Err((at, error)) = self.sinks.publish(publication, from) else {
                return Some(Ok(self.sinks.closed.clone()));
            };
            if at > from {
                (from, tries, pause, until) = (at, 0, FIRST_PAUSE, None);
            }
            tries += 1;
            let refused = Refused { sink: publication.batches[at].0, error, tries };
            let now = Instant::now();
            let left = *until.get_or_insert(now + self.patience) - now;
            if left.is_zero() || !refused.may_pass() {
                return Some(Err(refused));
            }
            let batch = publication.seq;
            self.events.send(Event::Refused { batch, refused }).ok()?;
            // The last time is when patience ends.
            let wait = self.ended.recv_timeout(pause.min(left));
            if wait != Err(RecvTimeoutError::Timeout) {
                return None;
            }
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }
}

/// The sinks, and which of them take nothing more.
pub(in crate::driver) struct Sinks {
    sinks: Vec<Box<dyn Sink>>,
    closed: Closed,
}

impl Sinks {
    fn new(sinks: Vec<Box<dyn Sink>>) -> Self {
        Self { sinks, closed: Closed::new() }
    }

    /// Gives a batch to the sinks from a position on; where and why one has not taken it.
    fn publish(
        &mut self,
        publication: &Publication,
        from: usize,
    ) -> Result<(), (usize, PublishError)> {
        for (at, (index, batch)) in publication.batches.iter().enumerate().skip(from) {
            let Some(sink) = self.sinks.get_mut(*index) else {
                continue;
            };
            if self.closed.contains(index) {
                continue;
            }
            match catch(|| sink.publish(batch)) {
                Ok(Ok(())) => {}
                Ok(Err(SinkError::Closed { .. })) if self.keeps_without(*index) => {
                    self.closed.insert(*index);
                }
                Ok(Err(error)) => return Err((at, PublishError::Sink(error))),
                Err(panic) => return Err((at, PublishError::Panic(panic))),
            }
        }
        Ok(())
    }

    /// Whether another sink than this one keeps what it is given.
    fn keeps_without(&self, closed: usize) -> bool {
        let keeps = |sink: &dyn Sink| !sink.has_reader() && !sink.immediate();
        let mut others = self.sinks.iter().enumerate().filter(|(index, _)| *index != closed);
        others.any(|(index, sink)| !self.closed.contains(&index) && keeps(&**sink))
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use crossbeam_channel::unbounded;

    use super::*;
    use crate::record::Format;
    use crate::sink;
    use crate::time::BatchTime;

    /// Fails as often as it is told, and writes down what it was given.
    struct Failing {
        name: &'static str,
        failures: u32,
        kind: io::ErrorKind,
        given: Arc<Mutex<Vec<&'static str>>>,
    }

    impl Sink for Failing {
        fn format(&self) -> Option<Format> {
            None
        }

        fn publish(&mut self, _: &Batch) -> Result<(), SinkError> {
            self.given.lock().unwrap().push(self.name);
            if self.failures == 0 {
                return Ok(());
            }
            self.failures -= 1;
            let error = Arc::new(io::Error::from(self.kind));
            Err(SinkError::Io { doing: "write", what: self.name.to_owned(), error })
        }
    }

    /// Publishes one batch at two sinks, the second of which fails so often.
    fn run(
        failures: u32,
        kind: io::ErrorKind,
        patience: Duration,
    ) -> (Vec<&'static str>, u32, Option<Result<Closed, Refused>>) {
        let given = Arc::default();
        let sink = |name, failures| {
            let sink = Failing { name, failures, kind, given: Arc::clone(&given) };
            Box::new(sink) as Box<dyn Sink>
        };
        let sinks = vec![sink("first", 0), sink("second", failures)];
        let (events, heard) = unbounded();
        let (_lives, ended) = bounded(0);
        let mut outlets = Outlets { sinks: Sinks::new(sinks), patience, events, ended };
        let result = outlets.publish(&publication());
        let refusals = heard.try_iter().filter(|event| matches!(event, Event::Refused { .. }));
        let refusals = refusals.count() as u32;
        let given = given.lock().unwrap().clone();
        (given, refusals, result)
    }

    fn publication() -> Publication {
        let batch = || Batch {
            time: BatchTime(1000),
            parts: Vec::new(),
            inputs: Vec::new().into(),
            plan: 0,
        };
        Publication { seq: BatchSeq(1), batches: vec![(0, batch()), (1, batch())] }
    }

    const LONG: Duration = Duration::from_secs(60);
    const FULL: io::ErrorKind = io::ErrorKind::StorageFull;

    #[test]
    fn what_may_pass_is_tried_again_and_who_has_the_batch_is_not_asked_again() {
        let (given, refusals, result) = run(2, FULL, LONG);
        assert!(matches!(result, Some(Ok(_))), "{result:?}");
        assert_eq!(given, ["first", "second", "second", "second"]);
        assert_eq!(refusals, 2);
    }

    /// A sink that was closed by its reader.
    struct Gone {
        has_reader: bool,
    }

    impl Sink for Gone {
        fn format(&self) -> Option<Format> {
            None
        }

        fn has_reader(&self) -> bool {
            self.has_reader
        }

        fn publish(&mut self, _: &Batch) -> Result<(), SinkError> {
            Err(SinkError::Closed { what: "it".into() })
        }
    }

    #[test]
    fn a_sink_that_its_reader_closed_ends_the_job_only_if_no_other_one_keeps_results() {
        let given = Arc::default();
        let gone = |has_reader| Box::new(Gone { has_reader }) as Box<dyn Sink>;
        let keeps = Failing { name: "keeps", failures: 0, kind: FULL, given: Arc::clone(&given) };
        let mut sinks = Sinks::new(vec![gone(true), Box::new(keeps)]);
        for _ in 0..2 {
            sinks.publish(&publication(), 0).unwrap();
            assert_eq!(sinks.closed, Closed::from([0]));
        }
        assert_eq!(*given.lock().unwrap(), ["keeps", "keeps"]);
        for other in [gone(true), sink::shown()] {
            let ended = Sinks::new(vec![gone(true), other]).publish(&publication(), 0);
            assert!(matches!(ended, Err((0, PublishError::Sink(SinkError::Closed { .. })))));
        }
        // The last one that kept results is closed too.
        let ended = Sinks::new(vec![gone(true), gone(false)]).publish(&publication(), 0);
        assert!(matches!(ended, Err((1, PublishError::Sink(SinkError::Closed { .. })))));
    }

    #[test]
    fn patience_ends_and_so_does_what_cannot_pass_at_once() {
        let (given, refusals, result) = run(u32::MAX, FULL, Duration::from_millis(150));
        let Some(Err(refused)) = result else { panic!("{result:?}") };
        // At once, after 100 ms, and at the end.
        assert_eq!((refused.sink, refused.tries, refusals), (1, 3, 2));
        assert_eq!(given.len(), 4);
        for (kind, patience) in [(io::ErrorKind::InvalidData, LONG), (FULL, Duration::ZERO)] {
            let (given, refusals, result) = run(1, kind, patience);
            assert!(matches!(result, Some(Err(Refused { tries: 1, .. }))), "{result:?}");
            assert_eq!((given.len(), refusals), (2, 0));
        }
    }

    #[test]
    fn a_publisher_that_is_dropped_waits_no_longer() {
        let given = Arc::default();
        let sink = Failing { name: "only", failures: u32::MAX, kind: FULL, given };
        let (events, heard) = unbounded();
        let mut thread = None;
        let spawn = |serve| {
            thread = Some(std::thread::Builder::new().spawn(serve)?);
            Ok(())
        };
        let forever = Duration::from_secs(1 << 20);
        let mut publisher = Publisher::new(vec![Box::new(sink)], forever, events, spawn).unwrap();
        assert!(publisher.publish(publication()).is_none());
        assert!(matches!(heard.recv(), Ok(Event::Refused { .. })));
        drop(publisher);
        thread.unwrap().join().unwrap();
    }
}
