//! The socket, and how QUIC is set up on it.

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

/// The kernel gives a smaller buffer than was asked for: blocks will be slower than they could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SmallBuffer {
    /// The setting that limits it.
    pub sysctl: &'static str,
    /// What was asked for, in bytes.
    pub asked: usize,
    /// What there is.
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

/// Opens the port.
pub(super) fn open(addr: SocketAddr, buffer: usize) -> io::Result<(UdpSocket, Vec<SmallBuffer>)> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    // More than the kernel's limit is not an error: it gives what it may.
    socket.set_recv_buffer_size(buffer)?;
    socket.set_send_buffer_size(buffer)?;
    let mut small = Vec::new();
    let sizes = [
        ("net.core.rmem_max", socket.recv_buffer_size()?),
        ("net.core.wmem_max", socket.send_buffer_size()?),
    ];
    for (sysctl, size) in sizes {
        // Linux doubles what is asked for, for its own bookkeeping, and reports the double.
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

/// A process with a `secret` that it has again after it was started anew can tell peers of the time before
/// that their connections are gone: they need not wait for its silence (RFC 9000, 10.3). The connection ids
/// that it gives are known again by the same secret.
pub(super) fn endpoint_config(secret: Option<&[u8; 32]>) -> EndpointConfig {
    let mut config = EndpointConfig::default();
    if let Some(secret) = secret {
        config.reset_key(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, secret)));
        let ids = u64::from_le_bytes(std::array::from_fn(|at| secret[at]));
        config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(ids)));
    }
    // The value is within QUIC's bounds; were it not, the default would stay.
    let _ = config.max_udp_payload_size(PAYLOAD_MAX);
    config
}

/// For every connection at first: the windows of a stranger. Who turns out to be a peer gets more.
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

/// First packets that wait to be looked at, and what each may bring along.
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

/// The windows of a control connection whose peer is known.
pub(super) fn widen_control(connection: &quinn::Connection) {
    connection.set_receive_window(VarInt::from_u32(CONTROL_WINDOW));
}
