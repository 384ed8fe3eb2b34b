//! Where tables may stand: on the right of a join, or under operators that work record by record.
//!
//! A table and a stream are two kinds ([`Nature`]). `latest_by_key` is both: what joins with it meets the table, and
//! any other operator gets the stream of its changes.

use petgraph::graph::NodeIndex;
use syn::{Expr, ExprMethodCall, parse_quote};

use super::lowering::{Lowering, Slide};
use crate::diag::table::Mistake;
use crate::diag::{Diagnostic, Place, table};
use crate::op::{Argument, Nature, Operator, Times, join_table};

impl Nature {
    /// What an operator makes of what its parents are.
    pub(super) fn after(operator: &Operator, parents: &[Self]) -> Self {
        match (operator.makes, parents) {
            (Self::Stream, [parent]) if operator.is_fused() => match parent {
                Self::Latest => Self::Changes,
                other => *other,
            },
            (makes, _) => makes,
        }
    }
}

impl Lowering<'_> {
    /// What an operator is on these parents: where the right one is a table, its form that meets all of it. The
    /// parents and arguments become those of that form.
    pub(super) fn by_table(
        &mut self,
        call: &ExprMethodCall,
        operator: &'static Operator,
        parents: &mut [NodeIndex],
        arguments: &mut Vec<Argument>,
    ) -> Option<&'static Operator> {
        match *parents {
            [left] => self.over_table(call, operator, left)?,
            [left, right] => {
                self.left_of_table(call, operator, left)?;
                match self.nature(right) {
                    Nature::Stream => {}
                    Nature::Changes if operator.by_table.is_none() => {}
                    Nature::Latest if operator.is_union() => {}
                    _ => return self.with_table(call, operator, parents, arguments),
                }
            }
            _ => {}
        }
        Some(operator)
    }

    /// Only what works record by record makes a table of a table.
    fn over_table(
        &mut self,
        call: &ExprMethodCall,
        operator: &'static Operator,
        parent: NodeIndex,
    ) -> Option<()> {
        let by_record = operator.is_fused() && !operator.is_output();
        if self.nature(parent) != Nature::Table || (by_record && operator.times() != Times::Says) {
            return Some(());
        }
        self.refuse_table(call, &table::TABLE_AS_STREAM, operator, parent)
    }

    /// A table stands on the right.
    fn left_of_table(
        &mut self,
        call: &ExprMethodCall,
        operator: &'static Operator,
        left: NodeIndex,
    ) -> Option<()> {
        match self.nature(left) {
            Nature::Table if operator.is_union() => {
                self.refuse_table(call, &table::TABLE_AS_STREAM, operator, left)
            }
            Nature::Table | Nature::Latest if !operator.is_union() => {
                self.refuse_table(call, &table::TABLE_ON_LEFT, operator, left)
            }
            _ => Some(()),
        }
    }

    fn refuse_table(
        &mut self,
        call: &ExprMethodCall,
        mistake: &'static Mistake,
        operator: &'static Operator,
        stream: NodeIndex,
    ) -> Option<()> {
        let diagnostic = Diagnostic::new(mistake, &call.method)
            .with("name", operator.name)
            .with("stream", self.stream_name(stream));
        self.report(diagnostic);
        None
    }

    /// The form of an operator whose right side is a table.
    fn with_table(
        &mut self,
        call: &ExprMethodCall,
        operator: &'static Operator,
        parents: &mut [NodeIndex],
        arguments: &mut Vec<Argument>,
    ) -> Option<&'static Operator> {
        let (left, right) = (parents[0], parents[1]);
        let mistake = match (operator.by_table, self.nature(right)) {
            (_, Nature::Changes) => Err(&table::CHANGES_OF_TABLE),
            (None, _) if operator.is_union() => Err(&table::TABLE_AS_STREAM),
            (None, _) => Err(&table::NO_TABLE_FORM),
            (Some(forms), Nature::Table) => match self.slide(left) {
                Slide::Batches(1) | Slide::Unknown => Ok(forms),
                Slide::Batches(_) => Err(&table::WINDOW_WITH_TABLE),
            },
            (Some(forms), _) => Ok(forms),
        };
        let forms = match mistake {
            Ok(forms) => forms,
            Err(mistake) => {
                let diagnostic = Diagnostic::new(mistake, Place::of(&call.args))
                    .with("name", operator.name)
                    .with("stream", self.stream_name(right))
                    .with("left", self.stream_name(left));
                self.report(diagnostic);
                return None;
            }
        };
        if self.nature(right) == Nature::Latest {
            parents[1] = self.kept_by(right, arguments);
        }
        Some(if self.times_of(left).is_known() { forms.timed } else { forms.untimed })
    }

    /// The stream whose last values a join keeps itself, and in the arguments what it keeps of it.
    fn kept_by(&self, latest: NodeIndex, arguments: &mut Vec<Argument>) -> NodeIndex {
        let words: Expr = parse_quote!(latest);
        arguments.push(Argument::Named(join_table::KEEPS, Box::new(Argument::Value(words))));
        arguments.extend(self.graph[latest].arguments.iter().cloned());
        self.graph
            .neighbors_directed(latest, petgraph::Direction::Incoming)
            .next()
            .unwrap_or(latest)
    }
}
