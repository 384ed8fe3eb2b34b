//! A cluster of several hosts: network namespaces with an interface, addresses and a port space each, on
//! one switch. Skipped, with the reason, where they cannot be had.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::crew::{Cluster, Tap, assert_same_lines, of_views, views_expected};
use crate::job::{Job, Running, binary};

/// Hosts on a switch. They are taken away when this is dropped.
struct Network {
    name: String,
    hosts: u8,
}

impl Network {
    fn build(hosts: u8) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("only root can make hosts of network namespaces".to_owned());
        }
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("dst{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let network = Self { name, hosts };
        let switch = network.switch();
        ip(&["netns", "add", &switch])?;
        ip(&["-n", &switch, "link", "add", "switch", "type", "bridge"])?;
        ip(&["-n", &switch, "link", "set", "switch", "up"])?;
        for n in 1..=hosts {
            let (host, port) = (network.host(n), format!("port{n}"));
            ip(&["netns", "add", &host])?;
            ip(&[
                "-n", &host, "link", "add", "eth0", "type", "veth", "peer", "name", &port, "netns",
                &switch,
            ])?;
            ip(&["-n", &switch, "link", "set", &port, "master", "switch", "up"])?;
            // A second one, which is none of the cluster's.
            for addr in [Self::addr(n), Ipv4Addr::new(10, 78, 0, n)] {
                ip(&["-n", &host, "addr", "add", &format!("{addr}/24"), "dev", "eth0"])?;
            }
            ip(&["-n", &host, "link", "set", "lo", "up"])?;
            ip(&["-n", &host, "link", "set", "eth0", "up"])?;
        }
        Ok(network)
    }

    fn switch(&self) -> String {
        format!("{}-switch", self.name)
    }

    fn host(&self, n: u8) -> String {
        format!("{}-{n}", self.name)
    }

    fn addr(n: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, n)
    }

    /// An example on a host.
    fn example(&self, n: u8, name: &str) -> Job {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.host(n)]).arg(binary(name));
        Job::of(command)
    }

    /// Pulls the plug of a host.
    fn unplug(&self, n: u8) {
        ip(&["-n", &self.switch(), "link", "set", &format!("port{n}"), "down"])
            .expect("it is there");
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let hosts = (1..=self.hosts).map(|n| self.host(n));
        for name in hosts.chain([self.switch()]) {
            // It may never have been made.
            let _ = ip(&["netns", "del", &name]);
        }
    }
}

fn ip(args: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(args).output();
    let output = output.map_err(|error| format!("there is no `ip`: {error}"))?;
    let err = String::from_utf8_lossy(&output.stderr);
    output.status.success().then_some(()).ok_or_else(|| format!("ip {}: {err}", args.join(" ")))
}

/// A master on host 1, and workers on the others, which have been placed.
fn start(network: &Network, cluster: &Cluster) -> (Running, Tap, Vec<Running>, SocketAddr) {
    let any = (Ipv4Addr::UNSPECIFIED, 0).into();
    let master = cluster.as_master(network.example(1, "page_views"), any, 3);
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
        Err(why) => return eprintln!("skipped: {why}"),
    };
    let cluster = Cluster::new("page_views");
    let (mut master, mut tap, workers, addr) = start(&network, &cluster);
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
        Err(why) => return eprintln!("skipped: {why}"),
    };
    let cluster = Cluster::new("page_views");
    let (master, tap, mut workers, _) = start(&network, &cluster);
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
