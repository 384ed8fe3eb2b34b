//! Diagnostics as values: the mistake, its place, and its cure.
//!
//! The wording is in [`table`]; the front end names a mistake and fills in values. All mistakes are kept, in
//! the order found.

#[cfg(test)]
pub(crate) mod examples;
mod place;
pub mod table;

use std::fmt::Write as _;

use proc_macro2::TokenStream;

pub use place::Place;
pub use table::Mistake;

/// A mistake at a place.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// Its row of the table.
    pub mistake: &'static Mistake,
    /// The user's tokens.
    pub place: Place,
    values: Vec<(&'static str, String)>,
    note: Option<(Place, String)>,
}

impl Diagnostic {
    /// A mistake at a place.
    #[must_use]
    pub fn new(mistake: &'static Mistake, place: impl Into<Place>) -> Self {
        Self { mistake, place: place.into(), values: Vec::new(), note: None }
    }

    /// Fills `{name}` in the templates.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.values.push((name, value.into()));
        self
    }

    /// Adds a second place.
    #[must_use]
    pub fn note(mut self, place: impl Into<Place>, text: impl Into<String>) -> Self {
        self.note = Some((place.into(), text.into()));
        self
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> String {
        self.fill(self.mistake.message)
    }

    /// The help.
    #[must_use]
    pub fn help(&self) -> String {
        self.fill(self.mistake.help)
    }

    /// The second place and its text.
    #[must_use]
    pub fn noted(&self) -> Option<(Place, &str)> {
        self.note.as_ref().map(|(place, text)| (*place, text.as_str()))
    }

    /// Message, note and help on separate lines, as the compiler shows them.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("dstream[{}]: {}", self.mistake.code, self.message());
        if let Some((place, note)) = &self.note {
            // On stable, a proc macro cannot attach a second span: the line number replaces it.
            match place.line() {
                Some(line) => _ = write!(text, "\nnote: {note} on line {line}"),
                None => _ = write!(text, "\nnote: {note}"),
            }
        }
        for line in self.help().lines() {
            _ = write!(text, "\nhelp: {line}");
        }
        text
    }

    /// A `compile_error!` at the user's tokens.
    #[must_use]
    pub fn to_compile_error(&self) -> TokenStream {
        self.place.error(self.text()).into_compile_error()
    }

    fn fill(&self, template: &str) -> String {
        let mut text = String::with_capacity(template.len());
        let mut rest = template;
        while let Some(start) = rest.find('{') {
            let Some(end) = rest[start..].find('}').map(|end| start + end) else {
                break;
            };
            text.push_str(&rest[..start]);
            let name = &rest[start + 1..end];
            match self.values.iter().find(|(n, _)| *n == name) {
                Some((_, value)) => text.push_str(value),
                None => text.push_str(&rest[start..=end]),
            }
            rest = &rest[end + 1..];
        }
        text.push_str(rest);
        text
    }
}

/// The mistakes in a program.
#[derive(Debug, Clone, Default)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Adds those of another part.
    pub fn extend(&mut self, others: Diagnostics) {
        self.0.extend(others.0);
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their number.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// In the order they were found.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// One `compile_error!` for each, at the user's tokens.
    #[must_use]
    pub fn to_compile_errors(&self) -> TokenStream {
        self.0.iter().map(Diagnostic::to_compile_error).collect()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fill_the_templates() {
        static MISTAKE: Mistake =
            Mistake { code: "E9999", message: "no `{name}` here", help: "one\nof {list}" };
        let diagnostic = Diagnostic::new(&MISTAKE, proc_macro2::Span::call_site())
            .with("name", "x")
            .with("list", "a, b");
        assert_eq!(diagnostic.text(), "dstream[E9999]: no `x` here\nhelp: one\nhelp: of a, b");
    }

    #[test]
    fn braces_of_a_value_are_not_filled_again() {
        static MISTAKE: Mistake = Mistake { code: "E9999", message: "`{name}`", help: "" };
        let diagnostic =
            Diagnostic::new(&MISTAKE, proc_macro2::Span::call_site()).with("name", "{name}");
        assert_eq!(diagnostic.message(), "`{name}`");
    }
}
