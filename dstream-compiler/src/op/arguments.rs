//! Kinds of argument that operators take, and the checked arguments of a call. What is the same of two calls,
//! what is shown of one, and what its fingerprint is follows from the arguments alone.

use syn::{Expr, Type};

use crate::ir::logical::{Function, SourceFormat, same_function};
use crate::ir::rust_text;
use crate::syntax::duration;

/// A kind of argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arg {
    /// A closure or the path of a function.
    Function {
        /// How many parameters.
        parameters: usize,
        /// How one is written, for messages.
        example: &'static str,
    },
    /// A function of what a key has kept, which may also ask for its context.
    Stateful {
        /// How many parameters before the context.
        parameters: usize,
        /// How one is written, for messages.
        example: &'static str,
    },
    /// An aggregate, `agg::mean(|value| …)`. It is kept as two functions: the aggregate without its closure, and the closure.
    Aggregate,
    /// Another stream.
    Stream,
    /// A window's length.
    Length,
    /// A window's slide.
    Slide,
    /// A time span that is no number of batches: what it is.
    Time(&'static str),
    /// A difference of times, which may be negative.
    Offset,
    /// A window's length as a number of batches.
    LengthInBatches,
    /// A window's slide as a number of batches.
    SlideInBatches,
    /// A number, written out.
    Number,
    /// Any expression of the job's parameters; what it stands for.
    Value(&'static str),
    /// An expression of the job's parameters that is evaluated where records are; what it stands for. It is kept as a
    /// function without parameters, so that what it mentions is captured.
    Constant(&'static str),
    /// Where a sink writes.
    Url,
}

/// An argument that is given by name: `expire_after = "30d"`. All of them can be left out.
#[derive(Debug)]
pub struct Named {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub arg: Arg,
    /// How it is written, for messages.
    pub example: &'static str,
    /// The argument that it means nothing without.
    pub needs: Option<&'static str>,
}

impl Named {
    /// How an operator is called with it.
    #[must_use]
    pub fn usage(&self, of_operator: &str) -> String {
        let open = of_operator.strip_suffix(')').unwrap_or(of_operator);
        let comma = if open.ends_with('(') { "" } else { ", " };
        format!("{open}{comma}{})", self.example)
    }
}

/// A checked argument. Streams are no arguments of a node: they are its parents.
#[derive(Debug, Clone)]
pub enum Argument {
    /// A function.
    Function(Function),
    /// A window's length in batches.
    Length(u64),
    /// A window's slide in batches: as written, or that of the parent.
    Slide(u64),
    /// A time span in milliseconds.
    Time(u64),
    /// A difference of times in milliseconds.
    Offset(i64),
    /// An argument that was given by name.
    Named(&'static str, Box<Argument>),
    /// A number; none if it was left out.
    Number(Option<u32>),
    /// An expression.
    Value(Expr),
    /// What a source's records are.
    Records {
        /// How they are written.
        format: SourceFormat,
        /// Their type; none for text.
        record: Option<Type>,
    },
}

impl Argument {
    /// Whether two arguments are written alike, and always mean the same.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Function(f), Self::Function(g)) => same_function(f, g),
            (Self::Length(a), Self::Length(b)) | (Self::Slide(a), Self::Slide(b)) => a == b,
            (Self::Number(a), Self::Number(b)) => a == b,
            (Self::Time(a), Self::Time(b)) => a == b,
            (Self::Offset(a), Self::Offset(b)) => a == b,
            (Self::Named(a, x), Self::Named(b, y)) => a == b && x.same(y),
            (Self::Value(a), Self::Value(b)) => a == b,
            (Self::Records { format: a, record: r }, Self::Records { format: b, record: s }) => {
                a == b && r == s
            }
            _ => false,
        }
    }

    /// How a plan shows it; nothing for what it shows elsewhere or that was left out.
    #[must_use]
    pub fn shown(&self) -> Option<String> {
        match self {
            Self::Function(function) if function.in_place => Some("their merge".to_owned()),
            Self::Function(function) => Some(rust_text::short(&function.expr)),
            Self::Value(value) => Some(rust_text::short(value)),
            Self::Number(number) => number.map(|number| number.to_string()),
            Self::Time(ms) => Some(duration::show(*ms)),
            Self::Offset(ms) => Some(duration::show_offset(*ms)),
            Self::Named(name, value) => Some(format!("{name} = {}", value.shown()?)),
            Self::Length(_) | Self::Slide(_) | Self::Records { .. } => None,
        }
    }
}

/// The checked arguments of one call, in the order in which they are written.
///
/// Invariant: they fit one of the operator's forms, and a slide or number that was left out is there as what it
/// then means. So to ask for an argument that no form has is a mistake in the operator's own file.
#[derive(Debug, Clone, Default)]
pub struct Arguments(Vec<Argument>);

impl From<Vec<Argument>> for Arguments {
    fn from(arguments: Vec<Argument>) -> Self {
        Self(arguments)
    }
}

impl Arguments {
    /// The arguments of a call that was checked against one of these forms, with what was left out.
    #[must_use]
    pub fn complete(
        mut values: Vec<Argument>,
        forms: &[&[Arg]],
        form: &[Arg],
        parent_slide: u64,
    ) -> Self {
        let left_out =
            |kind| !form.contains(&kind) && forms.iter().any(|form| form.contains(&kind));
        if left_out(Arg::Slide) || left_out(Arg::SlideInBatches) {
            values.push(Argument::Slide(parent_slide));
        }
        if left_out(Arg::Number) {
            values.push(Argument::Number(None));
        }
        Self(values)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Argument> {
        self.0.iter()
    }

    /// The functions.
    pub fn functions(&self) -> impl Iterator<Item = &Function> {
        self.0.iter().filter_map(|argument| match argument {
            Argument::Function(function) => Some(function),
            _ => None,
        })
    }

    /// The first function.
    ///
    /// # Panics
    /// If the operator's forms have none.
    #[must_use]
    pub fn function(&self) -> &Function {
        self.functions().next().expect("invariant: the form has a function")
    }

    /// The second function, if the call has one.
    #[must_use]
    pub fn second_function(&self) -> Option<&Function> {
        self.functions().nth(1)
    }

    /// The function or constant at a place among them.
    ///
    /// # Panics
    /// If the operator's forms do not have that many.
    #[must_use]
    pub fn nth_function(&self, at: usize) -> &Function {
        self.functions().nth(at).expect("invariant: the form has that many functions")
    }

    /// Takes the second function away.
    pub fn remove_second_function(&mut self) {
        let functions = self.0.iter().enumerate();
        let mut functions = functions.filter(|(_, a)| matches!(a, Argument::Function(_)));
        if let Some((at, _)) = functions.nth(1) {
            self.0.remove(at);
        }
    }

    fn first<'a, T>(&'a self, find: impl Fn(&'a Argument) -> Option<T>) -> Option<T> {
        self.0.iter().find_map(find)
    }

    /// An argument that was given by that name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Argument> {
        self.first(|argument| match argument {
            Argument::Named(given, value) if *given == name => Some(&**value),
            _ => None,
        })
    }

    /// A time span that was given by that name, in milliseconds.
    #[must_use]
    pub fn named_time(&self, name: &str) -> Option<u64> {
        match self.named(name) {
            Some(Argument::Time(ms)) => Some(*ms),
            _ => None,
        }
    }

    /// A function that was given by that name.
    #[must_use]
    pub fn named_function(&self, name: &str) -> Option<&Function> {
        match self.named(name) {
            Some(Argument::Function(function)) => Some(function),
            _ => None,
        }
    }

    /// The time span, in milliseconds, if the operator has one that is not given by name.
    #[must_use]
    pub fn time(&self) -> Option<u64> {
        self.first(|argument| match argument {
            Argument::Time(ms) => Some(*ms),
            _ => None,
        })
    }

    /// The differences of times, in milliseconds.
    #[must_use]
    pub fn offsets(&self) -> Vec<i64> {
        let offsets = self.0.iter().filter_map(|argument| match argument {
            Argument::Offset(ms) => Some(*ms),
            _ => None,
        });
        offsets.collect()
    }

    /// The length of a window, in batches, if the operator has one.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.first(|argument| match argument {
            Argument::Length(length) => Some(*length),
            _ => None,
        })
    }

    /// The slide of a window, in batches, if the operator has one.
    #[must_use]
    pub fn slide(&self) -> Option<u64> {
        self.first(|argument| match argument {
            Argument::Slide(slide) => Some(*slide),
            _ => None,
        })
    }

    /// The time spans that are given by their places, in milliseconds.
    #[must_use]
    pub fn times(&self) -> Vec<u64> {
        let time = |argument: &Argument| match argument {
            Argument::Time(ms) => Some(*ms),
            _ => None,
        };
        self.0.iter().filter_map(time).collect()
    }

    /// The number, unless it was left out.
    #[must_use]
    pub fn number(&self) -> Option<u32> {
        self.first(|argument| match argument {
            Argument::Number(number) => *number,
            _ => None,
        })
    }

    /// The expression.
    ///
    /// # Panics
    /// If the operator's forms have none.
    #[must_use]
    pub fn value(&self) -> &Expr {
        let value = self.first(|argument| match argument {
            Argument::Value(value) => Some(value),
            _ => None,
        });
        value.expect("invariant: the form has a value")
    }

    /// What a source's records are.
    #[must_use]
    pub fn records(&self) -> Option<(SourceFormat, Option<&Type>)> {
        self.first(|argument| match argument {
            Argument::Records { format, record } => Some((*format, record.as_ref())),
            _ => None,
        })
    }

    /// Whether two calls have the same arguments, and these always mean the same.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|(a, b)| a.same(b))
    }

    /// How a plan shows them.
    #[must_use]
    pub fn shown(&self) -> String {
        let mut parts: Vec<String> = self.0.iter().filter_map(Argument::shown).collect();
        if let (Some(length), Some(slide)) = (self.length(), self.slide()) {
            parts.push(format!("{length} every {slide}"));
        }
        parts.join(", ")
    }
}
