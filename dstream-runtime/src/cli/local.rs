//! `--workers N`: the job on a cluster of this host. This process is the master; its workers are
//! processes that come and go with it. `--state DIR` without workers: master and worker in this process.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::Failed;
use super::args::Invocation;
use super::claim::{Claim, check_logs};
use super::crew::{Crew, Orders, Roll};
use super::host::{self, store};
use super::inside::Inside;
use super::master::{Listening, options};
use super::news::some;
use super::open::{self, Opened};
use super::run::{Running, cores};
use super::show::Display;
use crate::driver::cluster::{ClusterNews, MasterOptions, MasterPaths, Reach, serve_master};
use crate::driver::{BatchReport, Observer, Summary};
use crate::exec::task::DeadLetter;

/// Runs the job to its end; with no worker processes in this one.
pub(super) fn run(invocation: &Invocation<'_>, workers: u32) -> Result<(), Failed> {
    let mut opened = open::open(invocation, true)?;
    let orders = Orders::new(invocation, workers, cores(invocation));
    let threads = some(orders.cores as u64, "thread");
    let runs_on = match workers {
        0 => threads,
        _ => format!("{} of {threads}", some(workers, "worker")),
    };
    let mut running = Running::start(invocation, &mut opened, &runs_on, Some(orders.cores))?;
    let state = State::of(invocation)?;
    let _claim = Claim::of(state.path())?;
    let store = store(invocation).unwrap_or_else(|| state.path().to_string_lossy().into_owned());
    check_logs(&store, workers)?;
    let leave = state.leave();
    let stop = running.stop_on_signals(leave)?;
    let (preview, restarts) = (running.preview, orders.restarts);
    let speaker = running.display.speaker();
    let mut own = match workers {
        0 => Own::Thread(Inside::new(invocation, speaker.clone(), stop.clone())),
        _ => Own::Processes(Crew::new(orders, speaker.clone(), stop.clone())),
    };
    let options = MasterOptions {
        state: state.path().to_owned(),
        workers: workers.max(1),
        reach: own.reach(),
        ..options(invocation, &mut opened, preview)
    };
    let roll = own.roll();
    let mut observer =
        Watched { display: &mut running.display, roll, has_batches: false, restarts };
    let mut listening = |addr: SocketAddr, paths: &MasterPaths| {
        speaker.tell(&Listening::of_own_workers(invocation, addr, paths));
        own.start(addr, paths);
    };
    let Opened { built, sources, sinks, .. } = opened;
    let result = serve_master(built, options, sources, sinks, &mut observer, stop, &mut listening);
    match own.end(result.is_err()) {
        // A job that was stopped since its workers could not join has not done what it was to do.
        Some(why) => {
            running.display.end();
            Err(Failed::Job(why))
        }
        None => running.finish(invocation, result),
    }
}

/// The job's own workers.
enum Own {
    Processes(Crew),
    Thread(Inside),
}

impl Own {
    fn roll(&self) -> Option<Roll> {
        match self {
            Self::Processes(crew) => Some(crew.roll()),
            Self::Thread(_) => None,
        }
    }

    fn reach(&self) -> Reach {
        match self {
            Self::Processes(_) => Reach::Network,
            Self::Thread(worker) => worker.reach(),
        }
    }

    fn start(&mut self, master: SocketAddr, paths: &MasterPaths) {
        match self {
            Self::Processes(crew) => crew.start(master, paths),
            Self::Thread(worker) => worker.start(master, paths),
        }
    }

    /// Why the job could not run, if a worker was the cause.
    fn end(self, has_failed: bool) -> Option<String> {
        match self {
            Self::Processes(crew) => crew.end(),
            Self::Thread(worker) => worker.end(has_failed),
        }
    }
}

/// The display, and who has joined.
struct Watched<'w> {
    display: &'w mut Display,
    /// Of worker processes.
    roll: Option<Roll>,
    /// Whether a batch was published.
    has_batches: bool,
    /// Whether a worker that ends is started again.
    restarts: bool,
}

impl Observer for Watched<'_> {
    fn on_batch(&mut self, report: &BatchReport<'_>) {
        self.has_batches = true;
        self.display.on_batch(report);
    }

    fn on_dead_letters(&mut self, source: &str, letters: &[DeadLetter]) {
        self.display.on_dead_letters(source, letters);
    }

    fn on_cluster(&mut self, news: &ClusterNews) {
        match (news, &self.roll) {
            (ClusterNews::Joined { worker, .. }, Some(roll)) => roll.joined(worker),
            // With batches the job fails. Without, its master would wait for another worker, which comes only
            // where workers are started again.
            (ClusterNews::Left { worker, why }, Some(roll))
                if !self.has_batches && !self.restarts =>
            {
                roll.left(worker, why);
            }
            _ => {}
        }
        self.display.on_cluster(news);
    }

    fn on_failed(&mut self, summary: &Summary) {
        self.display.on_failed(summary);
    }

    fn on_warning(&mut self, message: &str) {
        self.display.on_warning(message);
    }
}

/// Where the job's master keeps its state.
enum State {
    /// Where to put it, to start the job from it again.
    Kept(PathBuf),
    Temporary(TemporaryState),
}

impl State {
    fn of(invocation: &Invocation<'_>) -> Result<Self, Failed> {
        match &invocation.target.state {
            Some(_) => Ok(Self::Kept(host::state(invocation))),
            None => TemporaryState::create(invocation.job.plan().job).map(Self::Temporary),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) | Self::Temporary(TemporaryState(path)) => path,
        }
    }

    /// What is to be done when the process ends at once.
    fn leave(&self) -> impl FnOnce() + Send + 'static {
        let path = match self {
            Self::Kept(_) => None,
            Self::Temporary(TemporaryState(path)) => Some(path.clone()),
        };
        move || path.iter().for_each(|path| remove(path))
    }
}

/// A state directory that goes with the job.
struct TemporaryState(PathBuf);

impl TemporaryState {
    fn create(job: &str) -> Result<Self, Failed> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = format!("dstream-{job}-{}-{}", std::process::id(), since.subsec_nanos());
        let path = std::env::temp_dir().join(name);
        // Others can write to the directory it is in: one that is there already is not this job's.
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(Self(path)),
            Err(error) => Err(Failed::Job(format!(
                "{}: cannot create it: {error}\n  help: name another directory in TMPDIR",
                path.display()
            ))),
        }
    }
}

impl Drop for TemporaryState {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// What cannot be removed lies where such things are swept away.
fn remove(path: &Path) {
    let _ = fs::remove_dir_all(path);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_state_of_a_local_cluster_is_its_owner_s_and_goes_with_it() {
        let state = TemporaryState::create("counts").unwrap();
        let path = state.0.clone();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(path.join("master.json"), "{}").unwrap();
        drop(state);
        assert!(!path.exists());
    }
}
