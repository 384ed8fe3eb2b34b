//! Arguments of operators: selects the form of the call, and checks each argument.

use petgraph::graph::NodeIndex;
use syn::{Expr, ExprMethodCall, Ident, Lit, parse_quote_spanned};

use super::chain::Link;
use super::function::Wanted;
use super::lowering::{Lowering, Slide};
use super::mention::{self, Jump};
use super::scope::{Kind, Scope, strip};
use super::{determinism, duration};
use crate::diag::{Diagnostic, Place, table};
use crate::ir::logical::Function;
use crate::ir::rust_text;
use crate::op::{Arg, Argument, Named, Operator};
use crate::reserved;

/// Longest window, in batches: the plan's tables use 32 bits.
const MAX_BATCHES: u64 = u32::MAX as u64;

/// Longest time span, in milliseconds: a thousand years, so that sums of times and spans stay exact.
pub(super) const MAX_TIME_MS: u64 = 1000 * 366 * 86_400_000;

/// The checked arguments of a call.
pub(super) struct Checked {
    /// The form of the call.
    pub(super) form: &'static [Arg],
    /// Arguments that are values.
    pub(super) values: Vec<Argument>,
    /// Arguments that are streams.
    pub(super) streams: Vec<NodeIndex>,
}

/// The call, for checks of its arguments.
#[derive(Clone, Copy)]
pub(super) struct Context {
    /// The operator.
    pub(super) operator: &'static Operator,
    /// The stream it is called on, if that is right.
    pub(super) parent: Option<NodeIndex>,
    /// Whether the statement allows non-determinism.
    pub(super) allowed: bool,
}

impl Lowering<'_> {
    /// Checks the arguments of a call; `None` if any is invalid.
    pub(super) fn arguments(
        &mut self,
        call: &ExprMethodCall,
        context: Context,
        scope: &mut Scope,
    ) -> Option<Checked> {
        let (named, args): (Vec<&Expr>, Vec<&Expr>) =
            call.args.iter().partition(|arg| matches!(strip(arg), Expr::Assign(_)));
        let named = self.named_arguments(&named, context, scope);
        let Some(form) = self.form(&args, context.operator, scope) else {
            self.wrong_arity(call, args.len(), context.operator);
            for arg in args {
                self.use_streams(arg, scope);
            }
            return None;
        };
        let mut checked = Checked { form, values: Vec::new(), streams: Vec::new() };
        let mut good = true;
        for (kind, arg) in form.iter().zip(args) {
            if *kind == Arg::Stream {
                match self.stream_argument(arg, context, scope) {
                    Some(node) => checked.streams.push(node),
                    None => good = false,
                }
                continue;
            }
            if *kind == Arg::Aggregate {
                match self.aggregate(arg, context, scope) {
                    Some(both) => checked.values.extend(both.map(Argument::Function)),
                    None => good = false,
                }
                continue;
            }
            match self.argument(*kind, arg, context, scope) {
                Some(value) => checked.values.push(value),
                None => good = false,
            }
        }
        checked.values.extend(named?);
        good.then_some(checked)
    }

    /// Checks the arguments that are given by name; `None` if any is invalid.
    fn named_arguments(
        &mut self,
        args: &[&Expr],
        context: Context,
        scope: &mut Scope,
    ) -> Option<Vec<Argument>> {
        let mut given: Vec<Argument> = Vec::new();
        let mut good = true;
        for arg in args {
            let Expr::Assign(assign) = strip(arg) else { continue };
            let named = self.name_of(assign, context.operator);
            let value = named.and_then(|named| match named.arg {
                Arg::Time(what) => {
                    let usage = named.usage(context.operator.usage);
                    self.time(what, &assign.right, context, &usage).map(Argument::Time)
                }
                arg => self.argument(arg, &assign.right, context, scope),
            });
            let (Some(named), Some(value)) = (named, value) else {
                if named.is_none() {
                    self.use_streams(&assign.right, scope);
                }
                good = false;
                continue;
            };
            if given.iter().any(|a| matches!(a, Argument::Named(name, _) if *name == named.name)) {
                self.report(
                    Diagnostic::new(&table::ARGUMENT_TWICE, Place::of(&assign.left))
                        .with("argument", named.name),
                );
                good = false;
            }
            if let Some(needs) = named.needs.filter(|needs| !is_named(args, needs)) {
                let all = context.operator.named.iter();
                let example = all.clone().find(|other| other.name == needs).map(|n| n.example);
                self.report(
                    Diagnostic::new(&table::ARGUMENT_ALONE, Place::of(&assign.left))
                        .with("argument", named.name)
                        .with("needs", needs)
                        .with("example", example.unwrap_or_default()),
                );
                good = false;
            }
            given.push(Argument::Named(named.name, Box::new(value)));
        }
        // Their order means nothing.
        given.sort_by_key(|argument| match argument {
            Argument::Named(name, _) => *name,
            _ => "",
        });
        good.then_some(given)
    }

    /// What is given by name.
    fn name_of(
        &mut self,
        assign: &syn::ExprAssign,
        operator: &'static Operator,
    ) -> Option<&'static Named> {
        let name = assigned(assign);
        let found = operator.named.iter().find(|named| name.is_some_and(|n| n == named.name));
        if found.is_none() {
            let known: Vec<String> =
                operator.named.iter().map(|named| format!("`{}`", named.example)).collect();
            let help = match known.is_empty() {
                true => format!("it has none with a name: write `.{}`", operator.usage),
                false => format!("it can be given {}", known.join(", ")),
            };
            let shown = rust_text::short(&assign.left);
            self.report(
                Diagnostic::new(&table::UNKNOWN_ARGUMENT, Place::of(&assign.left))
                    .with("name", operator.name)
                    .with("argument", shown)
                    .with("help", help),
            );
        }
        found
    }

    /// The form whose arguments look most like those of the call.
    fn form(&self, args: &[&Expr], operator: &Operator, scope: &Scope) -> Option<&'static [Arg]> {
        let fits = |form: &&'static [Arg]| {
            form.iter().zip(args).filter(|(kind, arg)| self.looks_like(**kind, arg, scope)).count()
        };
        let mut best: Option<&'static [Arg]> = None;
        for form in operator.forms.iter().filter(|form| form.len() == args.len()) {
            if best.is_none_or(|best| fits(form) > fits(&best)) {
                best = Some(form);
            }
        }
        best
    }

    fn looks_like(&self, kind: Arg, arg: &Expr, scope: &Scope) -> bool {
        match kind {
            Arg::Function { .. } | Arg::Stateful { .. } => {
                matches!(strip(arg), Expr::Closure(_) | Expr::Path(_))
            }
            Arg::Stream => self.is_stream(arg, scope),
            Arg::Aggregate => matches!(strip(arg), Expr::Call(_)),
            Arg::Length
            | Arg::Slide
            | Arg::LengthInBatches
            | Arg::SlideInBatches
            | Arg::Time(_)
            | Arg::Offset
            | Arg::Number => matches!(strip(arg), Expr::Lit(_)),
            Arg::Value(_) | Arg::Constant(_) | Arg::Url => !matches!(strip(arg), Expr::Closure(_)),
        }
    }

    fn wrong_arity(&mut self, call: &ExprMethodCall, found: usize, operator: &'static Operator) {
        let place: Place = if found == 0 { (&call.method).into() } else { Place::of(&call.args) };
        let takes_url = operator.forms.iter().any(|form| form.contains(&Arg::Url));
        if takes_url && found == 0 {
            self.report(Diagnostic::new(&table::SAVE_WITHOUT_URL, place));
            return;
        }
        let mut counts: Vec<usize> = operator.forms.iter().map(|form| form.len()).collect();
        counts.dedup();
        let expected = match counts[..] {
            [0] => "no arguments".to_owned(),
            [1] => "one argument".to_owned(),
            [0, 1] => "at most one argument".to_owned(),
            [n] => format!("{n} arguments"),
            [first, .., last] => format!("{first} to {last} arguments"),
            [] => String::new(),
        };
        self.report(
            Diagnostic::new(&table::WRONG_ARITY, place)
                .with("name", operator.name)
                .with("expected", expected)
                .with("found", count(found))
                .with("usage", operator.usage),
        );
    }

    fn stream_argument(
        &mut self,
        arg: &Expr,
        context: Context,
        scope: &mut Scope,
    ) -> Option<NodeIndex> {
        if self.is_stream(arg, scope) {
            return self.stream(arg, scope, Link::Middle, context.allowed);
        }
        self.use_streams(arg, scope);
        self.report(
            Diagnostic::new(&table::NOT_A_STREAM, Place::of(arg))
                .with("name", context.operator.name)
                .with("usage", context.operator.usage),
        );
        None
    }

    fn argument(
        &mut self,
        kind: Arg,
        arg: &Expr,
        context: Context,
        scope: &mut Scope,
    ) -> Option<Argument> {
        match kind {
            Arg::Function { parameters, example } | Arg::Stateful { parameters, example } => {
                // A function of one record may ask about its batch; one that merges may not.
                let asks = parameters == 1 || matches!(kind, Arg::Stateful { .. });
                let operator = context.operator;
                let wanted = Wanted { operator, parameters, example, context: asks };
                self.function(arg, wanted, scope, context.allowed).map(Argument::Function)
            }
            Arg::Time(what) => {
                self.time(what, arg, context, context.operator.usage).map(Argument::Time)
            }
            Arg::Offset => self.offset(arg, context).map(Argument::Offset),
            Arg::Length => self.batches("window", arg, context).map(Argument::Length),
            Arg::Slide => self.batches("slide", arg, context).map(Argument::Slide),
            Arg::LengthInBatches => self.counted("window", arg, context).map(Argument::Length),
            Arg::SlideInBatches => self.counted("slide", arg, context).map(Argument::Slide),
            Arg::Number => self.number(arg, context).map(|number| Argument::Number(Some(number))),
            Arg::Value(what) => {
                if !context.allowed {
                    determinism::value(arg, &mut self.diagnostics);
                }
                self.value(what, arg, context, scope).map(Argument::Value)
            }
            Arg::Constant(what) => {
                if !context.allowed {
                    determinism::value(arg, &mut self.diagnostics);
                }
                let expr = self.value(what, arg, context, scope)?;
                Some(Argument::Function(Function::new(expr, context.allowed)))
            }
            Arg::Url => {
                let good = self.check_url(arg, "write", "json+file://out/name");
                let value = self.value("a URL", arg, context, scope);
                value.filter(|_| good).map(Argument::Value)
            }
            Arg::Stream | Arg::Aggregate => None,
        }
    }

    /// An aggregate without its closure, and the closure: that of the value itself, if there is none.
    fn aggregate(
        &mut self,
        arg: &Expr,
        context: Context,
        scope: &mut Scope,
    ) -> Option<[Function; 2]> {
        let Expr::Call(call) = strip(arg) else {
            self.use_streams(arg, scope);
            self.report(
                Diagnostic::new(&table::NOT_AN_AGGREGATE, Place::of(arg))
                    .with("name", context.operator.name)
                    .with("usage", context.operator.usage),
            );
            return None;
        };
        let (mut call, mut closure) = (call.clone(), None);
        if matches!(call.args.last().map(strip), Some(Expr::Closure(_))) {
            closure = call.args.pop();
            // A comma that stood before it.
            call.args.pop_punct();
        }
        let wanted = Wanted {
            operator: context.operator,
            parameters: 1,
            example: "agg::mean(|value| …)",
            context: false,
        };
        let closure = match &closure {
            Some(closure) => self.function(closure, wanted, scope, context.allowed),
            None => {
                let at = call.paren_token.span.close();
                let value = Ident::new(&reserved::local("x"), at);
                Some(Function::new(parse_quote_spanned!(at=> |#value| #value), false))
            }
        };
        let value = Expr::Call(call);
        if !context.allowed {
            determinism::value(&value, &mut self.diagnostics);
        }
        let value = self.value("an aggregate", &value, context, scope);
        Some([Function::new(value?, context.allowed), closure?])
    }

    /// A number that is written out.
    fn number(&mut self, arg: &Expr, context: Context) -> Option<u32> {
        let number = match strip(arg) {
            Expr::Lit(syn::ExprLit { lit: Lit::Int(int), .. }) => {
                int.base10_parse().ok().filter(|number| *number > 0)
            }
            _ => None,
        };
        if number.is_none() {
            self.report(
                Diagnostic::new(&table::NOT_A_NUMBER, Place::of(arg))
                    .with("name", context.operator.name)
                    .with("example", context.operator.example),
            );
        }
        number
    }

    /// A length or slide that is written in batches.
    fn counted(&mut self, what: &'static str, arg: &Expr, context: Context) -> Option<u64> {
        let batches = u64::from(self.number(arg, context)?);
        let parent = context.parent.map_or(Slide::Unknown, |parent| self.slide(parent));
        let unit = parent.or_one();
        if batches.is_multiple_of(unit) {
            return Some(batches);
        }
        let (below, above) = ((batches / unit).max(1) * unit, (batches / unit + 1) * unit);
        let below = if batches < unit { below.to_string() } else { format!("{below} or {above}") };
        let parent = context.parent.map_or("", |parent| self.stream_name(parent));
        self.report(
            Diagnostic::new(&table::NOT_OF_SLIDE, Place::of(arg))
                .with("what", what)
                .with("text", format!("{batches} batches"))
                .with("slide", format!("{unit} batches"))
                .with("parent", parent)
                .with("below", below),
        );
        None
    }

    fn value(
        &mut self,
        what: &'static str,
        arg: &Expr,
        context: Context,
        scope: &mut Scope,
    ) -> Option<Expr> {
        if matches!(strip(arg), Expr::Closure(_)) {
            self.report(
                Diagnostic::new(&table::NOT_A_VALUE, Place::of(arg))
                    .with("name", context.operator.name)
                    .with("what", what)
                    .with("usage", context.operator.usage),
            );
            return None;
        }
        self.plain(arg, scope).then(|| arg.clone())
    }

    /// Whether a URL literal is not empty.
    pub(super) fn check_url(&mut self, url: &Expr, what: &str, example: &str) -> bool {
        if let Expr::Lit(syn::ExprLit { lit: Lit::Str(text), .. }) = strip(url)
            && text.value().trim().is_empty()
        {
            self.report(
                Diagnostic::new(&table::EMPTY_URL, Place::of(url))
                    .with("what", what)
                    .with("example", example),
            );
            return false;
        }
        true
    }

    /// Checks ordinary Rust: it must not use a stream or jump out of the body.
    pub(super) fn plain(&mut self, expr: &Expr, scope: &mut Scope) -> bool {
        let before = self.diagnostics.len();
        for stream in mention::streams(expr, scope) {
            let name = stream.to_string();
            scope.use_stream(&name);
            self.report(Diagnostic::new(&table::STREAM_AS_VALUE, &stream).with("name", name));
        }
        let place = scope.kind.noun();
        for jump in mention::jumps(expr) {
            let diagnostic = match jump {
                Jump::Try(e) => Diagnostic::new(&table::TRY, Place::of(&e.question_token)),
                Jump::Await(e) => Diagnostic::new(&table::AWAIT, e.await_token.span),
                Jump::Return(e) => Diagnostic::new(&table::RETURN, e.return_token.span)
                    .with("instead", return_instead(&scope.kind)),
            };
            self.report(diagnostic.with("where", place));
        }
        self.diagnostics.len() == before
    }

    /// Marks the streams in an invalid expression as used.
    pub(super) fn use_streams(&mut self, expr: &Expr, scope: &mut Scope) {
        for stream in mention::streams(expr, scope) {
            scope.use_stream(&stream.to_string());
        }
    }

    /// A duration that is written out, in milliseconds, and where it stands.
    fn duration<'e>(
        &mut self,
        what: &'static str,
        arg: &'e Expr,
        context: Context,
        usage: &str,
    ) -> Option<(u64, &'e syn::LitStr)> {
        let Expr::Lit(syn::ExprLit { lit: Lit::Str(literal), .. }) = strip(arg) else {
            self.report(
                Diagnostic::new(&table::DURATION_NOT_LITERAL, Place::of(arg))
                    .with("what", what)
                    .with("name", context.operator.name)
                    .with("usage", usage),
            );
            return None;
        };
        let text = literal.value();
        let ms = duration::parse(&text);
        if ms.is_none() {
            self.report(Diagnostic::new(&table::BAD_DURATION, literal.span()).with("text", text));
        }
        ms.map(|ms| (ms, literal))
    }

    /// A time span in milliseconds.
    fn time(
        &mut self,
        what: &'static str,
        arg: &Expr,
        context: Context,
        usage: &str,
    ) -> Option<u64> {
        let (ms, literal) = self.duration(what, arg, context, usage)?;
        let mistake = match (ms, what) {
            (0, "slack") => return Some(0),
            (0, "time") => &table::ZERO_TIME,
            (0, _) => &table::ZERO_DURATION,
            _ if ms > MAX_TIME_MS => &table::TOO_LONG_TIME,
            _ => return Some(ms),
        };
        let diagnostic = Diagnostic::new(mistake, literal.span())
            .with("name", context.operator.name)
            .with("what", what)
            .with("text", literal.value());
        self.report(diagnostic.with("least", "1ms"));
        None
    }

    /// Converts a length or slide into batches.
    fn batches(&mut self, what: &'static str, arg: &Expr, context: Context) -> Option<u64> {
        let (ms, literal) = self.duration(what, arg, context, context.operator.usage)?;
        let text = literal.value();
        let at = literal.span();
        let interval = self.interval_ms.unwrap_or(1);
        let parent = context.parent.map_or(Slide::Unknown, |parent| self.slide(parent));
        let unit = interval.saturating_mul(parent.or_one());
        let report = |mistake| {
            let below = (ms / unit).max(1).saturating_mul(unit);
            let above = (ms / unit).saturating_add(1).saturating_mul(unit);
            let below = match ms < unit {
                true => duration::show(below),
                false => format!("{} or {}", duration::show(below), duration::show(above)),
            };
            Diagnostic::new(mistake, at)
                .with("what", what)
                .with("text", text.clone())
                .with("interval", duration::show(interval))
                .with("slide", duration::show(unit))
                .with("least", duration::show(unit))
                .with("most", MAX_BATCHES.to_string())
                .with("below", below)
        };
        let diagnostic = if ms == 0 {
            report(&table::ZERO_DURATION)
        } else if !ms.is_multiple_of(interval) {
            report(&table::NOT_OF_INTERVAL)
        } else if !ms.is_multiple_of(unit) {
            let parent = context.parent.map_or("", |parent| self.stream_name(parent));
            report(&table::NOT_OF_SLIDE).with("parent", parent)
        } else if self.interval_ms.is_some() && ms / interval > MAX_BATCHES {
            report(&table::TOO_LONG)
        } else {
            return Some(ms / interval);
        };
        self.report(diagnostic);
        None
    }
}

/// The name of an argument that is given by one.
fn assigned(assign: &syn::ExprAssign) -> Option<&syn::Ident> {
    match strip(&assign.left) {
        Expr::Path(path) => path.path.get_ident(),
        _ => None,
    }
}

/// Whether one of the arguments has that name.
fn is_named(args: &[&Expr], name: &str) -> bool {
    args.iter().any(|arg| match strip(arg) {
        Expr::Assign(assign) => assigned(assign).is_some_and(|given| given == name),
        _ => false,
    })
}

/// Advice for replacing `return`.
pub(super) fn return_instead(kind: &Kind) -> &'static str {
    match kind {
        Kind::Job => "a job runs until it is stopped or its input ends: remove it",
        Kind::Operator(_) => "end the body with the stream it returns, without `return`",
    }
}

/// Words a number of arguments or parameters, after "not".
pub(super) fn count(found: usize) -> String {
    match found {
        0 => "none".to_owned(),
        n => n.to_string(),
    }
}
