//! Joins by event time: differences of times, and streams that have times.

use petgraph::graph::NodeIndex;
use syn::{Expr, ExprMethodCall, Lit};

use super::argument::{Context, MAX_TIME_MS};
use super::duration;
use super::lowering::Lowering;
use super::scope::strip;
use crate::diag::{Diagnostic, Place, table};
use crate::op::{Argument, Operator, Times};

impl Lowering<'_> {
    /// A difference of times, in milliseconds.
    pub(super) fn offset(&mut self, arg: &Expr, context: Context) -> Option<i64> {
        let Expr::Lit(syn::ExprLit { lit: Lit::Str(literal), .. }) = strip(arg) else {
            let diagnostic = Diagnostic::new(&table::DURATION_NOT_LITERAL, Place::of(arg))
                .with("what", "difference")
                .with("name", context.operator.name)
                .with("usage", context.operator.usage);
            self.report(diagnostic);
            return None;
        };
        let text = literal.value();
        let mistake = match duration::parse_offset(&text) {
            Some(ms) if ms.unsigned_abs() <= MAX_TIME_MS => return Some(ms),
            Some(_) => &table::TOO_LONG_TIME,
            None => &table::BAD_DURATION,
        };
        let diagnostic = Diagnostic::new(mistake, literal.span());
        self.report(diagnostic.with("what", "difference").with("text", text));
        None
    }

    /// Whether what meets by event time has times, and can meet.
    pub(super) fn meets_by_time(
        &mut self,
        call: &ExprMethodCall,
        operator: &Operator,
        parents: &[NodeIndex],
        arguments: &[Argument],
    ) -> Option<()> {
        if operator.times() != Times::Meets {
            return Some(());
        }
        if let Some(timeless) = parents.iter().find(|parent| !self.times_of(**parent).is_known()) {
            let diagnostic = Diagnostic::new(&table::NO_TIMES, &call.method)
                .with("name", operator.name)
                .with("stream", self.stream_name(*timeless));
            self.report(diagnostic);
            return None;
        }
        if let [Argument::Offset(earliest), Argument::Offset(latest)] = arguments
            && earliest > latest
        {
            let diagnostic = Diagnostic::new(&table::MEETS_NOTHING, Place::of(&call.args))
                .with("name", operator.name)
                .with("earliest", duration::show_offset(*earliest))
                .with("latest", duration::show_offset(*latest));
            self.report(diagnostic);
            return None;
        }
        Some(())
    }
}
