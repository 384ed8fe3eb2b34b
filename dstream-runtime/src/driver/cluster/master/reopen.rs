//! Goes on where an earlier master of the same state directory has stopped, if there was one.

use std::collections::{BTreeMap, BTreeSet};

use crossbeam_channel::Sender;

use super::losses::Earlier;
use super::lost::{dropped, lost};
use super::places;
use super::ways::Ways;
use crate::driver::Event;
use crate::driver::cluster::worker::mark;
use crate::driver::cluster::{ClusterError, ClusterNews, Ingest, IngestStore, MasterOptions};
use crate::driver::error::JobError;
use crate::driver::journal::Journal;
use crate::driver::master::{Before, Written};
use crate::driver::report::Observer;
use crate::durable::journal::JournalError;
use crate::durable::{CheckpointStore, Durable, savepoint};
use crate::exec::job::BuiltJob;
use crate::id::{BatchSeq, StageId, WorkerId};
use crate::sched::Past;
use crate::sched::message::LostRow;
use crate::source::Source;
use crate::source::receive::PushSource;

/// What is durable of a job, opened.
pub(super) struct Reopened {
    /// All of it.
    pub(super) store: Durable,
    /// The saved states.
    pub(super) saves: CheckpointStore,
    /// The store of the ingest logs, if there are some.
    pub(super) ingest_log: Option<IngestStore>,
    /// What is written down.
    pub(super) written: Written,
    /// The workers of masters before that may come.
    pub(super) earlier: Earlier,
    /// What is lost of what clients have sent, and the job goes on without.
    pub(super) dropped: Vec<LostRow>,
    /// The master before has stopped since workers that hold something did not come.
    pub(super) was_overdue: bool,
}

/// Opens the journal and the saved states in a state directory. If there is a job to go on with, its sources
/// are where that has stopped, and `options` are what they were.
///
/// # Errors
/// When something cannot be read, is of another job, or is damaged so that nothing can go on from it; when
/// an option differs that must not; when a source cannot go on; when an output has more than the journal knows.
pub(super) fn reopen(
    job: &BuiltJob,
    options: &MasterOptions,
    before: &Before,
    sources: &mut [Box<dyn Source>],
    events: Sender<Event>,
    observer: &mut dyn Observer,
) -> Result<Reopened, JobError> {
    let plan = job.plan;
    // Workers are told where it is, and have other working directories.
    let state = || std::path::absolute(&options.state).unwrap_or_else(|_| options.state.clone());
    let url = || options.store.clone().unwrap_or_else(|| state().to_string_lossy().into_owned());
    let store = options.durable.clone().map_or_else(|| Durable::open(&url()), Ok);
    let store = store.map_err(ClusterError::from)?;
    let states = store.within("saves").map_err(ClusterError::from)?;
    let saves = CheckpointStore::new(states, plan.hash);
    let (mut journal, mut warnings) = open(job, options, before, &store, &saves, events)?;
    let damaged = journal.check(&saves, &job.stages).map_err(|(why, nothing)| {
        wrong(format!(
            "a saved state cannot be read ({why}), and {nothing}\n  help: restore the state directory, or \
             begin the job anew with another --state"
        ))
    })?;
    let older = |why: &String| format!("a saved state cannot be read, an older one is used: {why}");
    warnings.extend(damaged.iter().map(older));
    warnings.iter().for_each(|warning| observer.on_warning(warning));
    let (mut inputs, mut given_up) = (BTreeMap::new(), None);
    // The first master of all has no other before it, which may have acknowledged something.
    let goes_on = journal.term() > 1 || journal.past().is_some();
    if goes_on {
        let next = journal.past().map_or(BatchSeq(1), Past::next);
        options.pushed.iter().flatten().for_each(|source| source.goes_on(next));
    }
    if let Some(past) = journal.past() {
        // Another one may have begun here since that was looked at.
        fits(past, options, &of_job(&store))?;
        let ways = Ways { plan, ways: &options.ways };
        ways.go_on(past, sources, observer)?;
        let (again, lost) = ways.inputs_again(past, sources, observer)?;
        (inputs, given_up) = (again, Some((ways.skipped(), lost)));
        let (term, first, again) = (journal.term(), past.next(), past.unpublished());
        observer.on_cluster(&ClusterNews::Resumed { term, first, again });
    }
    let moved = places::note(&store, journal.term(), journal.past(), before.places());
    moved.map_err(ClusterError::from)?.iter().for_each(|warning| observer.on_warning(warning));
    if let Some((skipped, lost)) = given_up {
        journal.give_up(skipped, lost);
    }
    let needed: BTreeSet<&str> = journal.past().into_iter().flat_map(Past::objects).collect();
    saves.retain(|object| needed.contains(object)).map_err(ClusterError::from)?;
    let dropped = journal.past().map_or(Vec::new(), |past| past.dropped().to_vec());
    for row in &dropped {
        let pushed = options.pushed.get(row.source.index()).and_then(Option::as_ref);
        pushed.into_iter().for_each(|pushed| pushed.give_up(row.receiver, &row.blocks));
    }
    let overdue = journal.past().map_or(&[][..], Past::overdue);
    for row in overdue {
        let pushed = options.pushed.get(row.source.index()).and_then(Option::as_ref);
        let expect = |pushed: &PushSource| {
            pushed.expect(row.receiver, &row.blocks, row.records_each(), row.first);
        };
        pushed.into_iter().for_each(expect);
    }
    let was_overdue = !overdue.is_empty();
    let earlier = if goes_on { Earlier::of(journal.past()) } else { Earlier::none() };
    let written = Written { journal, inputs };
    let ingest_log = match options.ingest {
        Ingest::Memory => None,
        Ingest::Durable => Some(mark(&store)?),
    };
    Ok(Reopened { store, saves, ingest_log, written, earlier, dropped, was_overdue })
}

/// Takes the journal over, and begins it with a savepoint if the options name one.
fn open(
    job: &BuiltJob,
    options: &MasterOptions,
    before: &Before,
    store: &Durable,
    saves: &CheckpointStore,
    events: Sender<Event>,
) -> Result<(Journal, Vec<String>), JobError> {
    let plan = job.plan.hash;
    // Before anything is taken over: a master that is there goes on.
    let there = Journal::look(store, plan).map_err(unreadable)?;
    let from = match (&options.from, &there) {
        (Some(_), Some(_)) => return Err(ClusterError::HasJob { state: store.url() }.into()),
        (Some(from), None) => {
            let (place, past) = named(store, from, plan, options)?;
            before.check_goes_on(&past, &format!("the savepoint {}", place.url()))?;
            Some((place, past))
        }
        (None, Some(past)) => {
            fits(past, options, &of_job(store))?;
            before.check_goes_on(past, &format!("the journal in {}", store.url()))?;
            if !past.lost().is_empty() && !options.accept_loss {
                return Err(lost(job.plan, past.lost()).into());
            }
            None
        }
        (None, None) => None,
    };
    let who = format!("process {} on {}", std::process::id(), options.listen);
    let (mut journal, mut warnings) =
        Journal::open(store, plan, &who, events).map_err(unreadable)?;
    if journal.term() > WorkerId::MAX_TERM {
        return Err(wrong(format!(
            "this job has had {} masters, and the ids of its workers are used up\n  \
             help: begin the job anew with another --state",
            journal.term()
        )));
    }
    if options.accept_loss
        && let Some(rows) = journal.accept_loss()
    {
        warnings.push(dropped(job.plan, &rows));
    }
    if let Some((place, past)) = from {
        // Another one may have begun here meanwhile: it is fenced by now, but not lost.
        if journal.past().is_some() {
            return Err(ClusterError::HasJob { state: store.url() }.into());
        }
        begin(job, &mut journal, saves, &place, past)?;
    }
    Ok((journal, warnings))
}

/// What people know a job by.
fn of_job(store: &Durable) -> String {
    format!("the job in {}", store.url())
}

fn wrong(why: String) -> JobError {
    JobError::Journal { why }
}

fn unreadable(error: JournalError) -> JobError {
    wrong(error.to_string())
}

/// The savepoint that the options name and its content, if a job may begin with it.
fn named(
    store: &Durable,
    from: &str,
    plan: u64,
    options: &MasterOptions,
) -> Result<(Durable, Past), JobError> {
    let place = match from.contains('/') {
        true => Durable::existing(from),
        false => savepoint::place(store, from),
    };
    let place = place.map_err(ClusterError::from)?;
    let past = savepoint::read(&place, plan).map_err(ClusterError::from)?;
    fits(&past, options, &format!("the savepoint {}", place.url()))?;
    Ok((place, past))
}

/// Makes a savepoint what the journal begins with.
fn begin(
    job: &BuiltJob,
    journal: &mut Journal,
    saves: &CheckpointStore,
    place: &Durable,
    mut past: Past,
) -> Result<(), JobError> {
    let doors = |stage: StageId, tag| job.stages.get(stage.index())?.state_door(tag);
    let whose = (job.plan.hash, journal.term());
    savepoint::bring(place, saves, whose, &mut past, doors).map_err(ClusterError::from)?;
    journal.begin_with(past);
    Ok(())
}

/// What a job began with stays as it is.
fn fits(past: &Past, options: &MasterOptions, what: &str) -> Result<(), JobError> {
    let (now, then) = (options.setup.partitions, past.partitions().unwrap_or_default());
    if now != then {
        return Err(wrong(format!(
            "{what} has {then} partitions, which is fixed for as long as it lives\n  \
             help: start it with --partitions {then}, or begin it anew with another --state"
        )));
    }
    let now = options.setup.interval_ms;
    let then = past.timetable().map_or(now, |timetable| timetable.interval().as_millis() as u64);
    if now != then {
        return Err(wrong(format!(
            "{what} has batches of {then} ms, and this one {now} ms\n  help: start it with --interval {then}ms, \
             or begin it anew with another --state"
        )));
    }
    Ok(())
}
