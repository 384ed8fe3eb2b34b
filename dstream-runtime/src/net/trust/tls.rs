//! TLS configuration: version 1.3 only, ring only, and no root but the cluster's authority.
//!
//! TLS accepts a connection without a certificate, so that the endpoint can refuse it with a reason; it
//! rejects a foreign certificate. Nothing is resumed: every connection proves its identity anew.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring as provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme,
};

use super::identity::{Identity, Trusted};
use super::{Fingerprint, Subject, TrustError};
use crate::wire::{PROTOCOL, Refusal, Role};

/// A name in every certificate, for TLS's check of host names: processes are told apart by subject, not by
/// host.
pub(in crate::net) const SERVER_NAME: &str = "dstream";

const _: () = assert!(PROTOCOL == 1, "the names below carry the version");

/// Protocols of this version.
pub(in crate::net) const ALPN_CONTROL: &[u8] = b"dstream/1";
pub(in crate::net) const ALPN_BULK: &[u8] = b"dstream-bulk/1";
pub(in crate::net) const ALPN_JOIN: &[u8] = b"dstream-join/1";

/// Returns the time since the Unix epoch; supplied at binding, so that tests control it.
#[derive(Clone)]
pub(in crate::net) struct WallClock(pub(in crate::net) Arc<dyn Fn() -> Duration + Send + Sync>);

impl WallClock {
    pub(in crate::net) fn now(&self) -> Duration {
        (self.0)()
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WallClock")
    }
}

impl TimeProvider for WallClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.now()))
    }
}

/// AES-128 first: the fastest with AES instructions.
fn crypto() -> Arc<CryptoProvider> {
    use provider::cipher_suite::{TLS13_AES_128_GCM_SHA256, TLS13_CHACHA20_POLY1305_SHA256};
    Arc::new(CryptoProvider {
        cipher_suites: vec![TLS13_AES_128_GCM_SHA256, TLS13_CHACHA20_POLY1305_SHA256],
        kx_groups: vec![provider::kx_group::X25519],
        ..provider::default_provider()
    })
}

fn failed(why: impl fmt::Display) -> TrustError {
    TrustError::certificate("used", why)
}

/// For accepting connections of these protocols.
pub(in crate::net) fn server_config(
    identity: &Identity,
    wall: &WallClock,
    heard: &[&[u8]],
) -> Result<ServerConfig, TrustError> {
    let verifier =
        WebPkiClientVerifier::builder_with_provider(identity.trusted().roots()?, crypto())
            .allow_unauthenticated()
            .build()
            .map_err(failed)?;
    let mut config = ServerConfig::builder_with_details(crypto(), Arc::new(wall.clone()))
        .with_protocol_versions(&[&TLS13])
        .map_err(failed)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(identity.chain(), identity.private_key().into())
        .map_err(failed)?;
    config.alpn_protocols = heard.iter().map(|alpn| alpn.to_vec()).collect();
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// For connecting to another process of the cluster.
pub(in crate::net) fn client_config(
    identity: &Identity,
    wall: &WallClock,
    alpn: &[u8],
) -> Result<ClientConfig, TrustError> {
    let config = ClientConfig::builder_with_details(crypto(), Arc::new(wall.clone()))
        .with_protocol_versions(&[&TLS13])
        .map_err(failed)?
        .with_root_certificates(identity.trusted().roots()?)
        .with_client_auth_cert(identity.chain(), identity.private_key().into())
        .map_err(failed)?;
    Ok(only(config, alpn))
}

/// For a process that has only a token.
pub(in crate::net) fn join_config(
    authority: Fingerprint,
    wall: &WallClock,
) -> Result<(ClientConfig, Arc<Pinned>), TrustError> {
    let seen = Mutex::new(None);
    let verifier = Arc::new(Pinned { authority, provider: crypto(), seen });
    let config = ClientConfig::builder_with_details(crypto(), Arc::new(wall.clone()))
        .with_protocol_versions(&[&TLS13])
        .map_err(failed)?
        .dangerous()
        .with_custom_certificate_verifier(verifier.clone())
        .with_no_client_auth();
    Ok((only(config, ALPN_JOIN), verifier))
}

fn only(mut config: ClientConfig, alpn: &[u8]) -> ClientConfig {
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption = Resumption::disabled();
    config
}

fn server_name() -> Result<ServerName<'static>, Error> {
    ServerName::try_from(SERVER_NAME).map_err(|_| Error::General("the server name is none".into()))
}

/// Checks that an identity's certificate is valid under its own authority.
pub(super) fn check(identity: &Identity, now: Duration) -> Result<(), String> {
    let chain = identity.chain();
    let Some((leaf, rest)) = chain.split_first() else { return Err("no certificate".to_owned()) };
    verify(identity.trusted(), crypto(), leaf, rest, UnixTime::since_unix_epoch(now))
        .map_err(|why| why.to_string())
}

fn verify(
    authority: &Trusted,
    provider: Arc<CryptoProvider>,
    leaf: &CertificateDer<'_>,
    rest: &[CertificateDer<'_>],
    now: UnixTime,
) -> Result<(), Error> {
    let general = |why: &dyn fmt::Display| Error::General(why.to_string());
    let roots = authority.roots().map_err(|why| general(&why))?;
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider)
        .build()
        .map_err(|why| general(&why))?;
    verifier.verify_server_cert(leaf, rest, &server_name()?, &[], now).map(|_| ())
}

/// Trusts a master whose authority has that fingerprint, and records the authority.
pub(in crate::net) struct Pinned {
    authority: Fingerprint,
    provider: Arc<CryptoProvider>,
    seen: Mutex<Option<Trusted>>,
}

impl Pinned {
    fn seen(&self) -> MutexGuard<'_, Option<Trusted>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The recorded authority; the right one if the handshake succeeded.
    pub(in crate::net) fn authority(&self) -> Result<Trusted, TrustError> {
        let seen = self.seen().clone().filter(|seen| seen.fingerprint() == self.authority);
        seen.ok_or_else(|| failed("the master sent no certificate"))
    }

    /// Rephrases a refusal for a joiner, which has a token and no certificate.
    pub(in crate::net) fn explain(&self, refusal: Refusal) -> Refusal {
        match (refusal, &*self.seen()) {
            (Refusal::NotOurs, Some(seen)) if seen.fingerprint() != self.authority => {
                let (expected, found) = (self.authority.short(), seen.fingerprint().short());
                Refusal::OtherAuthority { expected, found }
            }
            // It belongs to the right cluster, so it is refused for not being a master.
            (Refusal::NotOurs, Some(_)) => Refusal::NoAuthority,
            (refusal, _) => refusal,
        }
    }
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pinned({:?})", self.authority)
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let authority = intermediates.first().ok_or(unknown.clone())?;
        let authority = Trusted::new(authority.to_vec());
        *self.seen() = Some(authority.clone());
        if authority.fingerprint() != self.authority {
            return Err(unknown);
        }
        verify(&authority, self.provider.clone(), leaf, &[], now)?;
        // Only a master may see the secret: any worker could ask for it otherwise.
        if Subject::read(leaf).is_none_or(|subject| subject.role != Role::Master) {
            return Err(unknown);
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is never spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
