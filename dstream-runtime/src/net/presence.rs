//! Whether any process has a port, as its host says.
//!
//! QUIC takes an answer that does not come for a lost packet, and waits for seconds. The kernel of the other host says
//! at once that no process has the port, to a socket that is connected to it. That a port is not refused says nothing:
//! a host that is down, or drops packets, is silent.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// How long an answer is waited for before the datagram is sent again.
const AGAIN: Duration = Duration::from_millis(200);

/// A question to a port, which its process does not hear of.
pub(crate) struct Presence {
    socket: UdpSocket,
    asked: Instant,
}

impl Presence {
    /// Asks; none where this host cannot.
    pub(crate) fn ask(addr: SocketAddr) -> Option<Self> {
        let any: SocketAddr = match addr {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).ok()?;
        socket.connect(addr).ok()?;
        socket.set_nonblocking(true).ok()?;
        let this = Self { socket, asked: Instant::now() };
        this.send();
        Some(this)
    }

    /// Sends an empty datagram, which QUIC skips.
    fn send(&self) {
        let _ = self.socket.send(&[]);
    }

    /// Whether the host has said by now that no process has the port.
    pub(crate) fn is_refused(&mut self) -> bool {
        let refused = |error: std::io::Error| error.kind() == ErrorKind::ConnectionRefused;
        if self.socket.recv(&mut [0]).is_err_and(refused) {
            return true;
        }
        if self.asked.elapsed() >= AGAIN {
            self.asked = Instant::now();
            self.send();
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_no_process_has_is_refused_at_once() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(there) = UdpSocket::bind(host) else { continue };
            let addr = there.local_addr().unwrap();
            let mut presence = Presence::ask(addr).unwrap();
            // It has been delivered, so an answer would be there.
            there.recv(&mut [0]).unwrap();
            assert!(!presence.is_refused());
            drop(there);
            let mut gone = Presence::ask(addr).unwrap();
            let deadline = Instant::now() + Duration::from_secs(20);
            while !gone.is_refused() {
                assert!(Instant::now() < deadline);
                std::thread::yield_now();
            }
        }
    }
}
