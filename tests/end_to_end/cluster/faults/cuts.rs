//! Networks that drop everything between two hosts, in one or both directions, while all processes live.

use super::super::crew::{Cluster, assert_same_lines, views_expected};
use super::super::hosts;
use super::super::network::Network;
use super::zombies::{assert_came_back, reads_until_owns};

/// A job is halted, the network is cut in these directions, and the job goes on; then the network heals, and
/// the disconnected worker rejoins.
fn goes_on_without(cuts: &[(u8, u8)]) {
    let network = match Network::build(4) {
        Ok(network) => network,
        Err(why) => return dstream_tests::not_run("netns", &why),
    };
    let cluster = Cluster::new("page_views");
    let checkpoint = ["--checkpoint", "50ms"];
    let (mut master, mut tap, crew, _) = hosts::start(&network, &cluster, &checkpoint);
    tap.read(5000);
    cuts.iter().for_each(|(from, to)| network.cut(*from, *to));
    // Batches in flight need both workers, or the master.
    tap.read(8000);
    let left = master.event("left");
    master.event("recovering");
    let name = left["worker"].as_str().expect("it has a name").to_owned();
    let is_of = |cut: &(u8, u8)| [cut.0, cut.1].iter().any(|host| name == format!("w{host}"));
    assert!(cuts.iter().all(is_of), "{left}");
    cuts.iter().for_each(|(from, to)| network.heal(*from, *to));
    reads_until_owns(&mut tap, &name, || cluster.status_by(network.example(1, "page_views")));
    tap.read_all();
    master.end().code(0);
    assert_same_lines(&tap.lines, &views_expected());
    for (worker, host) in crew.into_iter().zip(2..) {
        let done = worker.end().code(0);
        if name == format!("w{host}") {
            assert_came_back(&done);
        }
    }
}

#[test]
fn two_workers_cannot_reach_each_other() {
    goes_on_without(&[(3, 4), (4, 3)]);
}

#[test]
fn a_worker_cannot_reach_another() {
    goes_on_without(&[(3, 4)]);
}

#[test]
fn a_worker_is_reached_by_no_other() {
    goes_on_without(&[(2, 4), (3, 4)]);
}

#[test]
fn a_worker_and_its_master_cannot_reach_each_other() {
    goes_on_without(&[(1, 4), (4, 1)]);
}

#[test]
fn a_worker_cannot_reach_its_master() {
    goes_on_without(&[(4, 1)]);
}

#[test]
fn a_master_cannot_reach_a_worker() {
    goes_on_without(&[(1, 4)]);
}
