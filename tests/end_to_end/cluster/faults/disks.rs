//! A state directory on a disk of 20 MB that is full.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::fs::statvfs;

use super::super::crew::{ANY, Cluster, Tap, all_end, assert_same_lines};
use super::super::restarts::{assert_as_without_faults, of_words};
use crate::job::{Job, Running, binary};

/// A disk of 20 MB, mounted in a namespace of its own, which goes with it.
struct Disk {
    /// Holds the namespace, until its standard input ends.
    holder: Child,
    at: PathBuf,
}

impl Disk {
    fn mount(at: &Path) -> Result<Self, String> {
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
    fn example(&self, name: &str) -> Job {
        let mut command = Command::new("nsenter");
        command.args(["--user", "--preserve-credentials", "--mount", "--target"]);
        command.arg(self.holder.id().to_string()).arg(binary(name));
        Job::of(command)
    }

    /// A path on the disk, as seen from outside.
    fn path(&self, name: &str) -> PathBuf {
        let at = self.at.strip_prefix("/").expect("it is absolute");
        Path::new("/proc").join(self.holder.id().to_string()).join("root").join(at).join(name)
    }

    /// Leaves at most `room` bytes of it free.
    fn fill(&self, room: u64) {
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

    fn make_room(&self) {
        fs::remove_file(self.path("ballast")).expect("it is there");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // It may have ended, and have been waited for.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// A worker that sees the disk.
fn worker(
    cluster: &Cluster,
    disk: &Disk,
    example: &str,
    name: &str,
    master: &mut Running,
) -> Running {
    let job = disk.example(example);
    let job = cluster.as_stranger(job, &format!("of-{name}"), name, master.listening());
    job.args(["--token-file".as_ref(), cluster.token().as_os_str()]).start()
}

/// Whether a worker has said that it cannot save states.
fn cannot_save(worker: &mut Running) -> bool {
    worker.catch_up();
    worker
        .events("warning")
        .any(|e| e["message"].as_str().is_some_and(|m| m.contains("cannot be saved")))
}

/// Two partitions with 2 MB of state each; each batch makes the same number of lines.
fn of_long_urls(job: Job, input: &Path) -> Job {
    let url = format!("file://{}?batch_records=100", input.display());
    job.source("views", url).sink("counts", "csv+stdout:").args(["--partitions", "2"])
}

#[test]
fn a_job_goes_on_while_its_states_cannot_be_saved() {
    let cluster = Cluster::new("page_views");
    let disk = match Disk::mount(&cluster.state()) {
        Ok(disk) => disk,
        Err(why) => return eprintln!("skipped: {why}"),
    };
    let input = cluster.path("views.json");
    let long = "x".repeat(1000);
    let view = |n: u64| format!("{{\"url\":\"{}{long}\",\"user\":{n}}}\n", n * 7919 % 4000);
    fs::write(&input, (0..15_000).map(view).collect::<String>()).expect("there is room");
    let expected = of_long_urls(Job::example("page_views"), &input).run().code(0).out;

    let master = cluster.as_master(disk.example("page_views"), ANY, 2);
    let mut master = of_long_urls(master, &input).args(["--checkpoint", "50ms"]).unread().start();
    let mut tap = Tap::on(&mut master);
    let mut crew =
        ["w1", "w2"].map(|name| worker(&cluster, &disk, "page_views", name, &mut master));
    tap.read(6000);
    // Enough for the journal of some batches, and for no state. A state that was being saved when the
    // disk was filled can still succeed, and the one that it replaces then leaves room: fill it again.
    while !crew.iter_mut().all(cannot_save) {
        disk.fill(1_500_000);
        tap.read(200);
    }
    disk.make_room();
    tap.read_all();
    master.end().code(0);
    all_end(crew);
    assert_same_lines(&tap.lines, &expected);
}

#[test]
fn a_journal_that_cannot_be_written_ends_the_job_which_goes_on_when_there_is_room() {
    let cluster = Cluster::new("word_count");
    let disk = match Disk::mount(&cluster.state()) {
        Ok(disk) => disk,
        Err(why) => return eprintln!("skipped: {why}"),
    };
    let start = |at: SocketAddr| {
        let master = cluster.as_master(disk.example("word_count"), at, 2);
        of_words(master.args(["--checkpoint", "50ms"]), &cluster.path("out"))
    };
    let mut first = start(ANY).unread().start();
    let mut tap = Tap::on(&mut first);
    let at = first.listening();
    let crew = ["w1", "w2"].map(|name| worker(&cluster, &disk, "word_count", name, &mut first));
    tap.read(2000);
    disk.fill(0);
    tap.read_all();
    first.end().code(1).says(&[
        "the journal cannot be written",
        "nothing is published until it can",
        "No space left on device",
        "start the master again",
    ]);
    // There is no room for another master either.
    start(at).run().code(1).says(&["No space left on device"]);
    disk.make_room();
    let mut second = start(at).start();
    assert!(second.event("resumed")["term"].as_u64() > Some(1));
    second.end().code(0);
    all_end(crew);
    assert_as_without_faults(&cluster);
}
