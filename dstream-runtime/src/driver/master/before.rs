//! What is published at the outputs of a live job before it starts, and what it must not be.
//!
//! A job that begins anew would publish the same records a second time beside it, and one that goes on from a journal
//! that is older than its outputs would do so too: a commit is durable before its batch is published, so a batch that
//! the journal does not know proves that something of the journal is missing. A job over history publishes the same
//! batches again, which its sinks recognise.

use std::collections::BTreeMap;

use super::ends::place;
use crate::driver::error::{JobError, Place};
use crate::id::BatchSeq;
use crate::plan::Plan;
use crate::sched::Past;
use crate::sink::{Earlier, Sink};

/// The newest batch of each output that has one.
pub(in crate::driver) struct Before {
    plan: &'static Plan,
    rows: Vec<(String, Place, Earlier)>,
    /// Where each output is published, if that is known.
    places: BTreeMap<String, String>,
}

impl Before {
    /// Looks at the outputs of a job. Before its journal is read: what another master publishes meanwhile is in it then.
    ///
    /// # Errors
    /// When an output cannot be looked at.
    pub(in crate::driver) fn of(
        plan: &'static Plan,
        live: bool,
        sinks: &[Box<dyn Sink>],
        dead_sinks: &[Option<usize>],
    ) -> Result<Self, JobError> {
        let name = |index| place(plan, dead_sinks, index).0;
        let places = sinks.iter().enumerate();
        let places =
            places.filter_map(|(index, sink)| Some((name(index), sink.place()?))).collect();
        let mut rows = Vec::new();
        for (index, sink) in sinks.iter().enumerate().filter(|_| live) {
            let earlier = sink.earlier().map_err(|error| JobError::Refused(error.to_string()))?;
            let (name, at) = place(plan, dead_sinks, index);
            rows.extend(earlier.map(|earlier| (name, at, earlier)));
        }
        Ok(Self { plan, rows, places })
    }

    /// Where each output is published, if that is known.
    pub(in crate::driver) fn places(&self) -> &BTreeMap<String, String> {
        &self.places
    }

    /// Whether a job that begins anew would publish beside what an earlier run has published.
    ///
    /// # Errors
    /// When it would.
    pub(in crate::driver) fn check_anew(&self, journal: bool) -> Result<(), JobError> {
        let Some((first, ..)) = self.rows.first() else { return Ok(()) };
        let ours = |(name, _, Earlier { job, output, .. }): &(String, Place, Earlier)| {
            job.as_deref() == Some(self.plan.job) && output.as_ref() == Some(name)
        };
        let held = |(name, at, Earlier { place, newest, job, .. }): &(String, Place, Earlier)| {
            let of = match job {
                Some(job) => format!("job `{job}`"),
                None => "another run".to_owned(),
            };
            format!(
                "output `{name}` ({at}): {place} holds batches that {of} has published before (the newest is that of \
                 {newest})"
            )
        };
        let sink =
            |(name, ..): &(String, Place, Earlier)| format!("--sink {name}=FORMAT+file://DIR");
        let (sinks, names) = match self.rows.len() {
            1 => (format!("--sink {first}=FORMAT+file://DIR"), "names another directory"),
            _ => {
                (self.rows.iter().map(sink).collect::<Vec<_>>().join(" "), "name other directories")
            }
        };
        let replace = match self.rows.iter().all(ours) && !journal {
            true => "--overwrite replaces them; ",
            false => "",
        };
        let go_on = match journal {
            true => "with the --state of that run the job goes on where it was",
            false => "with `--state DIR` a job that is started again goes on where it was",
        };
        let held = self.rows.iter().map(held).collect::<Vec<_>>().join("; ");
        Err(JobError::Refused(format!(
            "{held}; this run begins anew, and its batches would stand beside them\n  \
             help: {replace}{sinks} {names}; {go_on}"
        )))
    }

    /// Whether a job that goes on from `past` would publish a second time what it has published: `what` is the journal or
    /// savepoint that says so.
    ///
    /// # Errors
    /// When an output has a batch of this job that is newer than all that the past knows.
    pub(in crate::driver) fn check_goes_on(&self, past: &Past, what: &str) -> Result<(), JobError> {
        let Some(timetable) = past.timetable().filter(|_| past.is_under_way()) else {
            return Ok(());
        };
        let last = timetable.end(BatchSeq(past.next().0.saturating_sub(1)));
        for (name, at, Earlier { place, newest, job, output }) in &self.rows {
            // One that does not say whose it is counts as ours.
            let ours = job.as_deref().is_none_or(|job| job == self.plan.job)
                && output.as_ref().is_none_or(|output| output == name);
            if !ours || *newest <= last {
                continue;
            }
            return Err(JobError::Refused(format!(
                "output `{name}` ({at}): {place} holds the batch of {newest} of this job, and {what} ends with that \
                 of {last}: it is older than what was published, and the job would publish the same records again \
                 under other times\n  \
                 help: start it with the --state that belongs to these batches (this one may be an old copy, or have \
                 lost files); or give it another place with --sink {name}=FORMAT+file://DIR, which gets what comes \
                 after {last}; or move all batches after {last} away from all its outputs, and it publishes them again"
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::example::PLAN;
    use crate::sched::message::JournalEntry;
    use crate::time::BatchTime;

    /// A journal of a job with batches of 1 s from 100 s on, of which `cut` were cut.
    fn past(cut: u64) -> Past {
        let mut past = Past::default();
        past.apply(&JournalEntry::Start {
            zero_ms: 100_000,
            interval_ms: 1000,
            partitions: 4,
            first: BatchSeq(1),
            groups: Vec::new(),
        });
        for batch in (1..=cut).map(BatchSeq) {
            let (inputs, positions, reach) = (Vec::new(), Vec::new(), Vec::new());
            let epoch = crate::id::Epoch(1);
            past.apply(&JournalEntry::Cut { epoch, batch, inputs, positions, reach });
        }
        past
    }

    fn before(newest: u64, of: Option<(&str, &str)>) -> Before {
        let earlier = Earlier {
            place: "out".into(),
            newest: BatchTime(newest),
            job: of.map(|(job, _)| job.to_owned()),
            output: of.map(|(_, output)| output.to_owned()),
        };
        let rows = vec![("counts".into(), Place::job(&PLAN), earlier)];
        Before { plan: &PLAN, rows, places: BTreeMap::new() }
    }

    #[test]
    fn a_journal_that_does_not_know_what_was_published_is_refused() {
        let ours = Some((PLAN.job, "counts"));
        for (newest, of, refused) in [
            (107_000, ours, false),
            (108_000, ours, true),
            (108_000, None, true),
            (108_000, Some((PLAN.job, "other")), false),
            (108_000, Some(("other", "counts")), false),
        ] {
            let checked = before(newest, of).check_goes_on(&past(7), "the journal in st");
            assert_eq!(checked.is_err(), refused, "{newest} {of:?}");
            if let Err(error) = checked {
                let error = error.to_string();
                for text in
                    ["108000 ms", "the journal in st ends with that of 107000 ms", "--state"]
                {
                    assert!(error.contains(text), "{text}: {error}");
                }
            }
        }
        assert!(before(108_000, ours).check_goes_on(&past(8), "it").is_ok());
    }
}
