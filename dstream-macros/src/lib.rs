//! The macros of dstream: each hands its tokens to the compiler.

use proc_macro::TokenStream;

/// Compiles a function of `let`s over streams into a job.
///
/// ```ignore
/// #[dstream::job(interval = "1s")]
/// fn page_views(params: &Params) {
///     let views = source::json::<PageView>("tcp://0.0.0.0:9000");
///     let counts = views.map(|v| (v.url, 1u64)).running_reduce(|a, b| a + b);
///     counts.save("csv+file://out/counts");
/// }
/// ```
///
/// The body is a list of `let NAME = STREAM-EXPRESSION;`, plain `let`s of parameters, and output statements.
/// A stream's `let` name is its name everywhere: on the command line, in errors, and in the plan. `interval`
/// is the batch interval (default `"1s"`).
#[proc_macro_attribute]
pub fn job(attribute: TokenStream, item: TokenStream) -> TokenStream {
    dstream_compiler::expand::job(attribute.into(), item.into()).into()
}

/// Makes a function of streams an operator, which jobs and other operators call like a function.
///
/// ```ignore
/// #[dstream::operator]
/// pub fn long_words(lines: Stream<String>, least: usize) -> Stream<String> {
///     let all = lines.flat_map(|line| words(line));
///     all.filter(|word| word.len() >= least)
/// }
/// ```
///
/// Its body is inlined into the plan of the job, even from another module or crate. The operators that it
/// calls must be in scope where the job is.
#[proc_macro_attribute]
pub fn operator(attribute: TokenStream, item: TokenStream) -> TokenStream {
    dstream_compiler::expand::operator(attribute.into(), item.into()).into()
}

/// Makes a struct the parameters of a job: options of its command line, as defined by clap.
///
/// ```ignore
/// #[dstream::params]
/// struct Params {
///     /// How many to keep
///     #[arg(long, default_value_t = 10)]
///     k: usize,
/// }
/// ```
///
/// Needs `use dstream::prelude::*`.
#[proc_macro_attribute]
pub fn params(attribute: TokenStream, item: TokenStream) -> TokenStream {
    dstream_compiler::params::params(attribute.into(), item.into()).into()
}

/// Makes a struct a record, which a stream can carry.
///
/// ```ignore
/// #[derive(Record)]
/// struct PageView { url: String, user: u64 }
/// ```
///
/// Operators see it borrowed, as `PageViewRef<'_> { url: &str, user: u64 }`.
/// `#[record(rename = "name")]` on a field gives it another name in CSV headers and JSON.
#[proc_macro_derive(Record, attributes(record))]
pub fn derive_record(input: TokenStream) -> TokenStream {
    dstream_compiler::record::derive(input.into()).into()
}

/// Passes operators to the job that calls them.
#[doc(hidden)]
#[proc_macro]
pub fn __job(input: TokenStream) -> TokenStream {
    dstream_compiler::expand::job_with_operator(input.into()).into()
}
