//! Compiles tokens into a physical plan and diagnostics.
//!
//! All mistakes are reported at once. The header exists even if the body is wrong, so that the caller can
//! emit the item that the rest of the user's program refers to.

use proc_macro2::TokenStream;
use syn::Path;

use crate::diag::Diagnostics;
use crate::ir::logical::{Header, Job};
use crate::ir::physical::Physical;
use crate::pass;
use crate::syntax::{self, Lowering, OperatorFn};

/// The result of compiling a job.
#[derive(Debug)]
pub struct Compiled {
    /// Its plan, if it has no mistakes.
    pub physical: Option<Physical>,
    /// Its signature, if it is a function.
    pub header: Option<Header>,
    /// The mistakes.
    pub diagnostics: Diagnostics,
}

/// Compiles `#[dstream::job(ATTR)] ITEM`. `operators` are the operator functions that it calls, by path as
/// written at the call.
#[must_use]
pub fn compile_job(
    attr: TokenStream,
    item: TokenStream,
    operators: &[(String, OperatorFn)],
) -> Compiled {
    let (job, header, diagnostics) = lower_job(attr, item, operators);
    let physical = job.filter(|_| diagnostics.is_empty()).map(pass::plan);
    Compiled { physical, header, diagnostics }
}

/// The paths that a job calls with a stream, or in place of one, that are not in the list: functions marked
/// `#[dstream::operator]` for the caller to find.
#[must_use]
pub fn unresolved_operators(item: TokenStream, operators: &[(String, OperatorFn)]) -> Vec<Path> {
    let mut diagnostics = Diagnostics::default();
    let Some(item) = syntax::function(item, "job", &mut diagnostics) else {
        return Vec::new();
    };
    let signature = syntax::job(item, 1, &mut diagnostics);
    let mut lowering = Lowering::new(operators, None);
    lowering.accept_unresolved = true;
    lowering.job(&signature);
    lowering.unresolved
}

/// The logical plan of a job before any pass.
pub(crate) fn lower_job(
    attr: TokenStream,
    item: TokenStream,
    operators: &[(String, OperatorFn)],
) -> (Option<Job>, Option<Header>, Diagnostics) {
    let mut diagnostics = Diagnostics::default();
    let interval = syntax::interval(attr, &mut diagnostics);
    let Some(item) = syntax::function(item, "job", &mut diagnostics) else {
        return (None, None, diagnostics);
    };
    let signature = syntax::job(item, interval.unwrap_or(1_000), &mut diagnostics);
    let mut lowering = Lowering::new(operators, interval);
    lowering.job(&signature);
    diagnostics.extend(lowering.diagnostics);
    let header = signature.header;
    let job = Job { header: header.clone(), lets: lowering.lets, graph: lowering.graph };
    (Some(job), Some(header), diagnostics)
}
