//! The constant tables of a plan.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::Expr;
use syn::visit_mut::{self, VisitMut};

use crate::ir::flow::Movement;
use crate::ir::physical::{Output, Physical, Row, Source, Stage, StateKind, TailKind, Tasks};
use crate::ir::rust_text;
use crate::op::Sink;
use crate::reserved;

use super::emit::optional;
use super::flow::BUILDER;
use super::names::local;

/// The `Plan` value.
pub(super) fn plan(plan: &Physical, build: &TokenStream) -> TokenStream {
    let header = &plan.header;
    let job = header.name.to_string();
    let line = header.name.span().start().line as u32;
    let about = about(&header.attributes);
    let (interval, hash) = (header.interval_ms, plan.hash);
    let home = file_of(header.name.span());
    let operators = plan.operators.iter().enumerate().map(|(i, op)| operator(i, op, &home));
    let sources = plan.sources.iter().enumerate().map(|(i, s)| source(i, s));
    let outputs = plan.outputs.iter().enumerate().map(|(i, o)| output(i, o));
    let stages = plan.stages.iter().enumerate().map(|(i, s)| stage(plan, i, s));
    let phases = plan.phases.iter().map(|(name, text)| quote!((#name, #text)));
    let (dot, code) = (&plan.dot, pretty(build));
    quote! {
        __dstream::Plan {
            job: #job,
            file: __dstream::core::file!(),
            line: #line,
            about: #about,
            interval_ms: #interval,
            hash: #hash,
            operators: &[#(#operators),*],
            sources: &[#(#sources),*],
            outputs: &[#(#outputs),*],
            stages: &[#(#stages),*],
            report: __dstream::Report { phases: &[#(#phases),*], dot: #dot, code: #code },
        }
    }
}

/// The first paragraph of the documentation.
fn about(attributes: &[syn::Attribute]) -> String {
    let lines = attributes.iter().filter(|a| a.path().is_ident("doc")).filter_map(|a| {
        let syn::Meta::NameValue(value) = &a.meta else { return None };
        let Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) = &value.value else {
            return None;
        };
        Some(text.value().trim().to_owned())
    });
    lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The file of a span, where the compiler tells.
fn file_of(span: Span) -> Option<String> {
    span.local_file().map(|path| path.to_string_lossy().into_owned())
}

fn operator(id: usize, op: &Row, home: &Option<String>) -> TokenStream {
    let (id, name, stream) = (id as u16, op.operator.name, &op.stream);
    let (start, end, silent) = (op.at.start(), op.whole.end(), op.operator.silent);
    let (line, column) = (start.line as u32, start.column as u32 + 1);
    let last_line = (end.line as u32).max(line);
    let file = match file_of(op.at) {
        Some(file) if Some(&file) != home.as_ref() => {
            quote!(__dstream::core::option::Option::Some(#file))
        }
        _ => quote!(__dstream::core::option::Option::None),
    };
    quote! {
        __dstream::OperatorRow {
            id: __dstream::OperatorId(#id), name: #name, stream: #stream,
            line: #line, column: #column, last_line: #last_line, file: #file, silent: #silent,
        }
    }
}

fn source(id: usize, source: &Source) -> TokenStream {
    let (id, name, operator) = (id as u16, &source.name, source.operator as u16);
    let table = source.table;
    quote! {
        __dstream::SourceRow { id: __dstream::SourceId(#id), name: #name, operator: __dstream::OperatorId(#operator), table: #table }
    }
}

fn output(id: usize, output: &Output) -> TokenStream {
    let (id, name, operator) = (id as u16, &output.name, output.operator as u16);
    let (stage, tail) = (output.stage as u16, output.tail as u16);
    let print = match output.sink {
        Sink::Url(_) | Sink::Function(_) => quote!(__dstream::core::option::Option::None),
        Sink::Print(records) => quote!(__dstream::core::option::Option::Some(#records)),
    };
    quote! {
        __dstream::OutputRow {
            id: __dstream::OutputId(#id), name: #name, operator: __dstream::OperatorId(#operator),
            stage: __dstream::StageId(#stage), tail: __dstream::TailId(#tail), print: #print,
        }
    }
}

fn stage(plan: &Physical, id: usize, stage: &Stage) -> TokenStream {
    let name = streams(plan, stage);
    let tasks = match stage.tasks {
        Tasks::PerRange(source) => {
            let source = source as u16;
            quote!(__dstream::Tasks::PerRange(__dstream::SourceId(#source)))
        }
        Tasks::PerPartition => quote!(__dstream::Tasks::PerPartition),
        Tasks::One => quote!(__dstream::Tasks::One),
    };
    let inputs = stage.head.flows.iter().map(|flow| input(plan, *flow));
    let state = match &stage.state {
        None => quote!(__dstream::core::option::Option::None),
        Some(state) => {
            let (name, cut_by, timed) = (&stage.stream, state.cut_by, state.timed);
            let kind = match state.kind {
                StateKind::PreviousBatch => quote!(__dstream::StateKind::PreviousBatch),
                StateKind::Watermark => quote!(__dstream::StateKind::Watermark),
                StateKind::EventSides(ms) => quote!(__dstream::StateKind::EventSides { ms: #ms }),
                StateKind::EventPanes { length, slide } => quote! {
                    __dstream::StateKind::EventPanes { length_ms: #length, slide_ms: #slide }
                },
                StateKind::Sessions(gap) => {
                    quote!(__dstream::StateKind::Sessions { gap_ms: #gap })
                }
                StateKind::Expiring(ms) => quote!(__dstream::StateKind::Expiring { ms: #ms }),
                StateKind::Waking(ms) => {
                    let ms = optional(ms);
                    quote!(__dstream::StateKind::Waking { ms: #ms })
                }
                StateKind::Panes { panes, batches } => {
                    let (panes, batches) = (panes as u32, batches as u32);
                    quote!(__dstream::StateKind::Panes { panes: #panes, batches: #batches })
                }
            };
            quote! {
                __dstream::core::option::Option::Some(__dstream::StateRow { kind: #kind, name: #name, cut_by: #cut_by, timed: #timed })
            }
        }
    };
    let (id, every, emits_every) = (id as u16, stage.every as u32, stage.emits_every as u32);
    let operators = stage.operators.iter().map(|op| {
        let op = *op as u16;
        quote!(__dstream::OperatorId(#op))
    });
    let tails = stage.tails.iter().map(|tail| match tail {
        TailKind::Flow(kind) => {
            let row = format_ident!("{}", kind.row);
            quote!(__dstream::TailRow::#row)
        }
        TailKind::Output(id) => {
            let id = *id as u16;
            quote!(__dstream::TailRow::Output(__dstream::OutputId(#id)))
        }
    });
    quote! {
        __dstream::StageRow {
            id: __dstream::StageId(#id), name: #name, tasks: #tasks, inputs: &[#(#inputs),*],
            state: #state, every: #every, emits_every: #emits_every,
            operators: &[#(#operators),*], tails: &[#(#tails),*],
        }
    }
}

/// The streams computed in a stage, in order of definition.
fn streams(plan: &Physical, stage: &Stage) -> String {
    let mut names = vec![stage.stream.as_str()];
    let own = stage.operators.iter().map(|op| plan.operators[*op].stream.as_str());
    for name in own {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(" → ")
}

fn input(plan: &Physical, flow: usize) -> TokenStream {
    let flow = &plan.flows[flow];
    let from = flow.from.iter().map(|(stage, tail)| {
        let (stage, tail) = (*stage as u16, *tail as u16);
        quote!((__dstream::StageId(#stage), __dstream::TailId(#tail)))
    });
    let dependency = match flow.form.kind.movement {
        Movement::Shuffle => quote!(__dstream::Dependency::Shuffle),
        Movement::Narrow => quote!(__dstream::Dependency::Narrow),
        Movement::Gather => quote!(__dstream::Dependency::Gather),
    };
    quote!(__dstream::InputRow { from: &[#(#from),*], dependency: #dependency })
}

/// The generated code as a person would write it.
fn pretty(build: &TokenStream) -> String {
    let builder = local(BUILDER);
    let function = quote!(fn build(#builder: &mut Builder) { #build });
    let Ok(mut file) = syn::parse2::<syn::File>(function.clone()) else {
        return function.to_string();
    };
    Plain.visit_file_mut(&mut file);
    let text = rust_text::items(file.to_token_stream()).unwrap_or_else(|| function.to_string());
    text.replace("__dstream::", "")
}

/// Takes away what is there for the places of errors alone, `(x,).0` and `(x)`, and the prefixes of names.
struct Plain;

impl VisitMut for Plain {
    fn visit_ident_mut(&mut self, ident: &mut Ident) {
        if let Some(shown) = reserved::shown(&ident.to_string()) {
            *ident = syn::parse_str(&shown).unwrap_or_else(|_| format_ident!("{shown}_"));
        }
    }

    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        let plain = match expr {
            Expr::Paren(paren) if matches!(*paren.expr, Expr::Path(_) | Expr::Field(_)) => {
                Some((*paren.expr).clone())
            }
            Expr::Field(field) => match &*field.base {
                Expr::Tuple(tuple) if tuple.elems.len() == 1 => tuple.elems.first().cloned(),
                _ => None,
            },
            _ => None,
        };
        if let Some(plain) = plain {
            *expr = plain;
        }
        visit_mut::visit_expr_mut(self, expr);
    }
}
