//! Where in the user's program something is.

use std::fmt;
use std::path::Path;

use crate::id::OperatorId;
use crate::plan::{OperatorRow, Plan, StageRow};

/// A place in the user's program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The operator's name in the language, if it is known which one it is.
    pub operator: &'static str,
    /// The stream it makes.
    pub stream: &'static str,
    /// The file.
    pub file: &'static str,
    /// The line.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl Place {
    fn of(plan: &Plan, row: &OperatorRow) -> Self {
        let file = row.file.unwrap_or(plan.file);
        Self { operator: row.name, stream: row.stream, file, line: row.line }
    }

    /// The job itself.
    pub(in crate::driver) fn job(plan: &'static Plan) -> Self {
        Self { operator: "job", stream: plan.job, file: plan.file, line: plan.line }
    }

    /// Where an operator is called; the job itself if the plan does not have it.
    pub(in crate::driver) fn operator(plan: &'static Plan, id: OperatorId) -> Self {
        let row = plan.operators.get(id.index());
        row.map_or_else(|| Self::job(plan), |row| Self::of(plan, row))
    }

    /// Where a stage begins: its first operator.
    pub(in crate::driver) fn stage(plan: &'static Plan, row: &StageRow) -> Self {
        let first = row.operators.first();
        first.map_or_else(|| Self::job(plan), |first| Self::operator(plan, *first))
    }

    /// The operator that a panic came from, if it is one of the program's.
    pub(super) fn of_panic(plan: &'static Plan, file: &str, line: u32) -> Option<Self> {
        // The compiler and the panic may name a file from different directories.
        let same = |known: &&str| {
            let (known, file) = (Path::new(known), Path::new(file));
            known.ends_with(file) || file.ends_with(known)
        };
        let known = plan.operators.iter().filter_map(|row| row.file).chain([plan.file]);
        let row = known.filter(same).find_map(|file| plan.operator_at(file, line))?;
        Some(Self::of(plan, row))
    }
}
