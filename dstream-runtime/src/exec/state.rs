//! State of one partition of one stage: what every kind of it can do, and its type erased. `Stage` erases it and
//! gives it back to its head. A state of another type is an error, never an empty result.

use std::any::{Any, type_name};
use std::fmt;

use super::task::{SavedState, TaskError};
use crate::block::BlockDecoder;
use crate::id::{BatchSeq, StageId};
use crate::store::KeptBlock;

/// Moves a state by a batch whose task has run elsewhere; the blocks are what that brought.
pub type Step<'s, S> = dyn FnMut(&mut S, BatchSeq, Vec<KeptBlock>) -> Result<(), TaskError> + 's;

/// What a stage keeps of a partition from batch to batch, and how it is saved. `()` for one that keeps nothing.
pub trait Keep: Default + Send + 'static {
    /// All of it, as blocks.
    ///
    /// # Errors
    /// When it does not fit into blocks.
    fn save(&self) -> Result<SavedState, TaskError> {
        Ok(SavedState::default())
    }

    /// What has changed since the last [`mark`](Self::mark) but one; none if that is not known, or is no less than
    /// all of it.
    ///
    /// # Errors
    /// When it does not fit into blocks.
    fn changes(&self) -> Result<Option<SavedState>, TaskError> {
        Ok(None)
    }

    /// Marks it as it is now. What changes is noted from the first mark on.
    fn mark(&mut self) {}

    /// The state of which all was saved; the order of what it holds is the same.
    ///
    /// # Errors
    /// When a block is not of its types.
    fn load(whole: &SavedState) -> Result<Option<Self>, TaskError> {
        let _ = whole;
        Ok(None)
    }

    /// Takes in what had changed, as if all had been saved after it. A state that goes by batches moves by `step`,
    /// which may call functions of the user, and panic.
    ///
    /// # Errors
    /// When a block is not of its types.
    fn apply(&mut self, changes: &SavedState, step: &mut Step<'_, Self>) -> Result<(), TaskError> {
        let _ = (changes, step);
        Ok(())
    }

    /// What lets its blocks with that tag into another process; nothing for a tag that no part has.
    fn door(tag: u64) -> Option<BlockDecoder> {
        let _ = tag;
        None
    }
}

impl Keep for () {}

/// State of one partition of one stage, kept between batches. Only the stage knows its type.
pub struct State {
    value: Box<dyn Any + Send>,
    /// The name of its type, for errors.
    of: &'static str,
}

impl State {
    /// Erases the type of a state.
    #[must_use]
    pub fn new<S: Send + 'static>(value: S) -> Self {
        Self { value: Box::new(value), of: type_name::<S>() }
    }

    /// The state of a stage.
    ///
    /// # Errors
    /// When it is of another type.
    pub fn get<S: 'static>(&self, stage: StageName) -> Result<&S, TaskError> {
        self.value.downcast_ref().ok_or_else(|| wrong::<S>(stage, self.of))
    }

    /// The same, to be changed.
    ///
    /// # Errors
    /// When it is of another type.
    pub fn get_mut<S: 'static>(&mut self, stage: StageName) -> Result<&mut S, TaskError> {
        self.value.downcast_mut().ok_or_else(|| wrong::<S>(stage, self.of))
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("State").field(&self.of).finish()
    }
}

fn wrong<S>(stage: StageName, found: &'static str) -> TaskError {
    TaskError::State { stage, wanted: type_name::<S>(), found }
}

/// Which stage it is, for errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageName {
    /// Its number in the plan.
    pub id: StageId,
    /// The stream whose state it keeps, or the streams that it computes.
    pub stream: &'static str,
}

impl fmt::Display for StageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (`{}`)", self.id, self.stream)
    }
}
