//! A job with an unread output bounds its memory, makes its clients wait, and goes on.

use std::fs;
use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::Signal;

use crate::job::{Job, Running};

/// The resident memory of a process, in KiB.
pub(crate) fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
    line.trim().trim_end_matches(" kB").parse().expect("it is a number")
}

/// More than is ever taken in while nothing is output.
const MOST: usize = 64 << 20;

/// A client's sent bytes, and those not accepted any more.
pub(crate) struct Full {
    client: TcpStream,
    pub(crate) sent: Vec<u8>,
    left: Vec<u8>,
}

/// A job that passes its input to an unread output.
pub(crate) fn unread() -> Job {
    let job = Job::example("grep").source("lines", "tcp://127.0.0.1:0?buffer=1MiB");
    let job = job.sink("matches", "stdout:").args(["--pattern", "x", "--interval", "10ms"]);
    job.args(["--log", "json"]).unread()
}

/// Sends lines until no byte is taken for a while; fails if `most` bytes are taken.
pub(crate) fn fill(mut client: TcpStream, most: usize, patience: Duration) -> Full {
    client.set_write_timeout(Some(patience)).expect("it can be set");
    let (mut sent, mut left, mut number) = (Vec::new(), Vec::new(), 0u64);
    while sent.len() < most {
        while left.len() < 64 << 10 {
            left.extend_from_slice(format!("{number} x\n").as_bytes());
            number += 1;
        }
        match client.write(&left) {
            Ok(written) => sent.extend(left.drain(..written)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(sent.len() < most, "the client was never made to wait");
    Full { client, sent, left }
}

impl Full {
    /// Reads the output: everything arrives, once and in order.
    pub(crate) fn empties(self, mut job: Running) {
        let Self { mut client, mut sent, left } = self;
        job.read_stdout();
        client.set_write_timeout(None).expect("it can be set");
        client.write_all(&left).expect("it receives again");
        sent.extend(left);
        drop(client);
        let sent = String::from_utf8(sent).expect("it is text");
        let lines = sent.lines().count();
        job.wait("what was held up", |job| job.out.len() >= lines);
        job.signal(Signal::TERM);
        let done = job.end().code(0);
        assert!(
            done.out.iter().map(String::as_str).eq(sent.lines()),
            "each line once, and in order"
        );
    }
}

#[test]
fn an_output_that_is_not_read_makes_the_clients_wait() {
    let mut job = unread().start();
    let client = TcpStream::connect(job.address()).expect("it listens");
    let before = resident(job.pid());
    let full = fill(client, MOST, Duration::from_millis(500));
    let grown = resident(job.pid()).saturating_sub(before);
    assert!(grown < 64 << 10, "{grown} KiB more for {} bytes", full.sent.len());
    full.empties(job);
}
