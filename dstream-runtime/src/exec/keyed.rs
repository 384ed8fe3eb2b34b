//! What functions of a program see of one key: its state, its timers, and where their results go.

use std::ops::Deref;

use super::context::Context;
use crate::record::{AsRecord, Record};

/// The state of a key: what a function of `track` keeps of it from batch to batch.
///
/// It is nothing until the function sets it. The function sees an owned value, which becomes the state of the key
/// when the whole task has succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State<S>(pub(crate) Option<S>);

impl<S> State<S> {
    /// The state, if there is one.
    #[must_use]
    pub fn get(&self) -> Option<&S> {
        self.0.as_ref()
    }

    /// The state, to be changed, if there is one.
    #[must_use]
    pub fn get_mut(&mut self) -> Option<&mut S> {
        self.0.as_mut()
    }

    /// Whether there is one.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.0.is_some()
    }

    /// Sets it.
    pub fn set(&mut self, state: S) {
        self.0 = Some(state);
    }

    /// Removes it, with the timers of the key. Gives what it was.
    pub fn remove(&mut self) -> Option<S> {
        self.0.take()
    }

    /// The state, to be changed; `first` if there is none.
    pub fn or_insert(&mut self, first: S) -> &mut S {
        self.0.get_or_insert(first)
    }

    /// The state, to be changed; what `first` makes if there is none.
    pub fn or_insert_with(&mut self, first: impl FnOnce() -> S) -> &mut S {
        self.0.get_or_insert_with(first)
    }
}

impl<S: Default> State<S> {
    /// The state, to be changed; the default if there is none.
    pub fn or_default(&mut self) -> &mut S {
        self.0.get_or_insert_with(S::default)
    }
}

/// The [`Context`] of a call for a key, which may also set timers of the key.
#[derive(Debug)]
pub struct KeyContext<'t> {
    pub(crate) context: Context<'t>,
    /// Those that this call has set.
    pub(crate) set: Vec<u64>,
    pub(crate) canceled: bool,
}

impl<'t> KeyContext<'t> {
    pub(crate) fn new(context: Context<'t>) -> Self {
        Self { context, set: Vec::new(), canceled: false }
    }

    /// Sets a timer of the key: the function `on_timer` is called once, in the first batch that ends at that time or
    /// later and after this one. The time is that of [`Context::batch_time`]. A timer that is set twice is one.
    pub fn timer(&mut self, at: u64) {
        self.set.push(at);
    }

    /// Drops all timers of the key.
    pub fn cancel_timers(&mut self) {
        self.canceled = true;
        self.set.clear();
    }
}

impl<'t> Deref for KeyContext<'t> {
    type Target = Context<'t>;

    fn deref(&self) -> &Context<'t> {
        &self.context
    }
}

/// The context of a call that sets no timers. Only generated code calls it.
#[inline]
#[must_use]
pub fn untimed<'t>(context: &mut KeyContext<'t>) -> Context<'t> {
    context.context
}

/// Where the results of a call for a key go.
pub struct Out<'e, R: Record>(pub(crate) &'e mut dyn for<'a> FnMut(R::View<'a>));

/// Gives a result away. Only generated code calls it.
#[inline]
pub fn give<T: AsRecord>(out: &mut Out<'_, T::Record>, made: &T) {
    (out.0)(made.as_view());
}
