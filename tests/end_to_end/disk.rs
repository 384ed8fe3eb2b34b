//! A small disk for tests, which can be full. It needs no privileges: it is in its own namespace.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::fs::statvfs;

use crate::job::{Job, binary};

/// A disk of 20 MB, mounted in its own namespace.
pub(crate) struct Disk {
    /// Holds the namespace until its standard input is closed.
    holder: Child,
    at: PathBuf,
}

impl Disk {
    /// Mounts it at a new directory; an error says why not.
    pub(crate) fn mount(at: &Path) -> Result<Self, String> {
        fs::create_dir_all(at).map_err(|error| error.to_string())?;
        let mount = "mount -t tmpfs -o size=20m,mode=700 disk \"$0\" && echo mounted && exec cat";
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", mount]).arg(at);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let holder = command.spawn().map_err(|error| format!("there is no `unshare`: {error}"))?;
        let mut disk = Self { holder, at: at.to_owned() };
        let mut said = [0; 8];
        let out = disk.holder.stdout.as_mut().map(|out| out.read_exact(&mut said));
        match out {
            Some(Ok(())) => Ok(disk),
            _ => Err("nothing can be mounted in a user namespace".to_owned()),
        }
    }

    /// An example that sees the disk.
    pub(crate) fn example(&self, name: &str) -> Job {
        let mut command = Command::new("nsenter");
        command.args(["--user", "--preserve-credentials", "--mount", "--target"]);
        command.arg(self.holder.id().to_string()).arg(binary(name));
        Job::of(command)
    }

    /// A path on the disk, as seen from outside.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let at = self.at.strip_prefix("/").expect("it is absolute");
        Path::new("/proc").join(self.holder.id().to_string()).join("root").join(at).join(name)
    }

    /// Fills it up to `room` bytes.
    pub(crate) fn fill(&self, room: u64) {
        let ballast = self.path("ballast");
        let mut file = File::options().append(true).create(true).open(ballast).expect("it opens");
        let disk = statvfs(self.path(".")).expect("it is mounted");
        let mut left = (disk.f_bavail * disk.f_frsize).saturating_sub(room);
        while left > 0 {
            let page = left.min(4096);
            match file.write(&[1; 4096][..page as usize]) {
                Ok(written @ 1..) => left -= written as u64,
                _ => break,
            }
        }
    }

    /// Removes the filling.
    pub(crate) fn make_room(&self) {
        fs::remove_file(self.path("ballast")).expect("it is there");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // It may have been reaped already.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
