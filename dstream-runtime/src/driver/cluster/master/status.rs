//! How the job is doing: what the core, the master half and the members know, put together.

use super::Driver;
use super::members::Member;
use crate::driver::cluster::status::{
    BatchStatus, ClusterStatus, OutputStatus, Phase, ReceiverStatus, SourceStatus, Standing,
    WorkerStatus,
};
use crate::host;
use crate::id::Epoch;
use crate::sched::{self, status::MemberStatus};

impl Driver<'_> {
    /// How the job is doing.
    pub(super) fn status(&self) -> ClusterStatus {
        let progress = self.master.progress();
        let have = self.members.ready();
        let phase = if self.is_stopping() {
            Phase::Stopping
        } else if self.members.epoch() == Epoch(0) {
            Phase::Waiting { have, want: self.want }
        } else {
            Phase::Running
        };
        let elapsed = host::since(self.started);
        let sources = self.plan.sources.iter().zip(&progress.sources).zip(&self.urls.sources);
        let outputs = self.plan.outputs.iter().zip(&progress.outputs).zip(&self.urls.outputs);
        let core = self.master.core_status();
        let name = |worker| format!("worker `{}`", self.members.name(worker));
        let member = |id| core.members.iter().find(|member| member.worker == id);
        let batch = |batch: &sched::status::BatchStatus| BatchStatus {
            batch: batch.batch,
            phase: batch.phase().to_owned(),
            waits_for: batch.wait.text(&name),
            age_ms: batch.age_ms,
        };
        ClusterStatus {
            job: self.plan.job.to_owned(),
            plan: format!("{:016x}", self.plan.hash),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            master: self.net.local_addr(),
            uptime_ms: elapsed.as_millis() as u64,
            phase,
            epoch: self.members.epoch(),
            partitions: self.setup.partitions,
            interval_ms: self.setup.interval_ms,
            live: progress.live,
            published: progress.published,
            delay_ms: progress.delay_ms,
            cause: core.cause(&name),
            late: progress.late,
            refused: progress.refused,
            clock_behind_ms: progress.clock_behind_ms,
            unsaved: self.unsaved(),
            batches: core.batches.iter().map(batch).collect(),
            sources: sources
                .map(|((row, read), url)| SourceStatus {
                    name: row.name.to_owned(),
                    url: url.clone(),
                    records: read.records,
                    bytes: read.bytes,
                    records_per_second: read.records as f64 / elapsed.as_secs_f64().max(1e-3),
                    dead_letters: read.dead_letters,
                    unreadable_files: read.unreadable_files,
                    lost_bytes: read.lost_bytes,
                })
                .collect(),
            outputs: outputs
                .map(|((row, records), url)| OutputStatus {
                    name: row.name.to_owned(),
                    url: url.clone(),
                    records: *records,
                })
                .collect(),
            workers: self.members.iter().map(|(id, m)| worker(m, member(id))).collect(),
            speculations: core.speculations.0,
            speculations_won: core.speculations.1,
            receivers: self
                .receivers
                .seen()
                .map(|seen| ReceiverStatus {
                    stream: self.stream(seen.source),
                    worker: self.members.name(seen.worker),
                    url: seen.url.to_owned(),
                    records: seen.records,
                    waiting: seen.waiting,
                    turned_away: seen.turned_away,
                    error: seen.why.map(str::to_owned),
                })
                .collect(),
        }
    }
}

fn worker(member: &Member, core: Option<&MemberStatus>) -> WorkerStatus {
    WorkerStatus {
        name: member.name.clone(),
        addr: member.addr,
        standing: core.map_or(Standing::Joining, |core| match core.standing {
            sched::master::Standing::Joining => Standing::Joining,
            sched::master::Standing::StandingBy => Standing::Standby,
            sched::master::Standing::Active => Standing::Active,
            sched::master::Standing::Draining => Standing::Draining,
        }),
        partitions: core.map_or(0, |core| core.partitions),
        cores: member.cores,
        tasks: core.map_or(0, |core| core.tasks),
        memory: member.memory,
        memory_limit: member.memory_limit,
        spilled: member.spilled,
        heard_ms: core.map_or(0, |core| core.silent_ms),
        slow: core.and_then(|core| core.slow).map(|factor| f64::from(factor) / 1000.0),
        share: core.map_or(0, |core| core.share),
    }
}
