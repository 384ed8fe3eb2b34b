//! What a local job asks of its `--state` before it starts: that no other process runs the job with it, and that each
//! log of received records has its worker.

use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::Failed;
use crate::driver::cluster::logs;
use crate::durable::Durable;

/// A lock on a state directory, for as long as it lives.
pub(super) struct Claim {
    _lock: File,
}

impl Claim {
    /// Claims a directory, which is created if it is not there.
    ///
    /// # Errors
    /// When a process on this host has it: a second master would take the job over, and what only the first one's
    /// memory holds would be lost.
    pub(super) fn of(state: &Path) -> Result<Option<Self>, Failed> {
        // It is made as a store is, for its owner only and synced. What is wrong with it is said when the job opens it.
        if Durable::open(&state.to_string_lossy()).is_err() {
            return Ok(None);
        }
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let Ok(mut file) = options.open(state.join("lock")) else { return Ok(None) };
        match file.try_lock() {
            Ok(()) => {
                let _ = file.set_len(0);
                let _ = write!(file, "{}", std::process::id());
                Ok(Some(Self { _lock: file }))
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                let process = match holder.trim() {
                    "" => "another process".to_owned(),
                    pid => format!("process {pid}"),
                };
                Err(Failed::Usage(format!(
                    "--state {}: {process} runs this job with it\n  help: stop that one first (`JOB stop --state DIR`), \
                     or name another directory",
                    state.display()
                )))
            }
            // A file system without locks: the journal still lets one master win.
            Err(TryLockError::Error(_)) => Ok(None),
        }
    }
}

/// Checks that every worker comes whose log has records that clients were told are safe.
///
/// # Errors
/// When one does not.
pub(super) fn check_logs(store: &str, workers: u32) -> Result<(), Failed> {
    // What is wrong with the store is said when the job opens it.
    let Ok(names) = Durable::existing(store).and_then(|store| logs(&store)) else { return Ok(()) };
    let number = |name: &String| name.strip_prefix('w').and_then(|n| n.parse::<u32>().ok());
    let most = names.iter().filter_map(number).max().unwrap_or(0);
    if most <= workers.max(1) {
        return Ok(());
    }
    Err(Failed::Usage(format!(
        "--workers {workers}: the log of worker `w{most}` of an earlier run has acknowledged records, and no batch may have them\n  \
         help: start with --workers {most} or more; once these are processed (`JOB stop` waits for that), fewer will do"
    )))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_state_is_claimed_once_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("new/state");
        let claim = Claim::of(&state).ok().flatten().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&state), mode(&state.join("lock"))), (0o700, 0o600));
        let Err(Failed::Usage(why)) = Claim::of(&state) else { panic!("claimed twice") };
        assert!(why.contains(&std::process::id().to_string()) && why.contains("JOB stop"), "{why}");
        drop(claim);
        assert!(Claim::of(&state).is_ok_and(|claim| claim.is_some()));
    }

    #[test]
    fn a_log_without_its_worker_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().to_str().unwrap();
        assert!(check_logs(store, 0).is_ok());
        fs::create_dir_all(dir.path().join("ingest/w3")).unwrap();
        assert!(check_logs(store, 0).is_ok());
        fs::write(dir.path().join("ingest/w3/0000000000000001"), "x").unwrap();
        assert!(check_logs(store, 3).is_ok());
        let Err(Failed::Usage(why)) = check_logs(store, 2) else { panic!("accepted") };
        assert!(why.contains("`w3`") && why.contains("--workers 3"), "{why}");
    }
}
