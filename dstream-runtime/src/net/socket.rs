//! The UDP socket, and the QUIC configuration.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use quinn::congestion::CubicConfig;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    ClientConfig, EndpointConfig, IdleTimeout, MtuDiscoveryConfig, ServerConfig, TransportConfig,
    VarInt,
};
use quinn_proto::HashedConnectionIdGenerator;
use ring::hmac;
use socket2::{Domain, Protocol, Socket, Type};

use super::options::{
    CONTROL_WINDOW, FIRST_WINDOW, Limits, MTU_MAX, PAYLOAD_MAX, SEND_WINDOW, STRANGER_WINDOW,
    STREAM_WINDOW,
};
use super::trust::TrustError;

/// The kernel limits the buffer, which slows down blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SmallBuffer {
    /// The sysctl that limits it.
    pub sysctl: &'static str,
    /// Bytes asked for.
    pub asked: usize,
    /// Bytes granted.
    pub given: usize,
}

impl std::fmt::Display for SmallBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { sysctl, asked, given } = self;
        write!(
            f,
            "the kernel gives the socket a buffer of {given} bytes instead of {asked}, which slows down \
             blocks; run `sysctl -w {sysctl}={asked}`"
        )
    }
}

/// Opens the UDP socket.
pub(super) fn open(addr: SocketAddr, buffer: usize) -> io::Result<(UdpSocket, Vec<SmallBuffer>)> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    // The kernel caps the size silently.
    socket.set_recv_buffer_size(buffer)?;
    socket.set_send_buffer_size(buffer)?;
    let mut small = Vec::new();
    let sizes = [
        ("net.core.rmem_max", socket.recv_buffer_size()?),
        ("net.core.wmem_max", socket.send_buffer_size()?),
    ];
    for (sysctl, size) in sizes {
        // Linux doubles the size for its bookkeeping and reports the double.
        let given = if cfg!(target_os = "linux") { size / 2 } else { size };
        if given < buffer {
            small.push(SmallBuffer { sysctl, asked: buffer, given });
        }
    }
    if addr.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&addr.into())?;
    socket.set_nonblocking(true)?;
    Ok((socket.into(), small))
}

/// With the same `secret` after a restart, a process resets connections of its predecessor, so peers need
/// not wait for its silence (RFC 9000, 10.3). The secret also keys its connection ids.
pub(super) fn endpoint_config(secret: Option<&[u8; 32]>) -> EndpointConfig {
    let mut config = EndpointConfig::default();
    if let Some(secret) = secret {
        config.reset_key(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, secret)));
        let ids = u64::from_le_bytes(std::array::from_fn(|at| secret[at]));
        config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(ids)));
    }
    // The value is within QUIC's bounds; otherwise the default stays.
    let _ = config.max_udp_payload_size(PAYLOAD_MAX);
    config
}

/// The transport of every new connection, with a stranger's windows; peers get larger ones.
pub(super) fn transport(limits: &Limits) -> Arc<TransportConfig> {
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(MTU_MAX);
    let mut congestion = CubicConfig::default();
    congestion.initial_window(FIRST_WINDOW);
    let mut config = TransportConfig::default();
    config
        .congestion_controller_factory(Arc::new(congestion))
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(STRANGER_WINDOW))
        .send_window(SEND_WINDOW)
        .send_fairness(false)
        .datagram_receive_buffer_size(None)
        .mtu_discovery_config(Some(mtu))
        .keep_alive_interval(Some(limits.keep_alive))
        .max_idle_timeout(IdleTimeout::try_from(limits.silence).ok());
    Arc::new(config)
}

pub(super) fn server(
    tls: rustls::ServerConfig,
    transport: Arc<TransportConfig>,
) -> Result<ServerConfig, TrustError> {
    let tls = QuicServerConfig::try_from(tls).map_err(unusable)?;
    let mut config = ServerConfig::with_crypto(Arc::new(tls));
    config
        .transport_config(transport)
        .migration(false)
        .max_incoming(MAX_INCOMING)
        .incoming_buffer_size(INCOMING_BUFFER)
        .incoming_buffer_size_total(INCOMING_BUFFER * MAX_INCOMING as u64);
    Ok(config)
}

/// Initial packets that may wait, and the bytes that each may buffer.
const MAX_INCOMING: usize = 256;
const INCOMING_BUFFER: u64 = 32 << 10;

pub(super) fn client(
    tls: rustls::ClientConfig,
    transport: Arc<TransportConfig>,
) -> Result<ClientConfig, TrustError> {
    let tls = QuicClientConfig::try_from(tls).map_err(unusable)?;
    let mut config = ClientConfig::new(Arc::new(tls));
    config.transport_config(transport);
    Ok(config)
}

fn unusable(why: impl std::fmt::Display) -> TrustError {
    TrustError::Certificate { what: "used", why: why.to_string() }
}

/// Widens the windows of control for a known peer.
pub(super) fn widen_control(connection: &quinn::Connection) {
    connection.set_receive_window(VarInt::from_u32(CONTROL_WINDOW));
}
