//! Tails: what happens to the records that leave a stage.
//!
//! A stage's tails are a list `(A, (B, ()))`; the kernel pushes into them by position. Each tail has
//! a *recipe* that all tasks of the stage share, and a *slot* through which the generated code tells
//! the recipe what the kernel's types decided only later (the function that combines, for instance).

mod combine;
mod marks;
mod output;
mod panes;
mod partial;
mod rows;

use std::sync::Arc;

pub use combine::{Combine, CombineRecipe, Spread};
pub(crate) use marks::Mark;
pub use marks::{Broadcast, Marks, ReadingSplit};
pub use output::{Output, OutputRecipe};
pub use panes::{CombinePanes, PanesRecipe};
pub(crate) use panes::{PANE_BYTES, PaneCount};
pub(crate) use partial::WindowRow;
pub(crate) use partial::{Best, best};
pub use partial::{Fold, FoldRecipe, Gathered, Tally, Top, TopRecipe, WindowTop};
pub use rows::Rows;

use super::task::{TailMade, TaskContext, TaskError};
use crate::block::BlockDecoder;

/// Where the records of one task go.
pub trait Tail: Sized + 'static {
    /// What it takes.
    type Record;
    /// What all tasks share.
    type Recipe: Default + Send + Sync + 'static;
    /// Begins a task.
    fn open(recipe: &Arc<Self::Recipe>, cx: &TaskContext<'_>) -> Self;
    /// Ends it.
    ///
    /// # Errors
    /// When a result cannot be kept.
    fn close(self, cx: &TaskContext<'_>) -> Result<TailMade, TaskError>;
    /// What lets its blocks into another process; nothing for a tail that makes none.
    fn door(recipe: &Self::Recipe) -> Option<BlockDecoder>;
}

/// A handle on the recipe of one tail, made when its stage is.
pub struct Slot<T: Tail>(pub(crate) Arc<T::Recipe>);

/// The tails of a stage, as a list.
pub trait Tails: Sized + 'static {
    /// The recipes, as a list.
    type Recipes: Default + Send + Sync + 'static;
    /// The slots, as a list.
    type Slots;
    /// Handles on the recipes.
    fn slots(recipes: &Self::Recipes) -> Self::Slots;
    /// Begins a task.
    fn open(recipes: &Self::Recipes, cx: &TaskContext<'_>) -> Self;
    /// Ends it, adding what the tails made to the context.
    ///
    /// # Errors
    /// When a result cannot be kept.
    fn close(self, cx: &mut TaskContext<'_>) -> Result<(), TaskError>;
    /// The door of the tail at a position; nothing if it has none or there is no such tail.
    fn door(recipes: &Self::Recipes, index: usize) -> Option<BlockDecoder>;
}

impl Tails for () {
    type Recipes = ();
    type Slots = ();
    fn slots((): &()) {}
    fn open((): &(), _: &TaskContext<'_>) {}
    fn close(self, _: &mut TaskContext<'_>) -> Result<(), TaskError> {
        Ok(())
    }
    fn door((): &(), _: usize) -> Option<BlockDecoder> {
        None
    }
}

impl<T: Tail, Rest: Tails> Tails for (T, Rest) {
    type Recipes = (Arc<T::Recipe>, Rest::Recipes);
    type Slots = (Slot<T>, Rest::Slots);
    fn slots(recipes: &Self::Recipes) -> Self::Slots {
        (Slot(Arc::clone(&recipes.0)), Rest::slots(&recipes.1))
    }
    fn open(recipes: &Self::Recipes, cx: &TaskContext<'_>) -> Self {
        (T::open(&recipes.0, cx), Rest::open(&recipes.1, cx))
    }
    fn close(self, cx: &mut TaskContext<'_>) -> Result<(), TaskError> {
        let made = self.0.close(cx)?;
        cx.made.tails.push(made);
        self.1.close(cx)
    }
    fn door(recipes: &Self::Recipes, index: usize) -> Option<BlockDecoder> {
        match index.checked_sub(1) {
            None => T::door(&recipes.0),
            Some(index) => Rest::door(&recipes.1, index),
        }
    }
}
