//! The fingerprint of a plan: FNV-1a over its structure.
//!
//! Token text differs between a macro and a build script, and spans between any two builds, so that
//! neither is ever hashed: of a closure, its identifiers, literals and punctuation are.

use petgraph::graph::NodeIndex;
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;

use super::logical::{Job, SourceFormat};
use crate::op::Argument;

/// FNV-1a, 64 bits, over length-prefixed parts.
struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }

    fn number(&mut self, number: u64) {
        number.to_le_bytes().into_iter().for_each(|byte| self.byte(byte));
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        text.bytes().for_each(|byte| self.byte(byte));
    }

    fn tokens(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Group(group) => {
                    let (open, close) = match group.delimiter() {
                        Delimiter::Parenthesis => (b'(', b')'),
                        Delimiter::Brace => (b'{', b'}'),
                        Delimiter::Bracket => (b'[', b']'),
                        // Made by macro_rules, not seen by a build script.
                        Delimiter::None => (0, 0),
                    };
                    if open != 0 {
                        self.byte(open);
                    }
                    self.tokens(group.stream());
                    if close != 0 {
                        self.byte(close);
                    }
                }
                TokenTree::Ident(ident) => {
                    self.byte(b'i');
                    self.text(&ident.to_string());
                }
                TokenTree::Literal(literal) => {
                    self.byte(b'l');
                    self.text(&literal.to_string());
                }
                TokenTree::Punct(punct) => {
                    self.byte(b'p');
                    self.number(u64::from(u32::from(punct.as_char())));
                }
            }
        }
        self.byte(b';');
    }
}

/// A number for some names.
#[must_use]
pub fn names(names: &[&str]) -> u64 {
    let mut fnv = Fnv::new();
    names.iter().for_each(|name| fnv.text(name));
    fnv.0
}

/// The fingerprint of a plan after all passes.
#[must_use]
pub fn job(job: &Job) -> u64 {
    let mut fnv = Fnv::new();
    fnv.text(&job.header.name.to_string());
    fnv.number(job.header.interval_ms);
    for plain in &job.lets {
        fnv.tokens(plain.statement.to_token_stream());
    }
    for node in job.graph.node_indices() {
        self::node(&mut fnv, job, node);
    }
    fnv.0
}

fn node(fnv: &mut Fnv, job: &Job, node: NodeIndex) {
    let weight = &job.graph[node];
    fnv.text(weight.operator.name);
    fnv.text(&weight.stream);
    for merged in &weight.merged {
        fnv.text(&merged.stream);
    }
    for parent in crate::pass::parents(job, node) {
        fnv.number(parent.index() as u64);
    }
    // Functions first.
    for function in weight.arguments.functions() {
        fnv.tokens(function.expr.to_token_stream());
    }
    for argument in weight.arguments.iter() {
        if !matches!(argument, Argument::Function(_)) {
            self::argument(fnv, argument);
        }
    }
}

fn argument(fnv: &mut Fnv, argument: &Argument) {
    match argument {
        Argument::Function(function) => fnv.tokens(function.expr.to_token_stream()),
        Argument::Length(batches) | Argument::Slide(batches) => fnv.number(*batches),
        Argument::Time(ms) => fnv.number(*ms),
        Argument::Offset(ms) => fnv.number(ms.cast_unsigned()),
        Argument::Number(number) => fnv.number(number.map_or(0, u64::from)),
        Argument::Value(value) => fnv.tokens(value.to_token_stream()),
        Argument::Named(name, value) => {
            fnv.text(name);
            self::argument(fnv, value);
        }
        Argument::Records { format, record } => {
            fnv.byte(match format {
                SourceFormat::Text => 0,
                SourceFormat::Csv => 1,
                SourceFormat::Json => 2,
            });
            fnv.tokens(record.to_token_stream());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::logical;

    const PLAN: &str =
        "let a = source::text(\"x:\"); let w = a.map(|l| (l, 1)).window(\"3s\"); w.print();";

    fn changed(from: &str, to: &str) -> u64 {
        assert!(PLAN.contains(from));
        job(&logical(&PLAN.replace(from, to)))
    }

    #[test]
    fn layout_and_comments_do_not_count() {
        assert_eq!(changed("(l, 1)", "( l,\n 1 ) /* pair */"), job(&logical(PLAN)));
    }

    #[test]
    fn everything_else_does() {
        let changes = [
            job(&logical(PLAN)),
            changed("1)", "2)"),
            changed("x:", "y:"),
            changed("3s", "4s"),
            changed(".map(", ".filter_map("),
            job(&logical(&PLAN.replace(" w", " v"))),
            changed("w.print()", "w.print(10)"),
            changed("let a", "let n = 5; let a"),
        ];
        let distinct: std::collections::BTreeSet<u64> = changes.into_iter().collect();
        assert_eq!(distinct.len(), changes.len());
    }

    #[test]
    fn it_is_the_same_in_every_build() {
        // Master and worker compare it: a change of this number is a change of the format.
        insta::assert_snapshot!(format!("{:016x}", job(&logical(PLAN))), @"e22527fe17d4394d");
    }
}
