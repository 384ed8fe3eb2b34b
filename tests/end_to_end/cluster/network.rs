//! Hosts of a test: network namespaces with an interface, addresses and a port space each, on one switch. A
//! test that cannot have them is not run, with the reason.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::job::{Job, binary};

/// Hosts on a switch, removed on drop.
pub(super) struct Network {
    name: String,
    hosts: u8,
}

impl Network {
    /// Builds that many hosts, from 1.
    pub(super) fn build(hosts: u8) -> Result<Self, String> {
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
            // The second address is not the cluster's.
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

    pub(super) fn addr(n: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, n)
    }

    /// An example on a host.
    pub(super) fn example(&self, n: u8, name: &str) -> Job {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.host(n)]).arg(binary(name));
        Job::of(command)
    }

    /// What stands for the network of a host.
    pub(super) fn host_path(&self, n: u8) -> PathBuf {
        Path::new("/run/netns").join(self.host(n))
    }

    /// This thread, and those that it starts, are on that host from here on.
    pub(super) fn enter(host: &Path) {
        let host = File::open(host).expect("it was made");
        let network = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(host.as_fd(), network).expect("root may");
    }

    /// Pulls the plug of a host.
    pub(super) fn unplug(&self, n: u8) {
        ip(&["-n", &self.switch(), "link", "set", &format!("port{n}"), "down"])
            .expect("it is there");
    }

    /// Drops everything sent from one host to another, silently. The other direction is unaffected.
    pub(super) fn cut(&self, from: u8, to: u8) {
        let to = Self::addr(to).to_string();
        // The address of no interface on this switch.
        let unused = ["lladdr", "02:00:00:00:00:01", "dev", "eth0", "nud", "permanent"];
        let args = ["-n", &self.host(from), "neigh", "replace", &to];
        ip(&[&args[..], &unused].concat()).expect("the host is there");
    }

    /// Undoes [`cut`](Self::cut).
    pub(super) fn heal(&self, from: u8, to: u8) {
        let to = Self::addr(to).to_string();
        ip(&["-n", &self.host(from), "neigh", "del", &to, "dev", "eth0"]).expect("it was cut");
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let hosts = (1..=self.hosts).map(|n| self.host(n));
        for name in hosts.chain([self.switch()]) {
            // It may not exist.
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
