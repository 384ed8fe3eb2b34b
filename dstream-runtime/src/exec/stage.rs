//! A stage as one compiled loop behind one virtual call per task.

use std::sync::Arc;

use super::catch::catch;
use super::poison::Poisoned;
use super::state::{Keep, StageName, State};
use super::tail::Tails;
use super::task::{Made, Panic, SavedState, TaskContext, TaskError};
use crate::block::BlockDecoder;
use crate::id::{BatchSeq, TailId};
use crate::record::Record;
use crate::source::Input;
use crate::store::KeptBlock;

/// What a stage reads.
pub trait Head: Send + Sync + 'static {
    /// What it feeds the kernel with.
    type Record: Record;
    /// What it keeps of each partition from batch to batch; `()` for one that keeps nothing.
    type State: Keep;
    /// What it changes in its state once the whole task has succeeded.
    type Change;

    /// Feeds every record of the task to `emit`, in an order that depends on the input alone.
    ///
    /// # Errors
    /// When the input cannot be read. The state is as it was then.
    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        state: &mut Self::State,
        emit: impl for<'a> FnMut(<Self::Record as Record>::View<'a>),
    ) -> Result<Self::Change, TaskError>;

    /// Makes the change of a task that succeeded. Calls no user code, cannot fail.
    fn commit(&self, cx: &TaskContext<'_>, state: &mut Self::State, change: Self::Change);

    /// Gives each record of an input to `each`, and finds those for which it fails; none of a head that does
    /// not set records aside.
    ///
    /// # Errors
    /// When the input cannot be read.
    fn sift(
        &self,
        input: &Input,
        each: &mut Trial<'_, Self::Record>,
    ) -> Result<Poisoned, TaskError> {
        let _ = (input, each);
        Ok(Poisoned::default())
    }

    /// Moves a state that goes by batches by one whose task has run elsewhere; the blocks are what that brought.
    /// Calls the user's functions, which may panic.
    ///
    /// # Errors
    /// When a block is not of this stage's types.
    fn step(
        &self,
        state: &mut Self::State,
        batch: BatchSeq,
        blocks: Vec<KeptBlock>,
    ) -> Result<(), TaskError> {
        let _ = (state, batch, blocks);
        Ok(())
    }
}

/// Whether the functions of a stage take a record.
pub type Trial<'t, R> = dyn for<'a> FnMut(<R as Record>::View<'a>) -> Result<(), Panic> + 't;

/// A stage, as the engine sees it.
pub trait RunStage: Send + Sync {
    /// Runs one task. `state` is what batch t − 1 left, `None` before the first.
    ///
    /// # Errors
    /// When its input cannot be read, or the state is not this stage's; nothing has changed then.
    fn run(&self, cx: &mut TaskContext<'_>, state: &mut Option<State>) -> Result<Made, TaskError>;

    /// Finds the records of a task that make a function panic, each alone, if its source sets such records
    /// aside; if not, the first of them, for the error. Makes nothing.
    ///
    /// # Errors
    /// When its input cannot be read.
    fn sift(&self, cx: &TaskContext<'_>) -> Result<Poisoned, TaskError> {
        let _ = cx;
        Ok(Poisoned::default())
    }

    /// A partition's state as blocks, all of it; nothing for a stage without state.
    ///
    /// # Errors
    /// When the state does not fit into blocks, or is not this stage's.
    fn save(&self, state: &State) -> Result<SavedState, TaskError>;

    /// See [`Keep::changes`].
    ///
    /// # Errors
    /// When what has changed does not fit into blocks, or the state is not this stage's.
    fn changes(&self, state: &State) -> Result<Option<SavedState>, TaskError> {
        let _ = state;
        Ok(None)
    }

    /// See [`Keep::mark`].
    ///
    /// # Errors
    /// When the state is not this stage's.
    fn mark(&self, state: &mut State) -> Result<(), TaskError> {
        let _ = state;
        Ok(())
    }

    /// The state that was saved: all of it, then what had changed each time. It is the same as if all of it had been
    /// saved the last time, the order of what it holds included. The user's functions may be called, and panic.
    ///
    /// # Errors
    /// When a block is not of this stage's types.
    fn load(&self, chain: &[SavedState]) -> Result<Option<State>, TaskError>;

    /// What lets in, in another process, the blocks that this tail makes; nothing for an output.
    fn door(&self, tail: TailId) -> Option<BlockDecoder> {
        let _ = tail;
        None
    }

    /// What lets in, in another process, the blocks of saved state that have this tag.
    fn state_door(&self, tag: u64) -> Option<BlockDecoder> {
        let _ = tag;
        None
    }
}

/// Head, kernel and tails of one stage.
pub(crate) struct Stage<H, K, T: Tails> {
    pub(crate) name: StageName,
    pub(crate) head: H,
    pub(crate) kernel: K,
    pub(crate) recipes: Arc<T::Recipes>,
}

impl<H, K, T> RunStage for Stage<H, K, T>
where
    H: Head,
    K: for<'a> Fn(<H::Record as Record>::View<'a>, &mut T) + Send + Sync,
    T: Tails,
{
    fn run(&self, cx: &mut TaskContext<'_>, state: &mut Option<State>) -> Result<Made, TaskError> {
        let mut nothing = None;
        if state.is_none() && size_of::<H::State>() > 0 {
            *state = Some(State::new(H::State::default()));
        }
        let state = match state {
            Some(state) => state.get_mut(self.name)?,
            None => nothing.insert(H::State::default()),
        };
        let mut tails = T::open(&self.recipes, cx);
        let change = self.head.run(cx, state, |view| (self.kernel)(view, &mut tails))?;
        tails.close(cx)?;
        self.head.commit(cx, state, change);
        Ok(std::mem::take(&mut cx.made))
    }

    #[cold]
    fn sift(&self, cx: &TaskContext<'_>) -> Result<Poisoned, TaskError> {
        let Some(input) = cx.source else { return Ok(Poisoned::default()) };
        // What these take is dropped.
        let mut tails = T::open(&self.recipes, cx);
        self.head.sift(input, &mut |view| {
            if catch(|| (self.kernel)(view, &mut tails)).is_ok() {
                return Ok(());
            }
            // It may be what was combined before that makes it panic: without that it may not.
            tails = T::open(&self.recipes, cx);
            let alone = catch(|| (self.kernel)(view, &mut tails));
            if alone.is_err() {
                tails = T::open(&self.recipes, cx);
            }
            alone
        })
    }

    fn save(&self, state: &State) -> Result<SavedState, TaskError> {
        state.get::<H::State>(self.name)?.save()
    }

    fn changes(&self, state: &State) -> Result<Option<SavedState>, TaskError> {
        state.get::<H::State>(self.name)?.changes()
    }

    fn mark(&self, state: &mut State) -> Result<(), TaskError> {
        state.get_mut::<H::State>(self.name)?.mark();
        Ok(())
    }

    fn load(&self, chain: &[SavedState]) -> Result<Option<State>, TaskError> {
        let Some((whole, changes)) = chain.split_first() else { return Ok(None) };
        let Some(mut state) = H::State::load(whole)? else { return Ok(None) };
        for changes in changes {
            state
                .apply(changes, &mut |state, batch, blocks| self.head.step(state, batch, blocks))?;
        }
        Ok(Some(State::new(state)))
    }

    fn door(&self, tail: TailId) -> Option<BlockDecoder> {
        T::door(&self.recipes, tail.index())
    }

    fn state_door(&self, tag: u64) -> Option<BlockDecoder> {
        H::State::door(tag)
    }
}
