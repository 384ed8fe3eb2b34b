//! Calls whose result may differ from run to run, found in the tokens of closures and plain `let`s.
//!
//! This sees names, not types: calls inside the user's own functions are not found.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::Expr;

use crate::diag::{Diagnostic, Diagnostics, Place, table};

/// A hazard: the end of a path, the reason, and the cure.
struct Hazard {
    /// Segments at the end of the path, or at its start if the last one is `*`.
    path: &'static [&'static str],
    why: &'static str,
    instead: &'static str,
    /// Whether it also matters outside of closures.
    values: bool,
}

const CLOCK: (&str, &str) = (
    "it reads the clock",
    "take the time from the record, or the batch's: `|record, ctx| … ctx.batch_time()`",
);
const RANDOM: (&str, &str) = (
    "it draws at random",
    "draw numbers that are the same whenever the batch is computed again: `|record, ctx| … ctx.rng()`",
);
const PROCESS: (&str, &str) = (
    "it depends on the process that runs it",
    "put the value into the job's parameters: they are the same on every worker",
);
const ORDER: (&str, &str) = (
    "its order differs from process to process",
    "use `BTreeMap` or `BTreeSet`, or give it a fixed hasher",
);
const WORLD: (&str, &str) = (
    "it reaches outside of the batch",
    "read it with a source, and bring it together with `.join(…)`, or put it into the job's parameters",
);
const THREAD: (&str, &str) =
    ("it depends on threads", "leave parallelism to partitions: one call sees one record");
const SHARED: (&str, &str) = (
    "it is shared by tasks that run in any order",
    "keep state with `.running_reduce(…)`, `.track(…)` or a window",
);

const fn hazard(
    path: &'static [&'static str],
    (why, instead): (&'static str, &'static str),
) -> Hazard {
    Hazard { path, why, instead, values: true }
}

const fn in_closures(
    path: &'static [&'static str],
    (why, instead): (&'static str, &'static str),
) -> Hazard {
    Hazard { path, why, instead, values: false }
}

const HAZARDS: &[Hazard] = &[
    hazard(&["Instant", "now"], CLOCK),
    hazard(&["SystemTime", "now"], CLOCK),
    hazard(&["Utc", "now"], CLOCK),
    hazard(&["Local", "now"], CLOCK),
    hazard(&["OffsetDateTime", "now_utc"], CLOCK),
    hazard(&["OffsetDateTime", "now_local"], CLOCK),
    hazard(&["Timestamp", "now"], CLOCK),
    hazard(&["Zoned", "now"], CLOCK),
    hazard(&["thread_rng"], RANDOM),
    hazard(&["rand", "*"], RANDOM),
    hazard(&["fastrand", "*"], RANDOM),
    hazard(&["getrandom", "*"], RANDOM),
    hazard(&["OsRng"], RANDOM),
    hazard(&["from_entropy"], RANDOM),
    hazard(&["from_os_rng"], RANDOM),
    hazard(&["RandomState"], RANDOM),
    hazard(&["Uuid", "new_v4"], RANDOM),
    hazard(&["Uuid", "now_v7"], CLOCK),
    hazard(&["std", "env", "*"], PROCESS),
    hazard(&["env", "var"], PROCESS),
    hazard(&["env", "vars"], PROCESS),
    hazard(&["env", "var_os"], PROCESS),
    hazard(&["env", "args"], PROCESS),
    hazard(&["env", "current_dir"], PROCESS),
    hazard(&["process", "id"], PROCESS),
    hazard(&["thread", "current"], THREAD),
    hazard(&["thread", "spawn"], THREAD),
    hazard(&["thread", "scope"], THREAD),
    hazard(&["available_parallelism"], PROCESS),
    hazard(&["std", "fs", "*"], WORLD),
    hazard(&["tokio", "fs", "*"], WORLD),
    hazard(&["fs", "read"], WORLD),
    hazard(&["fs", "read_to_string"], WORLD),
    hazard(&["fs", "read_dir"], WORLD),
    hazard(&["fs", "metadata"], WORLD),
    hazard(&["fs", "write"], WORLD),
    hazard(&["File", "open"], WORLD),
    hazard(&["File", "create"], WORLD),
    hazard(&["std", "net", "*"], WORLD),
    hazard(&["tokio", "net", "*"], WORLD),
    hazard(&["TcpStream", "connect"], WORLD),
    hazard(&["UdpSocket", "bind"], WORLD),
    hazard(&["Command", "new"], WORLD),
    in_closures(&["stdin"], WORLD),
    in_closures(&["HashMap"], ORDER),
    in_closures(&["HashSet"], ORDER),
];

/// Checks a closure or a function's path.
pub(super) fn function(expr: &Expr, diagnostics: &mut Diagnostics) {
    Check { closure: true, diagnostics }.tokens(expr.to_token_stream());
}

/// Checks the value of a plain `let`, which every process computes.
pub(super) fn value(expr: &Expr, diagnostics: &mut Diagnostics) {
    Check { closure: false, diagnostics }.tokens(expr.to_token_stream());
}

struct Check<'d> {
    closure: bool,
    diagnostics: &'d mut Diagnostics,
}

impl Check<'_> {
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => {
                    self.tokens(group.stream());
                    at += 1;
                }
                TokenTree::Ident(ident) if ident == "static" => {
                    if matches!(tokens.get(at + 1), Some(TokenTree::Ident(next)) if next == "mut") {
                        self.found("static mut", ident.span().into(), SHARED);
                    }
                    at += 1;
                }
                TokenTree::Ident(_) if !is_field(&tokens, at) => at = self.path(&tokens, at),
                _ => at += 1,
            }
        }
    }

    /// Checks the path that starts there; returns its end.
    fn path(&mut self, tokens: &[TokenTree], start: usize) -> usize {
        let mut segments: Vec<&Ident> = Vec::new();
        let mut at = start;
        while let Some(TokenTree::Ident(ident)) = tokens.get(at) {
            segments.push(ident);
            at += 1;
            if !is_colons(tokens, at) {
                break;
            }
            at += 2;
        }
        let at = at.max(start + 1);
        let place = Place::between(
            tokens[start].span(),
            segments.last().map_or_else(|| tokens[start].span(), |segment| segment.span()),
        );
        let called = matches!(tokens.get(at), Some(TokenTree::Group(_)));
        if let Some(hazard) = HAZARDS
            .iter()
            .filter(|hazard| hazard.values || self.closure)
            .find(|hazard| matches(hazard.path, &segments))
        {
            if !(hazard.why == ORDER.0 && has_hasher(tokens, at, &segments)) {
                let text: Vec<String> = segments.iter().map(ToString::to_string).collect();
                self.found(&text.join("::"), place, (hazard.why, hazard.instead));
            }
        } else if called && segments.len() == 1 && segments[0] == "random" {
            self.found("random", place, RANDOM);
        }
        at
    }

    fn found(&mut self, what: &str, at: Place, (why, instead): (&str, &str)) {
        self.diagnostics.push(
            Diagnostic::new(&table::NONDETERMINISTIC, at)
                .with("what", what)
                .with("why", why)
                .with("instead", instead),
        );
    }
}

/// Whether a path ends like the row or, with `*`, starts like it. A row of one name matches anywhere.
fn matches(row: &[&str], segments: &[&Ident]) -> bool {
    let alike = |row: &[&str], segments: &[&Ident]| {
        row.len() == segments.len()
            && segments.iter().zip(row).all(|(segment, name)| **segment == *name)
    };
    match row {
        [start @ .., "*"] => segments.len() > start.len() && alike(start, &segments[..start.len()]),
        [name] => segments.iter().any(|segment| **segment == *name),
        _ => segments.len() >= row.len() && alike(row, &segments[segments.len() - row.len()..]),
    }
}

/// Whether the map names its hasher: `HashMap<K, V, S>`, `HashSet<T, S>`, `…::with_hasher`.
fn has_hasher(tokens: &[TokenTree], after: usize, segments: &[&Ident]) -> bool {
    if segments.iter().any(|segment| {
        let segment = segment.to_string();
        segment.contains("hasher")
    }) {
        return true;
    }
    let wanted = if segments.iter().any(|segment| *segment == "HashMap") { 3 } else { 2 };
    let mut at = after;
    while matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == ':') {
        at += 1;
    }
    if !matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == '<') {
        return false;
    }
    let (mut depth, mut arguments) = (0i32, 1);
    for token in &tokens[at..] {
        let TokenTree::Punct(punct) = token else {
            continue;
        };
        match punct.as_char() {
            '<' => depth += 1,
            '>' => depth -= 1,
            ',' if depth == 1 => arguments += 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    arguments >= wanted
}

fn is_colons(tokens: &[TokenTree], at: usize) -> bool {
    let colon = |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
    colon(tokens.get(at))
        && colon(tokens.get(at + 1))
        && matches!(tokens.get(at + 2), Some(TokenTree::Ident(_)))
}

/// Whether the name is that of a field or method: `x.random`.
fn is_field(tokens: &[TokenTree], at: usize) -> bool {
    let dot = |at: Option<usize>| {
        matches!(at.and_then(|at| tokens.get(at)),
            Some(TokenTree::Punct(punct)) if punct.as_char() == '.')
    };
    dot(at.checked_sub(1)) && !dot(at.checked_sub(2))
}
