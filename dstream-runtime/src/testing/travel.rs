//! Blocks of a job under test are encoded and decoded, as if they came from another process: on one machine their
//! decoders would not run otherwise. Saved states are, since the engine saves them.

use std::sync::Arc;

use crate::block::{Block, BlockDecoder};
use crate::exec::job::BuiltJob;
use crate::exec::poison::Poisoned;
use crate::exec::stage::RunStage;
use crate::exec::state::State;
use crate::exec::task::{Made, SavedState, TailMade, TaskContext, TaskError};
use crate::id::TailId;

/// The same job, with encoded and decoded blocks.
pub(super) fn travelling(mut job: BuiltJob) -> BuiltJob {
    let travelling = |stage| Arc::new(Travelling(stage)) as Arc<dyn RunStage>;
    job.stages = job.stages.into_iter().map(travelling).collect();
    job
}

struct Travelling(Arc<dyn RunStage>);

/// The block after encoding and decoding.
fn travel(block: &Block, decoder: Option<BlockDecoder>) -> Result<Block, TaskError> {
    let decoder = decoder.expect("invariant: a stage names a decoder for every block it makes");
    Ok(decoder(block.to_bytes().into())?)
}

impl RunStage for Travelling {
    fn run(&self, cx: &mut TaskContext<'_>, state: &mut Option<State>) -> Result<Made, TaskError> {
        let mut made = self.0.run(cx, state)?;
        for (tail, made) in (0..).map(TailId).zip(&mut made.tails) {
            let TailMade::Blocks(blocks) = made else { continue };
            for (_, block) in blocks {
                *block = travel(block, self.0.door(tail))?;
            }
        }
        Ok(made)
    }

    fn sift(&self, cx: &TaskContext<'_>) -> Result<Poisoned, TaskError> {
        self.0.sift(cx)
    }

    fn save(&self, state: &State) -> Result<SavedState, TaskError> {
        self.0.save(state)
    }

    fn changes(&self, state: &State) -> Result<Option<SavedState>, TaskError> {
        self.0.changes(state)
    }

    fn mark(&self, state: &mut State) -> Result<(), TaskError> {
        self.0.mark(state)
    }

    fn load(&self, chain: &[SavedState]) -> Result<Option<State>, TaskError> {
        self.0.load(chain)
    }

    fn door(&self, tail: TailId) -> Option<BlockDecoder> {
        self.0.door(tail)
    }

    fn state_door(&self, tag: u64) -> Option<BlockDecoder> {
        self.0.state_door(tag)
    }
}
