//! Worker processes that end abruptly, and lifelines that break without their processes.

use std::fs;
use std::io::Read;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, Signal, pidfd_getfd, pidfd_open};
use serde_json::Value;

use super::super::crew::{Cluster, assert_same_lines, of_views, views_expected};
use super::super::network::Network;
use super::super::{hosts, recovery};
use crate::job::Running;

/// The reason for a worker lost by its lifeline, before its lease.
const ENDED: &str = "its process has ended";

fn left(master: &mut Running, name: &str) -> Value {
    master.event_with("left", |news| news["worker"] == name)
}

#[test]
fn the_end_of_a_worker_s_process_is_noticed_before_its_lease_is_over() {
    let cluster = Cluster::new("page_views");
    let (mut master, mut tap, mut crew) = recovery::halted(&cluster, 3, of_views);
    crew[1].signal(Signal::KILL);
    assert_eq!(left(&mut master, "w2")["why"], ENDED);
    // The other two are unaffected.
    crew.remove(1);
    tap.read_all();
    let done = master.end().code(0);
    assert_same_lines(&tap.lines, &views_expected());
    let left = done.err.iter().filter(|line| line.contains("\"left\"")).count();
    assert_eq!(left, 1, "{}", done.said());
    for worker in crew {
        worker.end().code(0);
    }
}

#[test]
fn it_is_noticed_on_another_host_as_well() {
    let network = match Network::build(4) {
        Ok(network) => network,
        Err(why) => return dstream_tests::not_run("netns", &why),
    };
    let cluster = Cluster::new("page_views");
    let checkpoint = ["--checkpoint", "50ms"];
    let (mut master, mut tap, mut crew, _) = hosts::start(&network, &cluster, &checkpoint);
    tap.read(5000);
    crew[1].signal(Signal::KILL);
    assert_eq!(left(&mut master, "w3")["why"], ENDED);
    crew.remove(1);
    tap.read_all();
    master.end().code(0);
    assert_same_lines(&tap.lines, &views_expected());
    for worker in crew {
        worker.end().code(0);
    }
}

/// The master's ends of its workers' lifelines; `None` if the kernel does not give them to a test.
fn lifelines(master: &mut Running) -> Option<Vec<TcpStream>> {
    let port = master.listening().port();
    let pid = Pid::from_raw(master.pid() as i32).expect("it is a process");
    let process = pidfd_open(pid, PidfdFlags::empty()).expect("it runs");
    let files = fs::read_dir(format!("/proc/{}/fd", master.pid())).expect("it runs");
    let mut lifelines = Vec::new();
    for file in files {
        let name = file.expect("it can be listed").file_name();
        let fd = name.to_str().and_then(|text| text.parse().ok()).expect("it is a number");
        match pidfd_getfd(&process, fd, PidfdGetfdFlags::empty()) {
            // A connected socket is neither the listener nor the QUIC socket.
            Ok(fd) => lifelines.extend(Some(TcpStream::from(fd)).filter(|stream| {
                stream.local_addr().is_ok_and(|addr| addr.port() == port)
                    && stream.peer_addr().is_ok()
            })),
            // Closed meanwhile.
            Err(rustix::io::Errno::BADF) => {}
            Err(error) => {
                let why = format!("cannot get the files of a child: {error}");
                dstream_tests::not_run("pidfd", &why);
                return None;
            }
        }
    }
    Some(lifelines)
}

#[test]
fn a_worker_whose_lifeline_ends_and_that_lives_is_not_lost() {
    let cluster = Cluster::new("page_views");
    let (mut master, mut tap, crew) = recovery::halted(&cluster, 3, of_views);
    let lifelines = loop {
        match lifelines(&mut master) {
            Some(all) if all.len() == 3 => break all,
            // The question takes a moment.
            Some(_) => drop(cluster.status()),
            None => return,
        }
    };
    for mut lifeline in lifelines {
        lifeline.shutdown(Shutdown::Write).expect("it is connected");
        // The worker has closed its end, so the master notices.
        lifeline.set_nonblocking(false).expect("it is a socket");
        lifeline.set_read_timeout(Some(Duration::from_secs(60))).expect("it is a socket");
        assert_eq!(lifeline.read(&mut [0]).expect("it ends"), 0);
    }
    // A silent worker is lost after a tenth of a second.
    for _ in 0..20 {
        let status = cluster.status();
        assert_eq!(status["workers"].as_array().map(Vec::len), Some(3), "{status}");
    }
    tap.read_all();
    let done = master.end().code(0);
    assert_same_lines(&tap.lines, &views_expected());
    assert!(!done.err.iter().any(|line| line.contains("\"left\"")), "{}", done.said());
    for worker in crew {
        worker.end().code(0);
    }
}
