//! Asks sources for their share of a batch: in place if they answer at once, else on a thread each, so that a slow
//! disk holds up only its own source.

use crossbeam_channel::Sender;

use crate::driver::Event;
use crate::driver::error::{JobError, Place};
use crate::driver::worker::task::catch;
use crate::exec::task::Panic;
use crate::host;
use crate::id::{BatchSeq, SourceId};
use crate::plan::Plan;
use crate::source::{Cut, Interrupt, News, Source, SourceError};

/// Why a source did not do what it was asked.
#[derive(Debug, Clone)]
pub(in crate::driver) enum AskError {
    /// It says so itself.
    Source(SourceError),
    /// It panicked: a bug of the source.
    Panic(Panic),
}

impl AskError {
    /// The end of the job, for people.
    pub(in crate::driver) fn of(self, plan: &'static Plan, source: SourceId) -> JobError {
        let (name, at) = place(plan, source);
        match self {
            Self::Source(SourceError::Refused { why }) => {
                JobError::Refused(format!("source `{name}` ({at}): {why}"))
            }
            Self::Source(error) => JobError::Source { name, at, error },
            Self::Panic(panic) => JobError::Broken { what: format!("source `{name}`"), panic },
        }
    }

    /// Why a job that was run before cannot go on.
    pub(in crate::driver) fn of_start(self, plan: &'static Plan, source: SourceId) -> JobError {
        let (name, at) = place(plan, source);
        match self {
            Self::Source(error @ (SourceError::Moved { .. } | SourceError::Foreign { .. })) => {
                JobError::SourceMoved { name, at, error }
            }
            Self::Source(error) => JobError::SourceLost { name, at, error },
            panic @ Self::Panic(_) => panic.of(plan, source),
        }
    }
}

/// Its name, and where the program opens it.
fn place(plan: &'static Plan, source: SourceId) -> (String, Box<Place>) {
    let row = &plan.sources[source.index()];
    (row.name.to_owned(), Box::new(Place::operator(plan, row.operator)))
}

/// Asks a source for something: if it panics, that is its answer.
pub(in crate::driver) fn asked<T>(
    question: impl FnOnce() -> Result<T, SourceError>,
) -> Result<T, AskError> {
    match catch(question) {
        Ok(answer) => answer.map_err(AskError::Source),
        Err(panic) => Err(AskError::Panic(panic)),
    }
}

/// What a source gave for a batch, and what it has to say.
pub(in crate::driver) struct Answer {
    pub(in crate::driver) cut: Result<Cut, AskError>,
    pub(in crate::driver) news: News,
}

/// What a source's thread is asked. One request is waiting at most, and a stop: the master cuts one
/// batch at a time.
pub(in crate::driver) enum Ask {
    Cut(BatchSeq, u64),
    Stop,
}

/// An opened source, wherever it is cut.
pub(in crate::driver) enum Intake {
    Here(Box<dyn Source>),
    There(host::JobSender<Ask>, Waiting),
}

/// A cut that may wait on its thread for data. It waits no longer once this is dropped: the thread must end
/// with the job.
pub(in crate::driver) struct Waiting(Option<Interrupt>);

impl Waiting {
    fn interrupt(&self) {
        if let Some(interrupt) = &self.0 {
            interrupt();
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.interrupt();
    }
}

impl Intake {
    /// A source that is cut in place, or one on a thread of its own that `spawn` starts.
    pub(in crate::driver) fn new(
        id: SourceId,
        source: Box<dyn Source>,
        partitions: usize,
        events: Sender<Event>,
        spawn: impl FnOnce(Box<dyn FnOnce() + Send>) -> std::io::Result<()>,
    ) -> std::io::Result<Self> {
        if source.immediate() {
            return Ok(Self::Here(source));
        }
        let (ask, asked) = host::channel();
        let waiting = Waiting(source.interrupt());
        spawn(Box::new(move || serve(id, source, partitions, asked, &events)))?;
        Ok(Self::There(ask, waiting))
    }

    /// The source's share of a batch, of about `limit` bytes if it is live; nothing if it will come as an event.
    pub(in crate::driver) fn cut(
        &mut self,
        batch: BatchSeq,
        partitions: usize,
        limit: u64,
    ) -> Option<Answer> {
        match self {
            Self::Here(source) => Some(answer(source.as_mut(), batch, partitions, limit)),
            Self::There(ask, _) => {
                // The thread ends only when this end of the channel is gone.
                let _ = ask.send(Ask::Cut(batch, limit));
                None
            }
        }
    }

    /// Tells the source to take in nothing new.
    pub(in crate::driver) fn stop(&mut self) {
        match self {
            Self::Here(source) => stop(source.as_mut()),
            Self::There(ask, waiting) => {
                waiting.interrupt();
                let _ = ask.send(Ask::Stop);
            }
        }
    }
}

fn answer(source: &mut dyn Source, batch: BatchSeq, partitions: usize, limit: u64) -> Answer {
    let cut = cut(source, batch, partitions, limit);
    Answer { cut, news: catch(|| source.news()).unwrap_or_default() }
}

fn cut(
    source: &mut dyn Source,
    batch: BatchSeq,
    partitions: usize,
    limit: u64,
) -> Result<Cut, AskError> {
    let mut cut = asked(|| {
        source.next_batch(batch);
        source.limit(limit);
        source.cut(partitions)
    })?;
    // More inputs than partitions would have no task: a source that breaks its contract must not lose
    // records silently.
    if cut.inputs.len() > partitions {
        let extra = cut.inputs.split_off(partitions);
        let split = extra.first().and_then(|input| input.ranges.first()).map(|range| &range.split);
        return Err(AskError::Source(SourceError::Data {
            what: split.map_or_else(|| "a source".to_owned(), ToString::to_string),
            why: format!(
                "was cut into {} inputs for {partitions} partitions, which is a bug of the source",
                partitions + extra.len()
            ),
        }));
    }
    Ok(cut)
}

/// A source that panics while it stops has stopped: the cut that follows will say what is wrong.
fn stop(source: &mut dyn Source) {
    let _ = catch(|| source.stop());
}

fn serve(
    id: SourceId,
    mut source: Box<dyn Source>,
    partitions: usize,
    asked: host::JobReceiver<Ask>,
    events: &Sender<Event>,
) {
    for ask in asked {
        match ask {
            Ask::Stop => stop(source.as_mut()),
            Ask::Cut(batch, limit) => {
                let answer = answer(source.as_mut(), batch, partitions, limit);
                if events.send(Event::Cut { batch, source: id, answer }).is_err() {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_panics_has_answered_too() {
        assert!(matches!(asked(|| Ok(7)), Ok(7)));
        let (what, why) = ("f".to_owned(), "is gone".to_owned());
        let gone = asked(|| Err::<(), _>(SourceError::Data { what, why }));
        assert!(matches!(gone, Err(AskError::Source(error)) if error.to_string() == "f: is gone"));
        let panicked = asked(|| -> Result<(), _> { panic!("a bug") });
        assert!(matches!(panicked, Err(AskError::Panic(panic)) if panic.message == "a bug"));
    }
}
