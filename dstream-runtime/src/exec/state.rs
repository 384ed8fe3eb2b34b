//! State of one partition of one stage, with its type erased: `Stage` erases it and
//! gives it back to its head. A state of another type is an error, never an empty result.

use std::any::{Any, type_name};
use std::fmt;

use super::task::TaskError;
use crate::id::StageId;

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
