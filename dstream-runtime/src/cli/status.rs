//! A cluster's status as text: a pure function of it.
//!
//! The first questions are answered first: is it running, how far behind is it, and why.

use std::fmt::Write as _;
use std::time::Duration;

use super::news::some;
use super::summary::troubles;
use super::table::Side::{Left, Right};
use super::table::{Column, table};
use super::words::{bytes, count};
use crate::driver::cluster::{
    ClusterStatus, Phase, RefusedStatus, Standing, UnsavedStatus, WorkerStatus,
};

/// All of it.
pub(super) fn status(status: &ClusterStatus) -> String {
    let mut text = head(status);
    section(&mut text, "sources", sources(status));
    section(&mut text, "outputs", outputs(status));
    section(&mut text, "batches in flight", batches(status));
    section(&mut text, "workers", workers(status));
    section(&mut text, "receivers", receivers(status));
    text
}

fn some_runs(runs: u64) -> String {
    match runs {
        1 => "1 was run".to_owned(),
        runs => format!("{} were run", count(runs)),
    }
}

fn section(text: &mut String, name: &str, table: String) {
    if !table.is_empty() {
        let _ = write!(text, "{name}\n{table}");
    }
}

fn head(status: &ClusterStatus) -> String {
    let phase = match status.phase {
        Phase::Waiting { have, want } => format!("waits for workers: {have} of {want}"),
        Phase::Running => "running".to_owned(),
        Phase::Stopping => "stopping".to_owned(),
    };
    let ClusterStatus { job, master, uptime_ms, epoch, partitions, interval_ms, .. } = status;
    let mut text = format!(
        "{job}: {phase}, for {} on {master}; {epoch}, {}, batches of {interval_ms} ms\n",
        time(*uptime_ms),
        some(*partitions, "partition"),
    );
    match &status.published {
        None => text.push_str("no batch is published yet\n"),
        Some(last) => {
            let took = millis(last.processing_ms);
            let _ =
                write!(text, "last published: {} at {}, {took} to process", last.batch, last.time);
            if let Some(delay) = last.delay_ms {
                let _ = write!(text, ", delay {}", millis(delay));
            }
            text.push('\n');
        }
    }
    if status.speculations > 0 {
        let (runs, won) = (some_runs(status.speculations), count(status.speculations_won));
        let _ = writeln!(text, "late tasks: {runs} on another worker too, {won} of these first");
    }
    match (status.delay_ms, &status.cause) {
        (Some(late), Some(cause)) => {
            let _ = writeln!(text, "late by {}: {cause}", time(late));
        }
        (Some(late), None) => {
            let _ = writeln!(text, "late by {}", time(late));
        }
        (None, Some(cause)) => {
            let _ = writeln!(text, "next: {cause}");
        }
        (None, None) => {}
    }
    if let Some(behind) = status.clock_behind_ms {
        let _ = writeln!(text, "the master's clock is {} behind batch times", time(behind));
    }
    for source in &status.sources {
        let troubles = troubles(&source.name, source.unreadable_files, source.lost_bytes);
        if let Some(troubles) = troubles {
            let _ = writeln!(text, "{troubles}");
        }
    }
    for receiver in status.receivers.iter().filter(|receiver| receiver.turned_away > 0) {
        let _ = writeln!(
            text,
            "{}: {} {} turned away by worker {}, all of whose connections were busy: allow more with `connections=` \
             in the source's URL",
            receiver.stream,
            some(receiver.turned_away, "client"),
            if receiver.turned_away == 1 { "was" } else { "were" },
            receiver.worker
        );
    }
    if status.late > 0 {
        let late = some(status.late, "record");
        let _ = writeln!(
            text,
            "{late} left out of windows of event time: they came late (counted by each of these operators)"
        );
    }
    if let Some(RefusedStatus { output, batch, for_ms, tries, why }) = &status.refused {
        let _ = writeln!(
            text,
            "output `{output}` has refused {batch} {} in {}: {why}",
            some(*tries, "time"),
            time(*for_ms)
        );
    }
    if let Some(UnsavedStatus { operator, partition, worker, url, for_ms, tries, why }) =
        &status.unsaved
    {
        let _ = writeln!(
            text,
            "{worker} could not save the state of `{operator}`, {partition}, in {url} {} in {}: {why}",
            some(*tries, "time"),
            time(*for_ms)
        );
    }
    text
}

fn sources(status: &ClusterStatus) -> String {
    let columns = [
        Column("NAME", Left),
        Column("RECORDS", Right),
        Column("PER SECOND", Right),
        Column("BYTES", Right),
        Column("SET ASIDE", Right),
        Column("FROM", Left),
    ];
    let row = |source: &crate::driver::cluster::SourceStatus| {
        [
            source.name.clone(),
            count(source.records),
            count(source.records_per_second.max(0.0) as u64),
            bytes(source.bytes),
            count(source.dead_letters),
            source.url.clone(),
        ]
    };
    table(columns, &status.sources.iter().map(row).collect::<Vec<_>>())
}

fn outputs(status: &ClusterStatus) -> String {
    let columns = [Column("NAME", Left), Column("RECORDS", Right), Column("TO", Left)];
    let row = |output: &crate::driver::cluster::OutputStatus| {
        [output.name.clone(), count(output.records), output.url.clone()]
    };
    table(columns, &status.outputs.iter().map(row).collect::<Vec<_>>())
}

fn batches(status: &ClusterStatus) -> String {
    let columns = [
        Column("BATCH", Right),
        Column("PHASE", Left),
        Column("AGE", Right),
        Column("WAITS FOR", Left),
    ];
    let row = |batch: &crate::driver::cluster::BatchStatus| {
        [
            batch.batch.0.to_string(),
            batch.phase.clone(),
            time(batch.age_ms),
            batch.waits_for.clone(),
        ]
    };
    table(columns, &status.batches.iter().map(row).collect::<Vec<_>>())
}

/// The workers alone; never nothing.
pub(super) fn workers_alone(status: &ClusterStatus) -> String {
    match status.workers.is_empty() {
        true => "no worker has joined\n".to_owned(),
        false => workers(status),
    }
}

/// The table of workers.
pub(super) fn workers(status: &ClusterStatus) -> String {
    let columns = [
        Column("NAME", Left),
        Column("ADDRESS", Left),
        Column("STANDING", Left),
        Column("PARTITIONS", Right),
        Column("TASKS", Right),
        Column("THREADS", Right),
        Column("MEMORY", Right),
        Column("SPILLED", Right),
        Column("HEARD", Right),
    ];
    let row = |worker: &WorkerStatus| {
        [
            worker.name.clone(),
            worker.addr.to_string(),
            match worker.slow {
                Some(times) => {
                    let (standing, share) = (standing(worker.standing), worker.share);
                    format!("{standing}, slow ({times:.1} x), reads {share} %")
                }
                None => standing(worker.standing).to_owned(),
            },
            count(u64::from(worker.partitions)),
            count(u64::from(worker.tasks)),
            count(u64::from(worker.cores)),
            format!("{} of {}", bytes(worker.memory), bytes(worker.memory_limit)),
            bytes(worker.spilled),
            format!("{} ago", time(worker.heard_ms)),
        ]
    };
    table(columns, &status.workers.iter().map(row).collect::<Vec<_>>())
}

fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Joining => "joining",
        Standing::Active => "active",
        Standing::Standby => "standing by",
        Standing::Draining => "draining",
        Standing::Gone => "gone",
    }
}

fn receivers(status: &ClusterStatus) -> String {
    let columns = [
        Column("STREAM", Left),
        Column("WORKER", Left),
        Column("AT", Left),
        Column("RECORDS", Right),
        Column("WAITING", Right),
    ];
    let row = |receiver: &crate::driver::cluster::ReceiverStatus| {
        [
            receiver.stream.clone(),
            receiver.worker.clone(),
            match &receiver.error {
                Some(error) => format!("does not listen, and is tried again: {error}"),
                None => receiver.url.clone(),
            },
            count(receiver.records),
            bytes(receiver.waiting),
        ]
    };
    table(columns, &status.receivers.iter().map(row).collect::<Vec<_>>())
}

/// A time in milliseconds with a fraction.
fn millis(ms: f64) -> String {
    super::words::millis(Duration::try_from_secs_f64(ms / 1e3).unwrap_or_default())
}

/// A time as people say it: two units at most.
fn time(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{ms} ms"),
        1..60 => format!("{}.{} s", seconds, ms % 1000 / 100),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests;
