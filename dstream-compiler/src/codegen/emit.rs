//! What the code of an operator is written with: the names and places of one use of it.
//!
//! Everything here is named or placed so that rustc shows a mistake at the user's own tokens; `spans` says how.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::parse_quote_spanned;

use super::flow::{merge_function, slots};
use super::names::{Names, flow as flow_name, local};
use super::spans::{self, block, within};
use crate::diag::Place;
use crate::ir::flow::COMBINED;
use crate::ir::logical::Function;
use crate::ir::physical::{Physical, Stage};
use crate::op::Arguments;
use crate::reserved;

/// `__dstream::name(x, function)`: the path is the operator, as the user wrote it. A function that takes its
/// context too is called by `__dstream::name_with(x, context, function)`.
fn call(
    operator: Span,
    name: &str,
    x: &Ident,
    function: &Function,
    context: &TokenStream,
) -> TokenStream {
    let f = &function.expr;
    let (name, arguments) = match function.takes_context() {
        true => (format!("{name}_with"), quote!(#x, #context, #f)),
        false => (name.to_owned(), quote!(#x, #f)),
    };
    let path = spans::path(operator.into(), &name);
    let arguments = within(Place::of(f).end(), arguments);
    quote!(#path #arguments)
}

/// The variable that holds the time, or the window, of the record at hand.
pub(crate) fn time() -> Ident {
    local("time")
}

/// One step of a kernel.
pub struct StepCode<'e> {
    /// The operator's name, as the user wrote it.
    pub(crate) at: Span,
    /// Its arguments.
    pub(crate) arguments: &'e Arguments,
    /// The record that it is given.
    pub(crate) given: Ident,
    /// The record that it makes.
    pub(crate) made: Ident,
    /// What functions are given that take their context.
    pub(super) context: TokenStream,
}

impl StepCode<'_> {
    /// A call of a function of the runtime with a value and the user's function.
    pub(crate) fn call(&self, name: &str, x: &Ident) -> TokenStream {
        call(self.at, name, x, self.arguments.function(), &self.context)
    }

    /// The same with another of its functions.
    pub(crate) fn call_of(&self, name: &str, x: &Ident, function: &Function) -> TokenStream {
        call(self.at, name, x, function, &self.context)
    }

    /// `call2(a, b, function)`, at the operator.
    pub(crate) fn call2(&self, a: &Ident, b: &Ident, function: &Function) -> TokenStream {
        let (path, f) = (spans::path(self.at.into(), "call2"), &function.expr);
        let arguments = within(Place::of(f).end(), quote!(#a, #b, #f));
        quote!(#path #arguments)
    }

    /// The place of what the user's function returns.
    pub(crate) fn result(&self) -> Place {
        spans::result(self.arguments.function())
    }

    /// A view of what the user's function returned.
    pub(crate) fn view(&self, value: &Ident) -> TokenStream {
        spans::view(self.result(), "as_view", value)
    }
}

/// What is done with a record before it leaves a stage.
pub struct EntryCode<'e> {
    /// The name of the operator that reads it, as the user wrote it.
    pub(crate) at: Span,
    /// The user's function, if there is one.
    pub(crate) function: Option<&'e Function>,
    /// The lengths of time that it needs, in milliseconds.
    pub(crate) spans: &'e [u64],
    /// The record.
    pub(crate) record: Ident,
    /// What functions are given that take their context.
    pub(super) context: TokenStream,
}

impl EntryCode<'_> {
    /// A call of a function of the runtime with the record and the user's function.
    ///
    /// # Panics
    /// If there is no function.
    pub(crate) fn call(&self, name: &str) -> TokenStream {
        call(self.at, name, &self.record, self.function(), &self.context)
    }

    /// A view of what the user's function returned.
    ///
    /// # Panics
    /// If there is no function.
    pub(crate) fn view(&self, value: &Ident) -> TokenStream {
        spans::view(spans::result(self.function()), "as_view", value)
    }

    fn function(&self) -> &Function {
        self.function.expect("invariant: the entry was made with a function")
    }

    /// A constant and the record as a pair: a key that all records share.
    pub(crate) fn under(&self, constant: &TokenStream) -> TokenStream {
        let record = &self.record;
        within(self.at, quote!(#constant, #record))
    }

    /// The record and a constant as a pair.
    pub(crate) fn pair(&self, constant: &TokenStream) -> TokenStream {
        let record = &self.record;
        within(self.at, quote!(#record, #constant))
    }
}

/// A function `|acc, x| …` that an operator passes itself; it stands where the operator's name does.
pub(crate) fn merge_of(at: Span, body: impl FnOnce(&Ident, &Ident) -> TokenStream) -> Function {
    let placed = |name| Ident::new(&reserved::local(name), at);
    let (acc, x) = (placed("acc"), placed("x"));
    let body = body(&acc, &x);
    Function::new(parse_quote_spanned!(at=> |#acc, #x| #body), false)
}

/// A number of milliseconds, if there is one.
pub(crate) fn optional(ms: Option<u64>) -> TokenStream {
    match ms {
        Some(ms) => quote!(__dstream::core::option::Option::Some(#ms)),
        None => quote!(__dstream::core::option::Option::None),
    }
}

/// The head of a stage.
pub struct HeadCode<'e> {
    pub(super) names: &'e Names<'e>,
    pub(super) plan: &'e Physical,
    pub(super) stage: &'e Stage,
    /// What of the user's an error about the head belongs to.
    pub(super) place: Place,
}

impl HeadCode<'_> {
    /// The operator's name, as the user wrote it.
    pub(crate) fn at(&self) -> Span {
        self.names.operator(self.stage.operator)
    }

    /// What of the user's an error about the head belongs to: the type of a source's records, or the operator.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// The operator's arguments.
    pub(crate) fn arguments(&self) -> &Arguments {
        &self.stage.head.arguments
    }

    /// The source that it reads, by index.
    pub(crate) fn source(&self) -> u16 {
        self.stage.head.source.unwrap_or_default() as u16
    }

    /// The path of a function of the runtime, at the operator.
    pub(crate) fn path(&self, function: &str) -> TokenStream {
        spans::path(self.at().into(), function)
    }

    /// The name of a flow, by the order of what the operator reads.
    pub(crate) fn flow(&self, read: usize) -> Ident {
        flow_name(self.stage.head.flows[read])
    }

    /// The slots of a gathered flow.
    pub(crate) fn slots(&self) -> TokenStream {
        slots(self.names, self.plan, self.stage.head.flows[0], self.at())
    }

    /// A function of two views as one that changes an accumulator.
    pub(crate) fn merge(&self, function: &Function) -> TokenStream {
        merge_function(self.names, function, self.at())
    }

    /// What tells the random numbers of the operator from those of others.
    pub(crate) fn seed(&self) -> u64 {
        self.names.seed(self.stage.operator)
    }

    /// A user's function of these parameters as one that gives away all that it returns: what can be iterated over.
    /// `context` is the runtime's function that makes the function's context of the one there is.
    pub(crate) fn giving(
        &self,
        function: &Function,
        parameters: &[&str],
        context: Option<&str>,
    ) -> TokenStream {
        let (result, out, many) = (spans::result(function), local("out"), local("many"));
        let (items, next) = (spans::value(result, "items", &many), spans::next(result, &many));
        let item = local("item");
        let give = spans::path(result, "give");
        let reference = quote_spanned!(result.end()=> &);
        let given = within(result.end(), quote!(#out, #reference #item));
        let body = |call: TokenStream| {
            quote! {
                let #many = #call;
                let mut #many = #items;
                while let __dstream::core::option::Option::Some(#item) = #next {
                    #give #given;
                }
            }
        };
        self.wrapped(function, parameters, context, std::slice::from_ref(&out), body)
    }

    /// A user's function of these parameters as one that returns a record, or none.
    pub(crate) fn returning(&self, function: &Function, parameters: &[&str]) -> TokenStream {
        let (result, item) = (spans::result(function), local("item"));
        let record = spans::value(result, "into_option", &item);
        let body = |call: TokenStream| quote! { let #item = #call; #record };
        self.wrapped(function, parameters, None, &[], body)
    }

    /// A closure of these parameters, a context, and further ones, around a call of a user's function.
    fn wrapped(
        &self,
        function: &Function,
        parameters: &[&str],
        context: Option<&str>,
        further: &[Ident],
        body: impl FnOnce(TokenStream) -> TokenStream,
    ) -> TokenStream {
        let (f, captures) = (&function.expr, self.names.captures(&[function]));
        let (start, end) = (Place::of(f).start(), Place::of(f).end());
        let parameters: Vec<Ident> = parameters.iter().map(|name| local(name)).collect();
        let asked = local("context");
        let mut arguments: Vec<TokenStream> = parameters.iter().map(|p| quote!(#p)).collect();
        if function.takes_context() {
            arguments.push(match context {
                Some(make) => {
                    let make = spans::path(end.into(), make);
                    quote!(#make(#asked))
                }
                None => quote!(#asked),
            });
        }
        let call = spans::path(self.at().into(), &format!("call{}", arguments.len()));
        let arguments = within(end, quote!(#(#arguments,)* #f));
        let body = block(end, body(quote!(#call #arguments)));
        let head = quote_spanned!(start=> move);
        quote! {{
            #captures
            #head |#(#parameters,)* #asked, #(#further),*| #body
        }}
    }

    /// A head over one flow: `function(&flow)`.
    pub(crate) fn of(&self, function: &str) -> TokenStream {
        let (path, flow) = (self.path(function), self.flow(0));
        quote!(#path(&#flow))
    }

    /// A head that merges by key: `function(&flow)` if the flow is combined with the function, else
    /// `function_keyed(&flow, merge)`.
    pub(crate) fn merging(&self, function: &str, merge: &Function) -> TokenStream {
        self.merging_with(function, merge, &TokenStream::new())
    }

    /// The same with further arguments, behind the others.
    pub(crate) fn merging_with(
        &self,
        function: &str,
        merge: &Function,
        arguments: &TokenStream,
    ) -> TokenStream {
        let flow = self.flow(0);
        if self.plan.flows[self.stage.head.flows[0]].form.kind == &COMBINED {
            let path = self.path(function);
            return quote!(#path(&#flow, #arguments));
        }
        let (path, merge) = (self.path(&format!("{function}_keyed")), self.merge(merge));
        quote!(#path(&#flow, #merge, #arguments))
    }

    /// A head over two flows, whose function is called like the operator: `function(&left, &right)`.
    pub(crate) fn of_two(&self) -> TokenStream {
        let function = self.name();
        let (path, left, right) = (self.path(function), self.flow(0), self.flow(1));
        let at = self.at();
        let reference = quote_spanned!(at=> &);
        let right = within(at, quote!(#right));
        quote!(#path(&#left, #reference #right))
    }

    /// The operator's name in the language.
    pub(crate) fn name(&self) -> &'static str {
        self.plan.operators[self.stage.operator].operator.name
    }

    /// A head over two flows: `function(&left, &right, argument)`.
    pub(crate) fn of_two_with(&self, function: &str, argument: &TokenStream) -> TokenStream {
        let (path, left, right) = (self.path(function), self.flow(0), self.flow(1));
        let at = self.at();
        let reference = quote_spanned!(at=> &);
        let right = within(at, quote!(#right));
        quote!(#path(&#left, #reference #right, #argument))
    }

    /// Which stage it is.
    pub(crate) fn index(&self) -> u16 {
        let is_it = |stage: &Stage| std::ptr::eq(stage, self.stage);
        self.plan.stages.iter().position(is_it).unwrap_or_default() as u16
    }

    /// The length of a window.
    pub(crate) fn span(&self) -> TokenStream {
        let length = self.arguments().length().unwrap_or(1);
        quote!(__dstream::Span { batches: #length })
    }
}
