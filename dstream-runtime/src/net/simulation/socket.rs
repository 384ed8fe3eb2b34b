//! A socket of the simulated network, as quinn uses sockets.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::time::{Sleep, sleep_until};

use super::network::Network;

/// Datagrams per send, as with segmentation offload.
const SEGMENTS: usize = 10;

#[derive(Debug)]
pub(super) struct Socket {
    network: Arc<Network>,
    addr: SocketAddr,
    id: u64,
}

impl Socket {
    pub(super) fn open(network: &Arc<Network>, addr: SocketAddr) -> Arc<Self> {
        let id = network.open(addr);
        Arc::new(Self { network: network.clone(), addr, id })
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable { socket: self, waits: None })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.network.send(self.id, self.addr, transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let at_once = bufs.len().min(meta.len());
        self.network.poll_recv(self.id, self.addr, at_once, cx).map(|datagrams| {
            for ((datagram, buf), meta) in datagrams.iter().zip(bufs).zip(meta) {
                // As with a real socket, excess bytes are cut off.
                let len = datagram.bytes.len().min(buf.len());
                buf[..len].copy_from_slice(&datagram.bytes[..len]);
                *meta = RecvMeta {
                    addr: datagram.from,
                    len,
                    stride: len,
                    ecn: datagram.ecn,
                    dst_ip: Some(self.addr.ip()),
                };
            }
            Ok(datagrams.len())
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addr)
    }

    fn max_transmit_segments(&self) -> usize {
        SEGMENTS
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

/// Resolves when the socket accepts datagrams.
struct Writable {
    socket: Arc<Socket>,
    waits: Option<Pin<Box<Sleep>>>,
}

impl UdpPoller for Writable {
    fn poll_writable(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(until) = self.socket.network.full_until(self.socket.addr) {
            let waits = self.waits.insert(Box::pin(sleep_until(until)));
            if waits.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Writable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writable").finish_non_exhaustive()
    }
}
