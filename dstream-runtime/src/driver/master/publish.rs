//! Hands batches to the sinks: in place if all of them take a batch at once, else on one thread, in
//! the order of batches; within a batch in the order of outputs.

use crossbeam_channel::{Sender, unbounded};

use crate::driver::Event;
use crate::driver::worker::task::catch;
use crate::exec::task::Panic;
use crate::id::BatchSeq;
use crate::sink::{Batch, Sink, SinkError};

/// Why a sink did not take a batch.
#[derive(Debug, Clone)]
pub(in crate::driver) enum PublishError {
    /// It says so itself.
    Sink(SinkError),
    /// It panicked: a bug of the sink.
    Panic(Panic),
}

/// Everything that one batch publishes.
pub(in crate::driver) struct Publication {
    pub(in crate::driver) seq: BatchSeq,
    /// By sink: outputs in order of definition, then dead letters.
    pub(in crate::driver) batches: Vec<(usize, Batch)>,
}

/// The sinks, wherever they are called.
pub(in crate::driver) enum Publisher {
    Here(Vec<Box<dyn Sink>>),
    There(Sender<Publication>),
}

impl Publisher {
    /// Sinks that are called in place, or on a thread that `spawn` starts.
    pub(in crate::driver) fn new(
        mut sinks: Vec<Box<dyn Sink>>,
        events: Sender<Event>,
        spawn: impl FnOnce(Box<dyn FnOnce() + Send>) -> std::io::Result<()>,
    ) -> std::io::Result<Self> {
        if sinks.iter().all(|sink| sink.immediate()) {
            return Ok(Self::Here(sinks));
        }
        let (send, publications) = unbounded();
        spawn(Box::new(move || {
            for publication in publications {
                let result = publish(&mut sinks, &publication);
                if events.send(Event::Published { batch: publication.seq, result }).is_err() {
                    return;
                }
            }
        }))?;
        Ok(Self::There(send))
    }

    /// Publishes a batch; nothing if the result will come as an event.
    pub(in crate::driver) fn publish(
        &mut self,
        publication: Publication,
    ) -> Option<Result<(), (usize, PublishError)>> {
        match self {
            Self::Here(sinks) => Some(publish(sinks, &publication)),
            Self::There(publications) => {
                // The thread ends only when this end of the channel is gone.
                let _ = publications.send(publication);
                None
            }
        }
    }
}

fn publish(
    sinks: &mut [Box<dyn Sink>],
    publication: &Publication,
) -> Result<(), (usize, PublishError)> {
    for (index, batch) in &publication.batches {
        let Some(sink) = sinks.get_mut(*index) else {
            continue;
        };
        match catch(|| sink.publish(batch)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err((*index, PublishError::Sink(error))),
            Err(panic) => return Err((*index, PublishError::Panic(panic))),
        }
    }
    Ok(())
}
