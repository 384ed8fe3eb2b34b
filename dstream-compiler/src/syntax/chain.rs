//! Stream expressions: sources, names of streams, operators called on streams.

use petgraph::Direction;
use petgraph::graph::NodeIndex;
use syn::{Expr, ExprCall, ExprMethodCall, ExprPath, GenericArgument, PathArguments, Type};

use super::argument::{Context, count};
use super::lowering::{Lowering, Slide};
use super::scope::{Scope, source_kind, source_names, strip};
use super::suggest;
use crate::diag::{Diagnostic, Place, table};
use crate::ir::logical::{Function, Node};
use crate::op::elsewhere::{self, Hint};
use crate::op::{self, Arg, Argument, Arguments, Expansion, Operator, Times, source};
use crate::pass::times::Time;

/// The context of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link<'a> {
    /// It is bound to this name, the stream's full name.
    Named(&'a str),
    /// An output statement: its last operator must be an output.
    Output,
    /// An operator follows, or it is an argument.
    Middle,
    /// It begins the chain that is bound to this name.
    Within(&'a str),
}

impl<'a> Link<'a> {
    /// The context of the receiver of a call.
    fn receiver(self) -> Link<'a> {
        match self {
            Link::Named(name) | Link::Within(name) => Link::Within(name),
            Link::Output | Link::Middle => Link::Middle,
        }
    }
}

impl Lowering<'_> {
    /// Whether an expression makes a stream.
    pub(super) fn is_stream(&self, expr: &Expr, scope: &Scope) -> bool {
        scope.is_stream(expr, &|path| self.operator(path).is_some())
    }

    /// Lowers a stream expression; returns its last node, or `None` if invalid.
    pub(super) fn stream(
        &mut self,
        expr: &Expr,
        scope: &mut Scope,
        link: Link<'_>,
        allowed: bool,
    ) -> Option<NodeIndex> {
        match strip(expr) {
            Expr::Path(path) => self.named_stream(path, scope),
            Expr::MethodCall(call) => self.operator_call(call, scope, link, allowed),
            Expr::Call(call) => match strip(&call.func) {
                Expr::Path(path) => match source_kind(&path.path) {
                    Some(_) => self.source(call, path, scope, link),
                    None => self.function_call(call, path, scope, link, allowed),
                },
                _ => None,
            },
            Expr::Reference(reference) => {
                self.report(Diagnostic::new(
                    &table::STREAM_REFERENCE,
                    Place::of(&reference.and_token),
                ));
                self.stream(&reference.expr, scope, link, allowed);
                None
            }
            Expr::Try(inner) => {
                self.report(
                    Diagnostic::new(&table::TRY, Place::of(&inner.question_token))
                        .with("where", scope.kind.noun()),
                );
                self.stream(&inner.expr, scope, link, allowed);
                None
            }
            Expr::Await(inner) => {
                self.report(
                    Diagnostic::new(&table::AWAIT, inner.await_token.span)
                        .with("where", scope.kind.noun()),
                );
                self.stream(&inner.base, scope, link, allowed);
                None
            }
            _ => None,
        }
    }

    fn named_stream(&mut self, path: &ExprPath, scope: &mut Scope) -> Option<NodeIndex> {
        let name = path.path.get_ident()?;
        let text = name.to_string();
        if scope.streams.contains_key(&text) {
            return scope.use_stream(&text);
        }
        let suggestion = suggest::nearest(&text, scope.streams.keys().map(String::as_str))
            .map(|near| format!("did you mean `{near}`? if not, "))
            .unwrap_or_default();
        // Mark the suggested stream as used.
        if let Some(near) = suggest::nearest(&text, scope.streams.keys().map(String::as_str)) {
            let near = near.to_owned();
            scope.use_stream(&near);
        }
        self.report(
            Diagnostic::new(&table::UNKNOWN_STREAM, name)
                .with("name", text)
                .with("suggestion", suggestion),
        );
        None
    }

    fn operator_call(
        &mut self,
        call: &ExprMethodCall,
        scope: &mut Scope,
        link: Link<'_>,
        allowed: bool,
    ) -> Option<NodeIndex> {
        let parent = self.stream(&call.receiver, scope, link.receiver(), allowed);
        let Some(operator) = op::by_name(&call.method.to_string()) else {
            self.unknown_operator(call, scope);
            return None;
        };
        if let Some(turbofish) = &call.turbofish {
            self.report(
                Diagnostic::new(&table::TURBOFISH, Place::of(turbofish))
                    .with("name", operator.name),
            );
        }
        let operator = self.by_time(operator, call, parent)?;
        let context = Context { operator, parent, allowed };
        let misplaced = operator.is_output() && self.misplaced_output(call, scope, link);
        let checked = self.arguments(call, context, scope);
        if misplaced {
            return None;
        }
        let (parent, mut checked) = (parent?, checked?);
        let mut parents: Vec<NodeIndex> =
            std::iter::once(parent).chain(checked.streams.iter().copied()).collect();
        let form = checked.form;
        let forms = operator.forms;
        let operator = self.by_table(call, operator, &mut parents, &mut checked.values)?;
        self.meets_by_time(call, operator, &parents, &checked.values)?;
        let slide = self.common_slide(call, operator, &parents)?;
        self.common_time(call, operator, &parents)?;
        let arguments = Arguments::complete(checked.values, forms, form, slide.or_one());
        if let Some(expansion) = operator.expands {
            let (stream, named) = self.name(operator, link, parent);
            return self.expand(expansion, &arguments, call, parent, (stream, named), slide);
        }
        let (operator, arguments) = self.over_event_time(operator, arguments, call, &parents)?;
        self.one_window(operator, &arguments, call, &parents)?;
        let slide = match arguments.slide() {
            Some(slide) if form.contains(&Arg::Slide) || form.contains(&Arg::SlideInBatches) => {
                Slide::Batches(slide)
            }
            // Without a slide of its own it keeps that of the parent, known or not.
            _ => slide,
        };
        let (stream, named) = self.name(operator, link, parent);
        let node = Node {
            operator,
            arguments,
            stream,
            named,
            at: call.method.span(),
            whole: call.paren_token.span.close(),
            merged: Vec::new(),
            synthetic: false,
        };
        Some(self.add(node, &parents, slide))
    }

    /// Adds the operators that one consists of.
    fn expand(
        &mut self,
        expansion: &Expansion,
        arguments: &Arguments,
        call: &ExprMethodCall,
        parent: NodeIndex,
        (stream, named): (String, bool),
        slide: Slide,
    ) -> Option<NodeIndex> {
        let Expansion { begins, reduces, finishes } = *expansion;
        let node = |operator, arguments: Vec<Argument>, stream: String, named| Node {
            operator,
            arguments: arguments.into(),
            stream,
            named,
            at: call.method.span(),
            whole: call.paren_token.span.close(),
            merged: Vec::new(),
            synthetic: true,
        };
        let is_function = |argument: &Argument| matches!(argument, Argument::Function(_));
        let (functions, others): (Vec<_>, Vec<_>) =
            arguments.iter().cloned().partition(is_function);
        let begun = node(begins, functions, format!("{stream}.begun"), false);
        let begun = self.add(begun, &[parent], slide);
        let reduces = self.by_time(reduces, call, Some(begun))?;
        let merge = Argument::Function(Function::merge_accumulators(call.method.span()));
        let merged: Vec<_> = std::iter::once(merge).chain(others).collect();
        let (reduces, merged) = self.over_event_time(reduces, merged.into(), call, &[begun])?;
        self.one_window(reduces, &merged, call, &[begun])?;
        let merged =
            node(reduces, merged.iter().cloned().collect(), format!("{stream}.merged"), false);
        let merged = self.add(merged, &[begun], slide);
        let finished = Node { synthetic: false, ..node(finishes, Vec::new(), stream, named) };
        Some(self.add(finished, &[merged], slide))
    }

    /// Reports an operator that would mix the results of several windows.
    fn one_window(
        &mut self,
        operator: &'static Operator,
        arguments: &Arguments,
        call: &ExprMethodCall,
        parents: &[NodeIndex],
    ) -> Option<()> {
        let of_window = parents.iter().find(|parent| self.times_of(**parent) == Time::Window);
        let (Some(parent), true) = (of_window, operator.mixes_windows(arguments)) else {
            return Some(());
        };
        let diagnostic = Diagnostic::new(&table::WINDOWS_MIXED, &call.method)
            .with("name", operator.name)
            .with("stream", self.stream_name(*parent));
        self.report(diagnostic);
        None
    }

    /// The form of an operator that its parent's times ask for.
    fn by_time(
        &mut self,
        operator: &'static Operator,
        call: &ExprMethodCall,
        parent: Option<NodeIndex>,
    ) -> Option<&'static Operator> {
        let Some(parent) = parent else { return Some(operator) };
        let report = |mistake, stream: &str| {
            Diagnostic::new(mistake, &call.method)
                .with("name", operator.name)
                .with("stream", stream)
        };
        let is_window = operator.forms.iter().any(|form| form.contains(&Arg::Length));
        let mistake = match (self.times_of(parent), operator.by_event_time) {
            (Time::Arrival | Time::Lost, _) if operator.times() == Times::Assigns => {
                &table::NEEDS_EVENT_TIME
            }
            // Its own arguments are those of a batch, see `over_event_time`.
            (Time::Assigned, _) if !is_window => return Some(operator),
            (Time::Assigned, _) => &table::NOT_OVER_WINDOWS,
            (Time::Window, _) if operator.by_window.is_some() => return operator.by_window,
            (Time::Event | Time::Window, Some(by_event_time)) => return Some(by_event_time),
            (Time::Lost, _) if is_window => &table::TIMES_LOST,
            _ => return Some(operator),
        };
        let diagnostic = report(mistake, self.stream_name(parent));
        self.report(diagnostic);
        None
    }

    /// The form of an operator over the windows or sessions that its parent says, with these as further arguments.
    fn over_event_time(
        &mut self,
        operator: &'static Operator,
        arguments: Arguments,
        call: &ExprMethodCall,
        parents: &[NodeIndex],
    ) -> Option<(&'static Operator, Arguments)> {
        let assigned = parents.iter().find(|parent| self.times_of(**parent) == Time::Assigned);
        let Some(parent) = assigned.copied() else { return Some((operator, arguments)) };
        let keeps = operator.times() == Times::Keeps && operator.is_fused();
        if keeps && !operator.is_output() {
            return Some((operator, arguments));
        }
        let (Some(over), Some(windows)) = (operator.over_event_time, self.assigned(parent)) else {
            let diagnostic = Diagnostic::new(&table::NOT_OVER_WINDOWS, &call.method)
                .with("name", operator.name)
                .with("stream", self.stream_name(parent));
            self.report(diagnostic);
            return None;
        };
        let windows = &self.graph[windows];
        let over = match windows.operator.is_session {
            true => &over.sessions,
            false => &over.windows,
        };
        let spans = windows.arguments.times().into_iter().map(Argument::Time);
        Some((over, arguments.iter().cloned().chain(spans).collect::<Vec<_>>().into()))
    }

    /// The node that says which windows the records of a stream are in.
    fn assigned(&self, mut node: NodeIndex) -> Option<NodeIndex> {
        while self.graph[node].operator.times() != Times::Assigns {
            node = self.graph.neighbors_directed(node, Direction::Incoming).next()?;
        }
        Some(node)
    }

    /// Streams that become one have times of one kind.
    fn common_time(
        &mut self,
        call: &ExprMethodCall,
        operator: &'static Operator,
        parents: &[NodeIndex],
    ) -> Option<()> {
        let [left, right] = parents else { return Some(()) };
        if !operator.is_union() || self.times_of(*left) == self.times_of(*right) {
            return Some(());
        }
        let diagnostic = Diagnostic::new(&table::TIMES_DIFFER, Place::of(&call.args))
            .with("left", self.stream_name(*left))
            .with("right", self.stream_name(*right));
        self.report(diagnostic);
        None
    }

    /// The name of the stream that a call makes, and whether the user gave it.
    fn name(&mut self, operator: &Operator, link: Link<'_>, parent: NodeIndex) -> (String, bool) {
        let parent = self.stream_name(parent).to_owned();
        match link {
            Link::Named(name) => (name.to_owned(), true),
            _ if operator.is_output() => (self.output_name(&parent), false),
            _ => (self.unique(&format!("{parent}.{}", operator.name)), false),
        }
    }

    /// Reports an output that does not end a statement.
    fn misplaced_output(&mut self, call: &ExprMethodCall, scope: &Scope, link: Link<'_>) -> bool {
        let output = call.method.to_string();
        let mistake = match (link, &scope.kind) {
            (_, super::scope::Kind::Operator(_)) => &table::OUTPUT_IN_OPERATOR,
            (Link::Output, _) => return false,
            (Link::Named(_), _) => &table::LET_OF_OUTPUT,
            (Link::Middle | Link::Within(_), _) => &table::OUTPUT_IN_CHAIN,
        };
        self.report(Diagnostic::new(mistake, &call.method).with("output", output));
        true
    }

    fn unknown_operator(&mut self, call: &ExprMethodCall, scope: &mut Scope) {
        let name = call.method.to_string();
        let help = suggestion(&name).unwrap_or_else(|| {
            let list: Vec<&str> = op::ALL.iter().map(|operator| operator.name).collect();
            format!("the operators are: {}", list.join(", "))
        });
        for arg in &call.args {
            self.use_streams(arg, scope);
        }
        self.report(
            Diagnostic::new(&table::UNKNOWN_OPERATOR, &call.method)
                .with("name", name)
                .with("help", help),
        );
    }

    /// How often the parents emit, if they emit together.
    fn common_slide(
        &mut self,
        call: &ExprMethodCall,
        operator: &'static Operator,
        parents: &[NodeIndex],
    ) -> Option<Slide> {
        let mut known: Option<(NodeIndex, u64)> = None;
        for &parent in parents {
            let Slide::Batches(batches) = self.slide(parent) else {
                continue;
            };
            match known {
                None => known = Some((parent, batches)),
                Some((_, same)) if same == batches => {}
                Some((left, left_slide)) => {
                    let ms = |batches: u64| {
                        super::duration::show(batches.saturating_mul(self.interval_ms.unwrap_or(1)))
                    };
                    let diagnostic =
                        Diagnostic::new(&table::DIFFERENT_SLIDES, Place::of(&call.args))
                            .with("name", operator.name)
                            .with("left", self.stream_name(left))
                            .with("right", self.stream_name(parent))
                            .with("left_slide", ms(left_slide))
                            .with("right_slide", ms(batches));
                    self.report(diagnostic);
                    return None;
                }
            }
        }
        // An unknown parent makes the result unknown only if all are unknown.
        Some(known.map_or(Slide::Unknown, |(_, batches)| Slide::Batches(batches)))
    }

    fn source(
        &mut self,
        call: &ExprCall,
        path: &ExprPath,
        scope: &mut Scope,
        link: Link<'_>,
    ) -> Option<NodeIndex> {
        let (module, segment) = source_kind(&path.path)?;
        let name = segment.ident.to_string();
        let Some(kind) = source::kinds_of(module).find(|kind| kind.name == name) else {
            let suggestion = suggest::nearest(&name, source_names(module))
                .map(|near| format!("did you mean `{near}`? "))
                .unwrap_or_default();
            let list: Vec<&str> = source::kinds_of(module).map(|kind| kind.usage).collect();
            self.report(
                Diagnostic::new(&table::UNKNOWN_SOURCE, &segment.ident)
                    .with("module", module)
                    .with("name", name)
                    .with("suggestion", suggestion)
                    .with("list", format!("`{}`", list.join("`, `"))),
            );
            return None;
        };
        let record = self.source_record(segment, kind);
        let url = match call.args.len() {
            1 => call.args.first().filter(|url| {
                self.check_url(url, "read", "file:///data/*.txt") && self.plain(url, scope)
            }),
            found => {
                let place =
                    if found == 0 { (&segment.ident).into() } else { Place::of(&call.args) };
                self.report(
                    Diagnostic::new(&table::SOURCE_ARGUMENTS, place)
                        .with("module", module)
                        .with("name", kind.name)
                        .with("found", count(found))
                        .with("usage", kind.usage),
                );
                None
            }
        };
        let records = Argument::Records { format: kind.format, record: record? };
        let arguments = vec![records, Argument::Value(url?.clone())].into();
        let (stream, named) = match link {
            Link::Named(name) => (name.to_owned(), true),
            Link::Within(name) => (self.unique(&format!("{name}.source")), false),
            Link::Output | Link::Middle => (self.unique("source"), false),
        };
        let node = Node {
            operator: kind.operator,
            arguments,
            stream,
            named,
            at: segment.ident.span(),
            whole: call.paren_token.span.close(),
            merged: Vec::new(),
            synthetic: false,
        };
        Some(self.add(node, &[], Slide::Batches(1)))
    }

    /// The record type of a source; the outer `None` if invalid.
    #[expect(clippy::option_option, reason = "wrong, none needed, or this one")]
    fn source_record(
        &mut self,
        segment: &syn::PathSegment,
        kind: &'static source::Kind,
    ) -> Option<Option<Type>> {
        let types: Vec<&Type> = match &segment.arguments {
            PathArguments::AngleBracketed(arguments) => arguments
                .args
                .iter()
                .filter_map(|argument| match argument {
                    GenericArgument::Type(ty) => Some(ty),
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        };
        let mistake = match (kind.record, &types[..]) {
            (false, []) => return Some(None),
            (true, [ty]) if !matches!(ty, Type::Infer(_)) => return Some(Some((*ty).clone())),
            (true, [] | [_]) => &table::SOURCE_WITHOUT_TYPE,
            (true, _) => &table::SOURCE_TYPES,
            (false, _) => &table::SOURCE_WITH_TYPE,
        };
        let place = match &segment.arguments {
            PathArguments::None => segment.ident.span().into(),
            arguments => Place::of(arguments),
        };
        self.report(
            Diagnostic::new(mistake, place)
                .with("module", kind.module)
                .with("name", kind.name)
                .with("usage", kind.usage),
        );
        None
    }
}

/// What may have been meant by an operator that there is not: one of ours, or what does the same as one of
/// another system.
fn suggestion(name: &str) -> Option<String> {
    let ours = || op::ALL.iter().map(|operator| operator.name);
    let meant = |near: &str| format!("did you mean `{near}`?");
    if let Some(same) = suggest::same(name, ours()) {
        return Some(meant(same));
    }
    match (elsewhere::hint(name), suggest::nearest(name, ours())) {
        (Some(Hint { instead, example: Some(example), .. }), _) => {
            Some(format!("{instead}, like `{example}`"))
        }
        (Some(Hint { instead, example: None, .. }), _) => Some((*instead).to_owned()),
        (None, near) => near.map(meant),
    }
}
