//! A bare quinn stream, with the settings of dstream's transport.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{Endpoint, EndpointConfig, MtuDiscoveryConfig, TransportConfig, VarInt};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use socket2::{Domain, Socket, Type};
use tokio::runtime::{Builder, Runtime};

use super::{BLOCK, BenchResult, Other, TransferCost, say_and_wait};

fn runtime() -> BenchResult<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

fn provider() -> Arc<CryptoProvider> {
    let cipher_suites = vec![ring::cipher_suite::TLS13_AES_128_GCM_SHA256];
    Arc::new(CryptoProvider { cipher_suites, ..ring::default_provider() })
}

fn transport() -> Arc<TransportConfig> {
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(6500);
    let mut config = TransportConfig::default();
    config
        .stream_receive_window(VarInt::from_u32(4 << 20))
        .receive_window(VarInt::from_u32(64 << 20))
        .send_window(1 << 20)
        .send_fairness(false)
        .mtu_discovery_config(Some(mtu));
    Arc::new(config)
}

fn endpoint(server: Option<quinn::ServerConfig>) -> BenchResult<Endpoint> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.set_recv_buffer_size(4 << 20)?;
    socket.set_send_buffer_size(4 << 20)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.set_nonblocking(true)?;
    let mut config = EndpointConfig::default();
    config.max_udp_payload_size(6600)?;
    let socket = UdpSocket::from(socket);
    Ok(Endpoint::new(config, server, socket, Arc::new(quinn::TokioRuntime))?)
}

/// In the other process: receives everything.
///
/// # Errors
/// When no port can be opened.
pub fn receive() -> BenchResult<()> {
    let made = rcgen::generate_simple_self_signed(["bench".to_owned()])?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let tls = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())?;
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    server.transport_config(transport());
    let runtime = runtime()?;
    let endpoint = {
        let _inside = runtime.enter();
        endpoint(Some(server))?
    };
    let hello = format!("{} {}", endpoint.local_addr()?, hex(made.cert.der()));
    thread::spawn(move || runtime.block_on(take_in(endpoint)));
    say_and_wait(&hello)
}

async fn take_in(endpoint: Endpoint) {
    while let Some(incoming) = endpoint.accept().await {
        let Ok(connection) = incoming.await else { continue };
        while let Ok(mut stream) = connection.accept_uni().await {
            while let Ok(Some(_)) = stream.read_chunk(usize::MAX, true).await {}
            if let Ok(mut answer) = connection.open_uni().await {
                // The sender may not wait for the answer.
                let _ = answer.write_all(b"!").await;
            }
        }
    }
}

/// Sends `bytes` on one stream; returns the cost until the other process has them.
///
/// # Errors
/// When the other process cannot be started, or the connection breaks.
pub fn send(bytes: u64) -> BenchResult<TransferCost> {
    let other = Other::start(&["bare-receive"])?;
    let (addr, certificate) = other.hello.split_once(' ').ok_or("no address")?;
    let addr: SocketAddr = addr.parse()?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(unhex(certificate)))?;
    let tls = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    config.transport_config(transport());
    let block = Bytes::from(vec![7u8; BLOCK]);
    runtime()?.block_on(async {
        let endpoint = endpoint(None)?;
        let connection = endpoint.connect_with(config, addr, "bench")?.await?;
        let mut stream = connection.open_uni().await?;
        let (start, cpu) = (Instant::now(), other.cpu()?);
        for _ in 0..bytes.div_ceil(BLOCK as u64) {
            stream.write_chunk(block.clone()).await?;
        }
        stream.finish()?;
        let mut answer = connection.accept_uni().await?;
        answer.read_chunk(1, true).await?;
        let (time, cpu) = (start.elapsed(), other.cpu()?.saturating_sub(cpu));
        connection.close(VarInt::from_u32(0), b"");
        endpoint.wait_idle().await;
        Ok(TransferCost { bytes, time, cpu })
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
