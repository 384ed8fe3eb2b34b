//! What lies in a master's state directory, and the file that says where the master is.
//!
//! The directory is readable by its owner only. A process that can read it can act as any member of the cluster, so
//! `JOB status` under the same user needs nothing else.

use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ClusterError;

/// The master's state directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterPaths {
    state: PathBuf,
}

/// Where a master is: its file `master.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasterFile {
    /// The job.
    pub job: String,
    /// The hash of its plan, as 16 hex digits.
    pub plan: String,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its process.
    pub pid: u32,
}

impl MasterFile {
    /// Where a process of the same host reaches it.
    #[must_use]
    pub fn reachable(&self) -> SocketAddr {
        let mut addr = self.listen;
        if addr.ip().is_unspecified() {
            addr.set_ip(match addr.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        addr
    }
}

impl MasterPaths {
    /// Of that directory, which need not be there yet.
    #[must_use]
    pub fn new(state: impl Into<PathBuf>) -> Self {
        Self { state: state.into() }
    }

    /// The directory itself.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The directory of the cluster's authority.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.state.join("authority")
    }

    /// The file of the token that workers join with.
    #[must_use]
    pub fn worker_token(&self) -> PathBuf {
        self.state.join("worker.token")
    }

    /// The file of the token that clients join with.
    #[must_use]
    pub fn client_token(&self) -> PathBuf {
        self.state.join("client.token")
    }

    /// The file that says where the master is.
    #[must_use]
    pub fn master_file(&self) -> PathBuf {
        self.state.join("master.json")
    }

    /// The file in which a worker or client of that name keeps its certificate.
    #[must_use]
    pub fn identity(&self, name: &str) -> PathBuf {
        self.state.join("identities").join(format!("{name}.json"))
    }

    /// The directory for blocks of a worker of that name.
    #[must_use]
    pub fn spill(&self, name: &str) -> PathBuf {
        self.state.join("spill").join(name)
    }

    /// Makes the directory, and that for certificates, for their owner only.
    ///
    /// # Errors
    /// When they cannot be made.
    pub fn create(&self) -> Result<(), ClusterError> {
        let identities = self.state.join("identities");
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&identities);
        made.map_err(failed(&identities, "create it"))
    }

    /// Says where the master is: the file appears whole, in the place of an older one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn announce(&self, file: &MasterFile) -> Result<(), ClusterError> {
        let path = self.master_file();
        let beside = self.state.join(format!("master.json.{}", file.pid));
        let text = serde_json::to_string(file)
            .map_err(|error| failed(&path, "write it")(io::Error::other(error)))?;
        let open = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside);
        let written = open.and_then(|mut out| writeln!(out, "{text}"));
        written.and_then(|()| fs::rename(&beside, &path)).map_err(failed(&path, "write it"))
    }

    /// Takes the file away again, if it is that of this process.
    pub fn withdraw(&self, job: &str, pid: u32) {
        if self.find(job).is_ok_and(|file| file.pid == pid) {
            // A process that reads a file left behind finds no master at its address, and reports that.
            let _ = fs::remove_file(self.master_file());
        }
    }

    /// Where the master of that job is.
    ///
    /// # Errors
    /// When there is no such file, or it is no master's or another job's.
    pub fn find(&self, job: &str) -> Result<MasterFile, ClusterError> {
        let path = self.master_file();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (job, state) = (job.to_owned(), self.state.clone());
                return Err(ClusterError::NoMaster { job, state });
            }
            Err(error) => return Err(failed(&path, "read it")(error)),
        };
        let wrong = |why: String| ClusterError::MasterFile { path: path.clone(), why };
        let file: MasterFile =
            serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if file.job != job {
            return Err(wrong(format!("it is of the job `{}`, not of `{job}`", file.job)));
        }
        Ok(file)
    }
}

fn failed<'p>(path: &'p Path, doing: &'static str) -> impl FnOnce(io::Error) -> ClusterError + 'p {
    move |error| ClusterError::File { path: path.to_owned(), doing, error: Arc::new(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(listen: &str) -> MasterFile {
        let listen = listen.parse().unwrap();
        MasterFile { job: "counts".into(), plan: "00ff".into(), listen, pid: 7 }
    }

    #[test]
    fn a_master_is_found_by_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let paths = MasterPaths::new(dir.path().join("deep/state"));
        assert!(matches!(paths.find("counts"), Err(ClusterError::NoMaster { .. })));
        paths.create().unwrap();
        paths.announce(&file("0.0.0.0:7077")).unwrap();
        paths.announce(&file("127.0.0.1:7078")).unwrap();
        assert_eq!(paths.find("counts").unwrap(), file("127.0.0.1:7078"));
        let other = paths.find("views").unwrap_err().to_string();
        assert!(other.contains("`counts`, not of `views`"), "{other}");
        paths.withdraw("counts", 8);
        assert!(paths.find("counts").is_ok());
        paths.withdraw("counts", 7);
        assert!(matches!(paths.find("counts"), Err(ClusterError::NoMaster { .. })));
        fs::write(paths.master_file(), "[]").unwrap();
        assert!(matches!(paths.find("counts"), Err(ClusterError::MasterFile { .. })));
    }

    #[test]
    fn a_master_on_every_address_is_reached_on_the_loopback() {
        assert_eq!(file("0.0.0.0:7077").reachable().to_string(), "127.0.0.1:7077");
        assert_eq!(file("[::]:7077").reachable().to_string(), "[::1]:7077");
        assert_eq!(file("10.0.0.1:7077").reachable().to_string(), "10.0.0.1:7077");
    }
}
