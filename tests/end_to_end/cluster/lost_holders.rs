//! Workers killed together. While a holder of acknowledged records is left, the job goes on and ends
//! normally; otherwise it reports what is lost and stops, and goes on without it if told to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::crew::{ANY, Cluster};
use super::post::post;
use crate::job::{Job, Running, listens_at};
use crate::published::Published;

/// Time for a job to report a loss and end, on a busy machine.
const SOON: Duration = Duration::from_secs(20);
/// Time for a master to say a loss once no worker can come any more that may hold what is missed.
const AT_ONCE: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(120);

fn counting(dir: &Cluster, at: SocketAddr) -> Job {
    let job = dir.master_at(at, 3).source("lines", "http://127.0.0.1:0/lines");
    let job = job.sink("windowed", "none:").args(["--checkpoint", "2s"]);
    job.files("counts", "csv", &dir.path("out"))
}

/// A master and three workers.
fn cluster(dir: &Cluster) -> (Running, Vec<Option<Running>>) {
    let mut master = counting(dir, ANY).start();
    let addr = master.listening();
    let crew = start(dir, addr);
    (master, crew)
}

fn start(dir: &Cluster, addr: SocketAddr) -> Vec<Option<Running>> {
    let mut crew = dir.crew(&["w1", "w2", "w3"], addr);
    crew.iter_mut().for_each(|worker| drop(worker.placed(1)));
    crew.into_iter().map(Some).collect()
}

/// The receiving worker and its address.
fn receiving(master: &mut Running) -> (usize, SocketAddr) {
    let event = master.event("receiving");
    let name = event["worker"].as_str().and_then(|name| name.strip_prefix('w'));
    let worker: usize = name.and_then(|n| n.parse().ok()).expect("it is one of the crew");
    (worker - 1, listens_at(&event))
}

/// Posts words in a row until stopped; returns those answered, and those that may have been received.
struct Posting {
    stop: Arc<AtomicBool>,
    heard: Receiver<()>,
    thread: JoinHandle<(Vec<String>, Vec<String>)>,
}

impl Posting {
    fn start(addr: SocketAddr, name: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (until, (told, heard)) = (stop.clone(), channel());
        let thread = std::thread::spawn(move || {
            let (mut answered, mut unsure) = (Vec::new(), Vec::new());
            for number in 0.. {
                if until.load(Ordering::Acquire) {
                    break;
                }
                let word = format!("{name}{number}");
                match post(addr, "/lines", &format!("{word}\n")) {
                    Ok(status) if status.starts_with("HTTP/1.1 2") => {
                        answered.push(word);
                        // The test may be over.
                        let _ = told.send(());
                    }
                    _ => {
                        unsure.push(word);
                        // The receiver is lost.
                        std::thread::yield_now();
                    }
                }
            }
            (answered, unsure)
        });
        Self { stop, heard, thread }
    }

    /// Waits for that many more answers.
    fn wait(&self, more: usize) {
        while self.heard.try_recv().is_ok() {}
        for _ in 0..more {
            self.heard.recv_timeout(PATIENCE).expect("posts are answered");
        }
    }

    fn stop(self) -> (Vec<String>, Vec<String>) {
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("it has posted")
    }
}

/// The published count of each word.
fn counted(dir: &Cluster) -> BTreeMap<String, u64> {
    let published = Published::read(&dir.path("out"));
    let mut counts = BTreeMap::new();
    for line in published.lines() {
        let (word, count) = line.rsplit_once(',').unwrap_or_else(|| panic!("{line}"));
        if let Ok(count) = count.parse::<u64>() {
            *counts.entry(word.to_owned()).or_default() += count;
        }
    }
    counts
}

fn kill(crew: &mut [Option<Running>], all: impl IntoIterator<Item = usize>) {
    let killed: Vec<Running> = all.into_iter().filter_map(|which| crew[which].take()).collect();
    killed.iter().for_each(|worker| worker.signal(Signal::KILL));
}

/// Waits for that many more batches.
fn batches(master: &mut Running, more: usize) {
    let before = master.events("batch").count();
    master.wait("batches", |job| job.events("batch").count() >= before + more);
}

/// Two of three workers end together; the third is the receiver and holds everything answered.
fn two_of_three(posts: usize) {
    let dir = Cluster::new("word_count");
    let (mut master, mut crew) = cluster(&dir);
    let (receiver, addr) = receiving(&mut master);
    let posting = Posting::start(addr, "word");
    batches(&mut master, 2);
    // Part of the next batch.
    posting.wait(posts);
    kill(&mut crew, (0..3).filter(|worker| *worker != receiver));
    master.event("recovering");
    batches(&mut master, 3);
    let (answered, unsure) = posting.stop();
    assert!(unsure.is_empty(), "the receiver lives: {unsure:?}");
    dir.ask(&["stop"]).code(0);
    master.end().code(0);
    let counts = counted(&dir);
    let wrong: Vec<_> = answered.iter().filter(|word| counts.get(*word) != Some(&1)).collect();
    assert!(wrong.is_empty(), "{wrong:?} of {}", answered.len());
    assert_eq!(counts.len(), answered.len());
}

/// Tests more phases of a batch if `DSTREAM_TIMES` says so.
#[test]
fn two_of_three_workers_that_end_together_take_nothing_with_them() {
    let times = std::env::var("DSTREAM_TIMES").ok().and_then(|times| times.parse().ok());
    for turn in 0..times.unwrap_or(2_usize) {
        two_of_three(1 + turn * 17 % 97);
    }
}

/// The job ends with a report of the loss; returns the message.
fn ends_with_loss(mut master: Running) -> String {
    assert!(master.ends_within(SOON), "it waits for what cannot come");
    let error = master.event("error");
    let message = error["message"].as_str().expect("it has one").to_owned();
    master.end().code(1);
    for part in ["acknowledged records are lost", " records of `lines` in ", "--accept-loss"] {
        assert!(message.contains(part), "{part} is missing: {message}");
    }
    message
}

/// Starts three workers, sends for some batches, and stops the job in order: what was acknowledged.
fn works_with_new_workers(dir: &Cluster, mut master: Running) -> Vec<String> {
    let crew = start(dir, master.listening());
    let (_, at) = receiving(&mut master);
    let posting = Posting::start(at, "after");
    batches(&mut master, 3);
    let (after, _) = posting.stop();
    dir.ask(&["stop"]).code(0);
    master.end().code(0);
    crew.into_iter().flatten().for_each(|worker| drop(worker.end().code(0)));
    after
}

#[test]
fn all_workers_that_end_together_end_the_job_with_what_is_lost_and_it_goes_on_when_told() {
    let dir = Cluster::new("word_count");
    let (mut master, mut crew) = cluster(&dir);
    let (_, at) = receiving(&mut master);
    let posting = Posting::start(at, "before");
    batches(&mut master, 2);
    posting.wait(50);
    kill(&mut crew, 0..3);
    let said = ends_with_loss(master);
    let (before, unsure) = posting.stop();
    // The same again at once, without workers.
    assert_eq!(ends_with_loss(counting(&dir, ANY).start()), said);
    let mut master = counting(&dir, ANY).args(["--accept-loss"]).start();
    let warned = |event: &serde_json::Value| {
        event["message"].as_str().is_some_and(|text| text.contains("goes on without"))
    };
    master.event_with("warning", warned);
    let after = works_with_new_workers(&dir, master);
    let mut counts = counted(&dir);
    let wrong: Vec<_> = after.iter().filter(|word| counts.remove(*word) != Some(1)).collect();
    assert!(wrong.is_empty(), "{wrong:?} of {}", after.len());
    let lost = before.iter().filter(|word| counts.remove(*word) != Some(1)).count();
    assert!(lost > 0, "some of {} were in no batch that was published", before.len());
    for word in unsure {
        assert!(counts.remove(&word).is_none_or(|count| count == 1), "{word}");
    }
    assert!(counts.is_empty(), "not sent: {counts:?}");
}

/// The receiver and the holder of its copies end together; a third worker has nothing of theirs.
#[test]
fn both_holders_that_end_together_end_the_job_with_what_is_lost() {
    let dir = Cluster::new("word_count");
    let mut master = counting(&dir, ANY).start();
    let addr = master.listening();
    // Started in order: the first receives, the second holds the copies.
    let mut crew: Vec<Option<Running>> = Vec::new();
    for name in ["w1", "w2", "w3"] {
        crew.push(Some(dir.worker(name, addr).start()));
        master.event_with("joined", |event| event["worker"] == name);
    }
    let (receiver, at) = receiving(&mut master);
    assert_eq!(receiver, 0);
    let posting = Posting::start(at, "word");
    batches(&mut master, 2);
    posting.wait(50);
    kill(&mut crew, [0, 1]);
    ends_with_loss(master);
    drop(posting.stop());
    // The remaining worker waits for a master.
    let left = crew.into_iter().flatten().next().expect("one is left");
    left.signal(Signal::TERM);
    left.end();
}

/// All workers fall silent at the same time, as hosts do that lose their power: their processes do not end as far as the
/// master can tell.
fn power_cut(dir: &Cluster) -> (Running, Vec<Running>) {
    let (mut master, crew) = cluster(dir);
    let crew: Vec<Running> = crew.into_iter().flatten().collect();
    let (_, at) = receiving(&mut master);
    let posting = Posting::start(at, "word");
    batches(&mut master, 2);
    posting.wait(50);
    crew.iter().for_each(|worker| worker.signal(Signal::STOP));
    master.wait("losses", |job| job.events("left").count() >= 3);
    crew.iter().for_each(|worker| worker.signal(Signal::KILL));
    drop(posting.stop());
    (master, crew)
}

/// Hosts are there again after a power cut, with new processes of the same names: nothing more is waited for.
#[test]
fn workers_that_come_again_with_nothing_end_the_job_at_once() {
    let dir = Cluster::new("word_count");
    let (mut master, lost) = power_cut(&dir);
    drop(lost);
    let crew = dir.crew(&["w1", "w2", "w3"], master.listening());
    master.wait("workers", |job| job.events("joined").count() >= 6);
    let begun = Instant::now();
    let said = ends_with_loss(master);
    eprintln!(
        "the loss was said {} ms after the last worker had joined",
        begun.elapsed().as_millis()
    );
    assert!(begun.elapsed() < SOON);
    // It is known for good: the next start says the same without workers.
    assert_eq!(ends_with_loss(counting(&dir, ANY).start()), said);
    crew.iter().for_each(|worker| worker.signal(Signal::TERM));
    crew.into_iter().for_each(|worker| drop(worker.end()));
}

/// They are waited for, for a bounded time; when the job is started again they have little more of it.
#[test]
fn workers_that_do_not_come_again_are_waited_for_once() {
    let dir = Cluster::new("word_count");
    let (mut master, lost) = power_cut(&dir);
    drop(lost);
    master.event("awaiting");
    master.wait("the end", |job| job.events("error").next().is_some());
    ends_with_loss(master);
    let begun = Instant::now();
    ends_with_loss(counting(&dir, ANY).start());
    eprintln!("the loss was said again {} ms after a start", begun.elapsed().as_millis());
    // When it is accepted, the job goes on.
    let master = counting(&dir, ANY).args(["--accept-loss"]).start();
    let after = works_with_new_workers(&dir, master);
    let counts = counted(&dir);
    let wrong: Vec<_> = after.iter().filter(|word| counts.get(*word) != Some(&1)).collect();
    assert!(wrong.is_empty(), "{wrong:?} of {}", after.len());
}

/// All processes of a job that was sent words end at once, and no master learns of any.
fn all_end(dir: &Cluster) {
    let (mut master, crew) = cluster(dir);
    let (_, at) = receiving(&mut master);
    let posting = Posting::start(at, "word");
    batches(&mut master, 2);
    posting.wait(50);
    super::restarts::kill(master);
    crew.into_iter().flatten().for_each(super::restarts::kill);
    drop(posting.stop());
}

/// A master that is started again knows by name which workers may hold something.
#[test]
fn a_new_master_says_a_loss_when_all_workers_that_may_come_are_there() {
    let dir = Cluster::new("word_count");
    all_end(&dir);
    let mut master = counting(&dir, ANY).start();
    let addr = master.listening();
    let event = master.event("awaiting");
    assert_eq!(event["workers"], serde_json::json!(["w1", "w2", "w3"]), "{event}");
    let crew = dir.crew(&["w1", "w2", "w3"], addr);
    master.wait("workers", |job| job.events("joined").count() >= 3);
    let begun = Instant::now();
    let said = ends_with_loss(master);
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    // It is known for good: the next start says the same without workers.
    assert_eq!(ends_with_loss(counting(&dir, ANY).start()), said);
    crew.iter().for_each(|worker| worker.signal(Signal::TERM));
    crew.into_iter().for_each(|worker| drop(worker.end()));
}

/// A worker that lives and is late is waited for, and comes with all that is missed.
#[test]
fn a_new_master_waits_for_a_worker_that_is_late() {
    let dir = Cluster::new("word_count");
    let at = super::crew::free_port();
    let mut master = counting(&dir, at).start();
    let mut crew = start(&dir, master.listening());
    let (receiver, to) = receiving(&mut master);
    let posting = Posting::start(to, "word");
    batches(&mut master, 2);
    posting.wait(50);
    let (answered, unsure) = posting.stop();
    let late = crew[receiver].take().expect("it lives");
    late.signal(Signal::STOP);
    super::restarts::kill(master);
    crew.into_iter().flatten().for_each(super::restarts::kill);
    let names = ["w1", "w2", "w3"].into_iter().enumerate();
    let names: Vec<_> = names.filter(|(w, _)| *w != receiver).map(|(_, name)| name).collect();
    let mut master = counting(&dir, at).start();
    let mut crew = dir.crew(&names, master.listening());
    // Said after 10 s.
    master.event_with("warning", |event| {
        event["message"].as_str().is_some_and(|text| text.contains("2 of 3 workers have joined"))
    });
    assert_eq!(master.events("error").count(), 0);
    late.signal(Signal::CONT);
    crew.push(late);
    batches(&mut master, 2);
    dir.ask(&["stop"]).code(0);
    master.end().code(0);
    let mut counts = counted(&dir);
    let wrong: Vec<_> = answered.iter().filter(|word| counts.remove(*word) != Some(1)).collect();
    assert!(wrong.is_empty(), "{wrong:?} of {}", answered.len());
    assert!(counts.keys().all(|word| unsure.contains(word)), "not sent: {counts:?}");
    crew.into_iter().for_each(|worker| drop(worker.end().code(0)));
}
