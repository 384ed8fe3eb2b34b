//! A relay of datagrams between two sockets, which can be cut.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Passes datagrams to one address and the answers back, until it is cut.
pub(super) struct Relay {
    pub(super) addr: SocketAddr,
    forth: Arc<AtomicBool>,
    back: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    pub(super) fn to(target: SocketAddr) -> Self {
        Self::at(Ipv4Addr::LOCALHOST, target)
    }

    /// Listens on that loopback address.
    pub(super) fn at(ip: Ipv4Addr, target: SocketAddr) -> Self {
        let front = UdpSocket::bind((ip, 0)).unwrap();
        let addr = front.local_addr().unwrap();
        let [forth, back, over] = [true, true, false].map(|flag| Arc::new(AtomicBool::new(flag)));
        let thread = {
            let (forth, back, over) = (forth.clone(), back.clone(), over.clone());
            thread::spawn(move || pass_on(&front, target, &forth, &back, &over))
        };
        Self { addr, forth, back, over, thread: Some(thread) }
    }

    /// Drops everything in both directions from now on.
    pub(super) fn cut(&self) {
        self.forth.store(false, Ordering::Relaxed);
        self.back.store(false, Ordering::Relaxed);
    }

    /// Drops answers from now on.
    pub(super) fn one_way(&self) {
        self.back.store(false, Ordering::Relaxed);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

fn pass_on(
    front: &UdpSocket,
    target: SocketAddr,
    forth: &AtomicBool,
    back: &AtomicBool,
    over: &AtomicBool,
) {
    let mut buffer = vec![0; 65_536];
    // Each caller has its own socket towards the target.
    let mut rear: BTreeMap<SocketAddr, UdpSocket> = BTreeMap::new();
    front.set_read_timeout(Some(Duration::from_micros(200))).unwrap();
    while !over.load(Ordering::Relaxed) {
        if let Ok((len, from)) = front.recv_from(&mut buffer) {
            let socket = rear.entry(from).or_insert_with(|| {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                socket.set_nonblocking(true).unwrap();
                socket
            });
            if forth.load(Ordering::Relaxed) {
                let _ = socket.send_to(&buffer[..len], target);
            }
        }
        for (caller, socket) in &rear {
            while let Ok((len, _)) = socket.recv_from(&mut buffer) {
                if back.load(Ordering::Relaxed) {
                    let _ = front.send_to(&buffer[..len], caller);
                }
            }
        }
    }
}
