//! A cluster of several hosts.

use std::net::{Ipv4Addr, SocketAddr};

use super::crew::{Cluster, Tap, assert_same_lines, of_views, views_expected};
use super::network::Network;
use crate::job::Running;

/// A master of `page_views` on host 1, and placed workers on the others.
pub(super) fn start(
    network: &Network,
    cluster: &Cluster,
    args: &[&str],
) -> (Running, Tap, Vec<Running>, SocketAddr) {
    let any = (Ipv4Addr::UNSPECIFIED, 0).into();
    let master = cluster.as_master(network.example(1, "page_views"), any, 3).args(args);
    let mut master = of_views(master).unread().start();
    let tap = Tap::on(&mut master);
    let addr = SocketAddr::from((Network::addr(1), master.listening().port()));
    let worker = |n: u8| {
        let (job, name) = (network.example(n, "page_views"), format!("w{n}"));
        let job = cluster.as_stranger(job, &format!("of-{name}"), &name, addr);
        let job = job.args(["--token-file".as_ref(), cluster.token().as_os_str()]);
        job.args(["--listen", "0.0.0.0:0"]).start()
    };
    let mut workers: Vec<_> = (2..=4).map(worker).collect();
    for worker in &mut workers {
        worker.placed(1);
    }
    (master, tap, workers, addr)
}

#[test]
fn a_job_on_four_hosts() {
    let network = match Network::build(4) {
        Ok(network) => network,
        Err(why) => return dstream_tests::not_run("netns", &why),
    };
    let cluster = Cluster::new("page_views");
    let (mut master, mut tap, workers, addr) = start(&network, &cluster, &[]);
    tap.read(5000);
    for n in 2..=4 {
        let name = format!("w{n}");
        let joined = master.event_with("joined", |event| event["worker"] == name);
        let at = joined["addr"].as_str().and_then(|addr| addr.parse::<SocketAddr>().ok());
        assert_eq!(at.map(|at| at.ip()), Some(Network::addr(n).into()), "{joined}");
    }
    // From another host, with a client's token.
    let client = network.example(3, "page_views").args(["workers", "--master", &addr.to_string()]);
    let client = client.args(["--state".as_ref(), cluster.path("of-client").as_os_str()]);
    let token = cluster.state().join("client.token");
    let said = client.args(["--token-file".as_ref(), token.as_os_str()]).run().code(0);
    assert!(said.out.concat().contains("10.77.0.4:"), "{}", said.said());
    tap.read_all();
    master.end().code(0);
    assert_same_lines(&tap.lines, &views_expected());
    for worker in workers {
        worker.end().code(0);
    }
}

#[test]
fn a_host_that_is_cut_off_is_named() {
    let network = match Network::build(4) {
        Ok(network) => network,
        Err(why) => return dstream_tests::not_run("netns", &why),
    };
    let cluster = Cluster::new("page_views");
    let (master, tap, mut workers, _) = start(&network, &cluster, &[]);
    network.unplug(4);
    let cut_off = workers.pop().expect("there are three");
    let rest = std::thread::spawn(move || {
        let mut tap = tap;
        tap.read_all();
        tap
    });
    master.end().code(1).says(&["worker `w4`", "start the job again"]);
    let tap = rest.join().expect("it reads text");
    let expected = views_expected();
    assert_same_lines(&tap.lines, &expected[..tap.lines.len()]);
    cut_off.end().code(1).says(&["the master at 10.77.0.1:", "is gone"]);
    for worker in workers {
        worker.end().code(0);
    }
}
