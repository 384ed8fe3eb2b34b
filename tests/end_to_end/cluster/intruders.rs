//! Hostile bytes at the ports of a master and a worker, and a network that corrupts datagrams: the job goes
//! on with the same result.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::crew::{Cluster, Tap, assert_same_lines, of_views, views_expected};
use crate::text::Random;

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.set_read_timeout(Some(Duration::from_millis(20))).expect("it can be set");
    socket
}

/// A background task that runs until dropped.
struct Background {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    fn start(run: impl FnOnce(&AtomicBool) + Send + 'static) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let seen = over.clone();
        Self { over, thread: Some(std::thread::spawn(move || run(&seen))) }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the intruder failed");
        }
    }
}

/// Sends bursts of garbage to some ports, and reads the answers in between.
fn flood(ports: Vec<SocketAddr>) -> Background {
    Background::start(move |over| {
        let mut random = Random(7);
        let socket = socket();
        let mut answer = [0; 2048];
        while !over.load(Ordering::SeqCst) {
            for port in &ports {
                for _ in 0..64 {
                    // A full system buffer is not a failure.
                    let _ = socket.send_to(&garbage(&mut random), port);
                }
            }
            let _ = socket.recv_from(&mut answer);
        }
    })
}

/// Noise, and noise with the header of a QUIC packet.
fn garbage(random: &mut Random) -> Vec<u8> {
    let len = match random.below(4) {
        0 => random.below(4),
        1 => 1200,
        _ => random.below(1500),
    };
    let mut bytes: Vec<u8> = (0..len).map(|_| random.below(256) as u8).collect();
    let start: &[u8] = match random.below(5) {
        // Long headers of version 1 (initial, 0-RTT, handshake) and version 0; a short header.
        0 => &[0xc0, 0, 0, 0, 1, 8],
        1 => &[0xd3, 0, 0, 0, 1, 20],
        2 => &[0xe3, 0, 0, 0, 1, 255],
        3 => &[0x80, 0, 0, 0, 0, 0],
        _ => &[0x43],
    };
    let shared = start.len().min(bytes.len());
    bytes[..shared].copy_from_slice(&start[..shared]);
    bytes
}

/// A relay between a worker and its master, which corrupts, truncates, duplicates or drops one datagram in
/// eight.
fn relay(master: SocketAddr) -> (SocketAddr, Background) {
    let near = socket();
    let addr = near.local_addr().expect("it has one");
    let relay = Background::start(move |over| {
        near.set_nonblocking(true).expect("it can be set");
        let mut random = Random(11);
        let mut lines: Vec<(SocketAddr, UdpSocket)> = Vec::new();
        let mut bytes = [0; 65536];
        while !over.load(Ordering::SeqCst) {
            let mut idle = true;
            while let Some((len, from)) = received(&near, &mut bytes) {
                idle = false;
                let known = lines.iter().position(|(of, _)| *of == from);
                let line = known.unwrap_or_else(|| {
                    let far = socket();
                    far.connect(master).expect("it can be named");
                    far.set_nonblocking(true).expect("it can be set");
                    lines.push((from, far));
                    lines.len() - 1
                });
                let far = &lines[line].1;
                pass_on(&mut random, &mut bytes[..len], |bytes| drop(far.send(bytes)));
            }
            for (to, far) in &lines {
                while let Some((len, _)) = received(far, &mut bytes) {
                    idle = false;
                    pass_on(&mut random, &mut bytes[..len], |bytes| drop(near.send_to(bytes, to)));
                }
            }
            if idle {
                std::thread::yield_now();
            }
        }
    });
    (addr, relay)
}

/// The next datagram, if any.
fn received(socket: &UdpSocket, bytes: &mut [u8]) -> Option<(usize, SocketAddr)> {
    match socket.recv_from(bytes) {
        Ok(received) => Some(received),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        // The sender has gone.
        Err(_) => None,
    }
}

fn pass_on(random: &mut Random, bytes: &mut [u8], send: impl Fn(&[u8])) {
    match random.below(32) {
        0 => {
            let at = random.below(bytes.len().max(1) as u64) as usize;
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
            send(bytes);
        }
        1 => send(&bytes[..bytes.len() / 2]),
        2 => {
            send(bytes);
            send(bytes);
        }
        3 => {}
        _ => send(bytes),
    }
}

#[test]
fn garbage_on_every_port_changes_nothing() {
    let cluster = Cluster::new("page_views");
    let mut master = of_views(cluster.master(2)).unread().start();
    let mut tap = Tap::on(&mut master);
    let addr = master.listening();
    let early = flood(vec![addr]);
    let mut workers: Vec<_> =
        ["w1", "w2"].iter().map(|name| cluster.worker(name, addr).start()).collect();
    let mut ports = vec![addr];
    for worker in &mut workers {
        let connected = worker.event("connected");
        ports.extend(connected["listen"].as_str().and_then(|addr| addr.parse::<SocketAddr>().ok()));
    }
    assert_eq!(ports.len(), 3);
    drop(early);
    let _flood = flood(ports);
    tap.read(10_000);
    // Honest processes still connect.
    let mut late = cluster.worker("w3", addr).start();
    late.placed(1);
    assert_eq!(cluster.status()["workers"].as_array().map(Vec::len), Some(3));
    tap.read_all();
    master.end().code(0);
    assert_same_lines(&tap.lines, &views_expected());
    for worker in workers {
        worker.end().code(0);
    }
    late.end().code(0);
}

#[test]
fn a_network_that_spoils_datagrams_spoils_no_result() {
    let cluster = Cluster::new("page_views");
    let mut master = of_views(cluster.master(2)).start();
    let addr = master.listening();
    let (through, _relay) = relay(addr);
    let near = cluster.worker("near", addr).start();
    let far = cluster.worker("far", through).start();
    let done = master.end().code(0);
    assert_same_lines(&done.out, &views_expected());
    near.end().code(0);
    // The master's last message may be lost.
    far.end();
}
