//! Kinds of argument that operators take, and the values of a call once they are checked.

use syn::Expr;

use crate::ir::logical::Function;

/// A kind of argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arg {
    /// A closure or function path with so many parameters.
    Function {
        /// How many parameters.
        parameters: usize,
        /// How one is written, for messages.
        example: &'static str,
    },
    /// Another stream.
    Stream,
    /// A window's length.
    Length,
    /// A window's slide.
    Slide,
    /// A number, written out.
    Number,
    /// Any expression of the job's parameters; what it stands for.
    Value(&'static str),
    /// Where a sink writes.
    Url,
}

/// A checked argument. Streams are no arguments of a node: they are its parents.
#[derive(Debug)]
pub enum Argument {
    /// A function.
    Function(Function),
    /// A length or slide, in batches.
    Batches(u64),
    /// A number.
    Number(u32),
    /// An expression.
    Value(Expr),
}

/// The checked arguments of one call, taken in order.
///
/// Invariant: they fit one of the operator's forms; the front end makes no `Arguments` otherwise, so
/// taking one of another kind is a mistake in the operator's own `make`.
#[derive(Debug)]
pub struct Arguments {
    values: std::collections::VecDeque<Argument>,
    /// Slide of the parent in batches: the default of a slide.
    pub parent_slide: u64,
}

impl Arguments {
    /// Arguments that were checked against a form.
    #[must_use]
    pub fn new(values: impl IntoIterator<Item = Argument>, parent_slide: u64) -> Self {
        Self { values: values.into_iter().collect(), parent_slide }
    }

    /// The next one, a function.
    ///
    /// # Panics
    /// If the operator's forms have no function there.
    pub fn function(&mut self) -> Function {
        self.next_function().expect("invariant: the form has a function here")
    }

    /// The next one if it is a function.
    pub fn next_function(&mut self) -> Option<Function> {
        match self.values.pop_front()? {
            Argument::Function(function) => Some(function),
            other => {
                self.values.push_front(other);
                None
            }
        }
    }

    /// The next one if it is a length or slide.
    pub fn next_batches(&mut self) -> Option<u64> {
        match self.values.pop_front()? {
            Argument::Batches(batches) => Some(batches),
            other => {
                self.values.push_front(other);
                None
            }
        }
    }

    /// The next one, a window's length.
    ///
    /// # Panics
    /// If the operator's forms have no length there.
    pub fn length(&mut self) -> u64 {
        self.next_batches().expect("invariant: the form has a length here")
    }

    /// The next one, a window's slide, or that of the parent.
    pub fn slide(&mut self) -> u64 {
        self.next_batches().unwrap_or(self.parent_slide)
    }

    /// The next one if it is a number.
    pub fn next_number(&mut self) -> Option<u32> {
        match self.values.pop_front()? {
            Argument::Number(number) => Some(number),
            other => {
                self.values.push_front(other);
                None
            }
        }
    }

    /// The next one, an expression.
    ///
    /// # Panics
    /// If the operator's forms have no expression there.
    pub fn value(&mut self) -> Expr {
        match self.values.pop_front() {
            Some(Argument::Value(expr)) => expr,
            _ => unreachable!("invariant: the form has a value here"),
        }
    }
}
