//! Which operators of a job have no meaning over the sources that it is given.
//!
//! A window of arrival time, a timeout and a join speak of records that arrive in the same time. A source that is read to its
//! end has no such time: its batches are how it was cut. Decides what is refused before anything is read, and of
//! which sources one batch must hold all; each refusal says what to write instead. What goes to `none:` gives no
//! answer, so no wrong one either.

use std::collections::BTreeSet;

use crate::exec::job::OutputSpec;
use crate::id::{SourceId, StageId};
use crate::plan::{Plan, StageRow, StateKind, duration};
use crate::source::{Batching, instead};

/// What is known of a source once it is open.
#[derive(Debug, Clone)]
pub(super) struct Input<'o> {
    pub url: &'o str,
    /// Whether a batch of it is what an interval brings.
    pub timed: bool,
    pub batching: Batching,
}

/// Per source why one batch must hold all of it, if it must.
///
/// # Errors
/// What would be a wrong answer, and what to do.
pub(super) fn check(
    plan: &Plan,
    outputs: &[OutputSpec],
    inputs: &[Input<'_>],
) -> Result<Vec<Option<String>>, String> {
    let answers = plan.outputs.iter().zip(outputs);
    let answers = answers.filter(|(_, spec)| !spec.url.starts_with("none:"));
    let stages = plan.stages_behind(answers.map(|(row, _)| row.stage));
    let history = History { plan, inputs, stages };
    history.windows()?;
    history.joins()
}

/// Whether a stage keeps a window of arrival time.
fn is_window(stage: &StageRow) -> bool {
    matches!(stage.state.as_ref().map(|state| state.kind), Some(StateKind::Panes { .. }))
}

struct History<'h> {
    plan: &'h Plan,
    inputs: &'h [Input<'h>],
    /// Those whose results can be seen.
    stages: BTreeSet<StageId>,
}

impl History<'_> {
    fn stages(&self) -> impl Iterator<Item = &'static StageRow> {
        self.stages.iter().map(|id| self.plan.stage(*id))
    }

    /// Whether batches of a source are not intervals of time. A table is no source of batches.
    fn is_cut(&self, source: &SourceId) -> bool {
        let input = &self.inputs[source.index()];
        !input.timed && !input.batching.windows && !self.is_table(source)
    }

    fn is_table(&self, source: &SourceId) -> bool {
        self.plan.sources[source.index()].table
    }

    /// What a state has to do with time, in words before "of arrival time".
    fn over_time(&self, kind: StateKind) -> Option<String> {
        Some(match kind {
            StateKind::PreviousBatch
            | StateKind::EventPanes { .. }
            | StateKind::Sessions { .. }
            | StateKind::EventSides { .. }
            | StateKind::Watermark => return None,
            StateKind::Panes { panes, batches } => {
                let of = u64::from(panes) * u64::from(batches) * self.plan.interval_ms;
                format!("is a window of {}", duration(of))
            }
            StateKind::Expiring { ms } => format!("forgets keys after {}", duration(ms)),
            StateKind::Waking { ms: Some(ms) } => format!("has a timeout of {}", duration(ms)),
            StateKind::Waking { ms: None } => "has timers".to_owned(),
        })
    }

    fn windows(&self) -> Result<(), String> {
        let mut refused = Vec::new();
        for stage in self.stages() {
            let timed = stage.state.as_ref().filter(|state| state.timed);
            let Some(what) = timed.and_then(|state| self.over_time(state.kind)) else {
                continue;
            };
            let cut: Vec<SourceId> =
                self.plan.sources_of(stage).into_iter().filter(|s| self.is_cut(s)).collect();
            if !cut.is_empty() {
                refused.push((stage, what, cut));
            }
        }
        let Some((stage, what, cut)) = refused.first() else { return Ok(()) };
        let (interval, end) = (duration(self.plan.interval_ms), "is read to its end");
        let sources: Vec<_> = cut.iter().map(|source| self.source(*source)).collect();
        let mut why = format!(
            "{} {what} of arrival time, and {} {end}: its batches are pieces of it, not what arrived in {interval}",
            self.operator(stage),
            sources.join(" and ")
        );
        for (other, what, _) in &refused[1..] {
            why.push_str(&format!("; {} {what} too", self.operator(other)));
        }
        why.push_str(&format!("\n  help: to take each batch as one interval of {interval}:"));
        for source in cut {
            let (name, input) = (self.name(*source), &self.inputs[source.index()]);
            if let Some(instead) = instead(input.url) {
                why.push_str(&format!(" --source '{name}={}'", instead.windows));
            }
        }
        let timed = cut.iter().find_map(|s| instead(self.inputs[s.index()].url)?.timed);
        let timed = timed.map(|timed| format!("{timed}, or ")).unwrap_or_default();
        why.push_str(&format!(
            "; or count batches in the program, with `window_batches`; or {timed}read a live source"
        ));
        if refused.iter().all(|(stage, ..)| is_window(stage)) {
            why.push_str(
                "; or, if its records have times, say which in the program, and the windows are of these times: \
                 `.event_time(|record| record.at, \"10s\")` and `.reduce_by_key_and_window(…)`",
            );
        } else {
            why.push_str(". Expiry, timeouts and timers are of arrival time, also on a stream with `event_time`");
        }
        Err(why)
    }

    fn joins(&self) -> Result<Vec<Option<String>>, String> {
        let mut whole = vec![None; self.inputs.len()];
        // By event time, records of different batches meet too; a watermark is no other side of a join.
        let joins = |stage: &&StageRow| {
            let kind = stage.state.as_ref().map(|state| state.kind);
            let event_time = |kind| {
                matches!(
                    kind,
                    StateKind::EventPanes { .. }
                        | StateKind::EventSides { .. }
                        | StateKind::Sessions { .. }
                        | StateKind::Watermark
                )
            };
            !kind.is_some_and(event_time)
        };
        for stage in self.stages().filter(joins) {
            let side = |input| {
                let mut sources = self.plan.sources_of_input(input);
                sources.retain(|source| !self.is_table(source));
                sources
            };
            let sides: Vec<_> = stage.inputs.iter().map(side).collect();
            // A join that keeps a side: its records meet all that was kept, not those of the same batch.
            let keeps = stage.state.is_some();
            for (at, left) in sides.iter().enumerate() {
                for (left, right) in left
                    .iter()
                    .flat_map(|l| sides[at + 1..].iter().flatten().map(move |r| (*l, *r)))
                {
                    let by_name =
                        [left, right].iter().any(|s| self.inputs[s.index()].batching.joins);
                    match (self.is_cut(&left), self.is_cut(&right)) {
                        _ if by_name => {}
                        (false, false) => {}
                        (true, false) | (false, true) if keeps => {}
                        (true, false) => return Err(self.meets_once(stage, left, right)),
                        (false, true) => return Err(self.meets_once(stage, right, left)),
                        (true, true) => {
                            for source in [left, right] {
                                whole[source.index()] = Some(self.pairs_missing(stage, source));
                            }
                        }
                    }
                }
            }
        }
        Ok(whole)
    }

    /// A join of a source that is read to its end with one that goes on.
    fn meets_once(&self, stage: &StageRow, cut: SourceId, timed: SourceId) -> String {
        let (cut_name, timed_name) = (self.name(cut), self.name(timed));
        let accept = instead(self.inputs[cut.index()].url)
            .map(|instead| format!("; to accept it: --source '{cut_name}={}'", instead.joins));
        format!(
            "{} pairs records of the same batch, and {} is read to its end in the first ones, while {} goes on: \
             later records of `{timed_name}` would meet nothing of it\n  \
             help: let every record of `{timed_name}` meet all of it, as a table: in the program, `let {cut_name} = \
             table::…` instead of `source::…`; or give `{timed_name}` an input that is read to its end too{}",
            self.operator(stage),
            self.source(cut),
            self.source(timed),
            accept.unwrap_or_default()
        )
    }

    /// A join over history of which one batch does not hold all.
    fn pairs_missing(&self, stage: &StageRow, source: SourceId) -> String {
        let (name, url) = (self.name(source), self.inputs[source.index()].url);
        // With the last values of a stream, which are kept, nothing is missing.
        let (what, then, meant) = match stage.state {
            None => (
                "pairs records of the same batch",
                "pairs of different batches would be missing",
                "pairs within a batch",
            ),
            Some(_) => (
                "gives a record the last value of its key as of its batch",
                "how it is cut would decide which value that is",
                "values as of a batch",
            ),
        };
        let help = instead(url).map(|instead| {
            format!(
                "\n  help: let one batch hold all of it, with {}; or, if only {meant} are meant: \
                 --source '{name}={}'",
                instead.whole, instead.joins
            )
        });
        format!(
            "{} {what}, and one batch does not hold all of `{url}`: {then}{}",
            self.operator(stage),
            help.unwrap_or_default()
        )
    }

    fn name(&self, source: SourceId) -> &'static str {
        self.plan.sources[source.index()].name
    }

    fn source(&self, source: SourceId) -> String {
        format!("source `{}` (`{}`)", self.name(source), self.inputs[source.index()].url)
    }

    /// The operator that a stage begins with, and where it is.
    fn operator(&self, stage: &StageRow) -> String {
        let stream = stage.name.split(" → ").next().unwrap_or_default();
        let rows = || stage.operators.iter().map(|id| &self.plan.operators[id.index()]);
        match rows().find(|row| row.stream == stream).or_else(|| rows().next()) {
            Some(row) => {
                let file = row.file.unwrap_or(self.plan.file);
                format!("`{stream}` ({}, {file}:{})", row.name, row.line)
            }
            None => format!("`{stream}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::example::PLAN;
    use crate::plan::{OutputRow, Report, StateRow, Tasks};
    use crate::record::Schema;

    const CUT: Input<'_> =
        Input { url: "a.txt", timed: false, batching: Batching { windows: false, joins: false } };
    const LIVE: Input<'_> = Input { url: "tcp://127.0.0.1:1", timed: true, ..CUT };

    /// The example's sources are `views`, of which the window `recent` and half of the join are made, and `people`.
    fn checked(
        views: &Input<'_>,
        people: &Input<'_>,
        sinks: [&str; 3],
    ) -> Result<Vec<Option<String>>, String> {
        let output = |url: &str| OutputSpec {
            url: url.to_owned(),
            schema: Schema::Scalar("str"),
            function: None,
        };
        let outputs = sinks.map(output);
        check(&PLAN, &outputs, &[views.clone(), people.clone()])
    }

    const ALL: [&str; 3] = ["text+file://out", "stdout:", "print:"];

    #[test]
    fn a_window_over_history_is_refused_with_the_cure() {
        let error = checked(&CUT, &LIVE, ALL).unwrap_err();
        for text in [
            "`recent` (reduce_by_key_and_window, src/main.rs:14) is a window of 30s",
            "source `views` (`a.txt`)",
            "'views=a.txt?batch_records=1000&windows=batches'",
            "?follow",
        ] {
            assert!(error.contains(text), "{text}: {error}");
        }
        let by_name = Input { batching: Batching { windows: true, joins: false }, ..CUT };
        for input in [&by_name, &LIVE] {
            assert!(checked(input, &LIVE, ALL).is_ok(), "{input:?}");
        }
    }

    /// What is said of a plan whose only stage reads a file and keeps that.
    fn kept(kind: StateKind) -> Result<Vec<Option<String>>, String> {
        let stage = StageRow {
            id: StageId(0),
            name: "keys",
            tasks: Tasks::PerRange(SourceId(0)),
            inputs: &[],
            state: Some(StateRow { kind, name: "keys", cut_by: "checkpoint", timed: true }),
            every: 1,
            emits_every: 1,
            operators: &[],
            tails: &[],
        };
        let output = OutputRow { stage: StageId(0), print: None, ..PLAN.outputs[0] };
        let (stages, outputs) = (Box::leak(Box::new([stage])), Box::leak(Box::new([output])));
        let report = Report { phases: &[], dot: "", code: "" };
        let plan = Plan { stages, outputs, report, ..PLAN };
        let spec =
            OutputSpec { url: "stdout:".to_owned(), schema: Schema::Scalar("str"), function: None };
        check(&plan, &[spec], &[CUT, LIVE])
    }

    #[test]
    fn what_forgets_after_a_time_is_refused_as_a_window_is() {
        let says = |kind| kept(kind).unwrap_err();
        let error = says(StateKind::Expiring { ms: 90_000 });
        assert!(error.contains("forgets keys after 1m30s of arrival time"), "{error}");
        assert!(error.contains("windows=batches"), "{error}");
        let error = says(StateKind::Waking { ms: Some(1_800_000) });
        assert!(error.contains("has a timeout of 30m of arrival time"), "{error}");
        let error = says(StateKind::Waking { ms: None });
        assert!(error.contains("has timers of arrival time"), "{error}");
        assert_eq!(kept(StateKind::PreviousBatch), Ok(vec![None, None]));
    }

    #[test]
    fn a_source_that_no_window_depends_on_may_end() {
        assert!(checked(&LIVE, &CUT, ALL).is_ok());
    }

    #[test]
    fn what_is_not_seen_is_not_wrong() {
        // Only `counts` is seen, which is no window.
        assert_eq!(
            checked(&CUT, &CUT, ["text+file://out", "none:", "none:"]),
            Ok(vec![None, None])
        );
        assert!(checked(&CUT, &CUT, ["none:", "none:", "stdout:"]).is_err());
    }
}
