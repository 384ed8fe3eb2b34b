//! A process that may not join is told why, the master reports it, and the job goes on.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::crew::{Cluster, Tap, assert_same_lines, of_views, private, views_expected};
use crate::job::{Ended, Job, Running};

/// A halted job with one worker.
struct Guarded {
    cluster: Cluster,
    master: Running,
    tap: Tap,
    worker: Running,
    addr: SocketAddr,
}

impl Guarded {
    fn start() -> Self {
        let cluster = Cluster::new("page_views");
        let mut master = of_views(cluster.master(1)).unread().start();
        let mut tap = Tap::on(&mut master);
        let addr = master.listening();
        let mut worker = cluster.worker("w1", addr).start();
        worker.placed(1);
        tap.read(1000);
        Self { cluster, master, tap, worker, addr }
    }

    /// A worker with its own token.
    fn stranger(&self, name: &str, token: &Path) -> Job {
        self.cluster.stranger(name, self.addr).args(["--token-file".as_ref(), token.as_os_str()])
    }

    /// A token of this cluster.
    fn token(&self, name: &str, options: &[&str]) -> std::path::PathBuf {
        let path = self.cluster.path(name);
        let out = path.to_str().expect("it is UTF-8");
        self.cluster.ask(&[&["token", "--out", out], options].concat()).code(0);
        path
    }

    /// Waits until the master reports a refusal with that reason.
    fn turned_away(&mut self, why: &str) {
        self.master.event_with("turned_away", |event| {
            event["why"].as_str().is_some_and(|text| text.contains(why))
        });
    }

    /// The job ends without other participants.
    fn end(mut self) {
        self.tap.read_all();
        let done = self.master.end().code(0);
        assert_same_lines(&self.tap.lines, &views_expected());
        let joined = done.err.iter().filter(|line| line.contains("\"joined\"")).count();
        assert_eq!(joined, 1, "another worker took part: {}", done.said());
        self.worker.end().code(0);
    }
}

/// Checks that a process was refused, reports it, and ends.
#[track_caller]
fn refused(done: Ended, why: &[&str]) {
    assert!(done.err.iter().all(|line| !line.contains("\"placed\"")), "{}", done.said());
    done.code(1).says(&["error"]).says(why);
}

#[test]
fn invalid_tokens_are_refused() {
    let mut job = Guarded::start();
    let once = job.token("once", &["--uses", "1"]);
    let client = job.token("client", &["--role", "client"]);
    fs::metadata(&once).map(|m| assert_eq!(m.permissions().mode() & 0o777, 0o600)).expect("made");

    refused(job.stranger("c", &client).run(), &["the token is for a client, not for a worker"]);

    // A token of another cluster, whose master is not running.
    let other = Cluster::new("page_views");
    let mut other_master = of_views(other.master(1)).start();
    other_master.listening();
    other.ask(&["stop"]).code(0);
    other_master.end().code(0);
    refused(job.stranger("o", &other.token()).run(), &["the token belongs to another cluster"]);

    // Its only use is spent by a worker that is then refused for its name.
    let namesake = Job::example("page_views");
    let namesake = job.cluster.as_stranger(namesake, "elsewhere", "w1", job.addr);
    let namesake = namesake.args(["--token-file".as_ref(), once.as_os_str()]);
    refused(namesake.run(), &["there is a worker `w1` already", "--name"]);
    refused(job.stranger("u", &once).run(), &["the token has been used up (1 of 1)", "`token`"]);
    job.turned_away("the token has been used up");

    // A forged token: valid form, unknown secret.
    let text = fs::read_to_string(job.cluster.token()).expect("it is ours");
    let damaged = job.cluster.path("damaged");
    private(&damaged, &text.replace(&text[40..50], "0000000000"));
    refused(job.stranger("d", &damaged).run(), &["damaged", "its check digits do not fit"]);
    let half = job.cluster.path("half");
    private(&half, &text[..text.len() / 2]);
    refused(job.stranger("h", &half).run(), &["half", "this is no token of dstream"]);
    let none = job.cluster.path("none");
    refused(job.stranger("n", &none).run(), &["none", "there is no such file", "`token`"]);
    refused(
        job.cluster.stranger("n", job.addr).run(),
        &["there is no certificate in", "no token", "--token-file"],
    );

    let open = job.cluster.path("open");
    private(&open, &text);
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).expect("it is ours");
    refused(job.stranger("p", &open).run(), &["open", "chmod"]);
    job.end();
}

#[test]
fn clients_without_the_right_token_learn_and_change_nothing() {
    let job = Guarded::start();
    let ask = |words: &[&str], token: &Path| {
        let client = Job::example("page_views").args(words).args(["--master"]);
        let client = client.args([job.addr.to_string()]);
        let client = client.args(["--state".as_ref(), job.cluster.path("of-client").as_os_str()]);
        client.args(["--token-file".as_ref(), token.as_os_str()]).run()
    };
    let other = Cluster::new("page_views");
    let mut other_master = of_views(other.master(1)).start();
    other_master.listening();
    refused(ask(&["status"], &other.state().join("client.token")), &["another cluster"]);
    refused(ask(&["stop", "--now"], &other.state().join("client.token")), &["another cluster"]);
    let worker = job.cluster.token();
    refused(ask(&["stop", "--now"], &worker), &["the token is for a worker"]);
    other.ask(&["stop"]).code(0);
    other_master.end().code(0);

    let client = job.token("client", &["--role", "client"]);
    assert!(ask(&["status"], &client).code(0).out.concat().contains("running"));
    // Its certificate is stored beside the token.
    let again = ask(&["workers"], &client).code(0);
    assert!(again.out.concat().contains("w1"), "{}", again.said());
    job.end();
}

#[test]
fn another_binary_is_no_part_of_the_job() {
    let mut job = Guarded::start();
    let token = job.cluster.token();
    let other = |role: &str, name: &str| {
        let other = Job::example("grep").args(["--role", role, "--name", name, "--log", "json"]);
        let other = other.args(["--master", &job.addr.to_string(), "--token-file"]).args([&token]);
        other.args(["--state".as_ref(), job.cluster.path("of-other").as_os_str()]).run()
    };
    refused(other("worker", "g"), &["another job", "`page_views`", "`grep`"]);
    job.turned_away("another job");
    // With a worker's certificate of this job, it is still another binary.
    let own = job.cluster.path("of-w1/identities/w1.json");
    let state = job.cluster.path("of-other");
    fs::create_dir_all(state.join("identities")).expect("there is room");
    fs::copy(own, state.join("identities/x.json")).expect("there is room");
    let other = Job::example("grep").args(["--role", "worker", "--name", "x", "--log", "json"]);
    let other = other.args(["--master", &job.addr.to_string(), "--state"]).args([&state]);
    refused(other.run(), &["another plan", "start the same binary everywhere"]);

    let asks = Job::example("grep").args(["status", "--state"]).args([job.cluster.state()]);
    refused(asks.run(), &["`page_views`, not of `grep`"]);
    job.end();
}

#[test]
fn a_name_is_taken_once() {
    let mut job = Guarded::start();
    refused(
        job.stranger("w1", &job.cluster.token()).run(),
        &["there is a worker `w1` already", "--name"],
    );
    let bad = job.stranger("no name", &job.cluster.token()).run();
    bad.code(2).says(&["`no name` is not a valid process name"]);
    job.tap.read(1000);
    job.end();
}

#[test]
fn no_address_is_public_unless_it_is_asked_for() {
    let job = Guarded::start();
    // A worker that listens on loopback only would be unreachable from other hosts.
    let far = Job::example("page_views").args(["--role", "worker", "--master", "192.0.2.1:7077"]);
    let far = far.args(["--token-file".as_ref(), job.cluster.token().as_os_str()]);
    far.run().code(2).says(&["the master at 192.0.2.1:7077 is on a network", "--listen 0.0.0.0:0"]);
    assert!(job.addr.ip().is_loopback());
    let status = job.cluster.status();
    let worker: SocketAddr = status["workers"][0]["addr"]
        .as_str()
        .and_then(|addr| addr.parse().ok())
        .expect("it listens");
    assert!(worker.ip().is_loopback(), "{status}");
    job.end();
}
