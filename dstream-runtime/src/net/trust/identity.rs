//! Identities: a key, the certificate for it, and the authority that signed it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{PKCS_ED25519, PublicKeyData};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};

use super::files::{read_private, replace_private};
use super::{Fingerprint, Subject, TrustError};
use crate::wire::{Issued, PublicKey};

/// An Ed25519 key without a certificate.
#[derive(Clone)]
pub(in crate::net) struct KeyPair(Arc<rcgen::KeyPair>);

impl KeyPair {
    pub(in crate::net) fn generate() -> Result<Self, TrustError> {
        rcgen::KeyPair::generate_for(&PKCS_ED25519)
            .map(|key| Self(Arc::new(key)))
            .map_err(|why| TrustError::certificate("made", why))
    }

    pub(super) fn from_pkcs8(der: &[u8]) -> Result<Self, TrustError> {
        let der = PrivatePkcs8KeyDer::from(der);
        rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ED25519)
            .map(|key| Self(Arc::new(key)))
            .map_err(|why| TrustError::certificate("read", why))
    }

    pub(super) fn pkcs8(&self) -> &[u8] {
        self.0.serialized_der()
    }

    pub(in crate::net) fn public(&self) -> Result<PublicKey, TrustError> {
        let bytes = self.0.der_bytes().try_into();
        bytes
            .map(PublicKey)
            .map_err(|_| TrustError::certificate("made", "the key is no Ed25519 key"))
    }
}

impl rcgen::SigningKey for KeyPair {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.0.sign(message)
    }
}

impl PublicKeyData for KeyPair {
    fn der_bytes(&self) -> &[u8] {
        self.0.der_bytes()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.0.algorithm()
    }
}

/// The certificate of an authority, without its key.
#[derive(Clone)]
pub(in crate::net) struct Trusted(CertificateDer<'static>);

impl Trusted {
    pub(in crate::net) fn new(certificate: Vec<u8>) -> Self {
        Self(CertificateDer::from(certificate))
    }

    pub(in crate::net) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.0)
    }

    pub(super) fn der(&self) -> &CertificateDer<'static> {
        &self.0
    }

    pub(super) fn roots(&self) -> Result<Arc<RootCertStore>, TrustError> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.clone()).map_err(|why| TrustError::certificate("used", why))?;
        Ok(Arc::new(roots))
    }
}

/// A process's key and certificate, and the authority that it trusts.
#[derive(Clone)]
pub struct Identity {
    subject: Subject,
    key: KeyPair,
    certificate: CertificateDer<'static>,
    authority: Trusted,
    /// The validity of the certificate, since the Unix epoch.
    since: Duration,
    until: Duration,
}

/// The form stored in a file.
#[derive(Serialize, Deserialize)]
struct Stored {
    key: Vec<u8>,
    certificate: Vec<u8>,
    authority: Vec<u8>,
    since_ms: u64,
    until_ms: u64,
}

impl Identity {
    pub(in crate::net) fn new(
        key: KeyPair,
        issued: Issued,
        authority: Trusted,
        now: Duration,
    ) -> Result<Self, TrustError> {
        let certificate = CertificateDer::from(issued.certificate);
        let subject = Subject::read(&certificate)
            .ok_or_else(|| TrustError::certificate("used", "it names no role"))?;
        let until = Duration::from_millis(issued.until_ms);
        Ok(Self { subject, key, certificate, authority, since: now, until })
    }

    /// The subject of the certificate.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The authority that signed it.
    #[must_use]
    pub fn authority(&self) -> Fingerprint {
        self.authority.fingerprint()
    }

    /// When the certificate expires, since the Unix epoch.
    #[must_use]
    pub fn valid_until(&self) -> Duration {
        self.until
    }

    /// When to renew: after two thirds of the certificate's life.
    #[must_use]
    pub fn renew_at(&self) -> Duration {
        self.since + self.until.saturating_sub(self.since) * 2 / 3
    }

    /// Checks that the certificate is valid now under its own authority.
    pub(in crate::net) fn check(&self, now: Duration) -> Result<(), TrustError> {
        super::tls::check(self, now).map_err(|why| TrustError::certificate("used", why))
    }

    pub(in crate::net) fn trusted(&self) -> &Trusted {
        &self.authority
    }

    pub(super) fn chain(&self) -> Vec<CertificateDer<'static>> {
        // Include the authority's certificate: a joiner knows only its fingerprint.
        vec![self.certificate.clone(), self.authority.der().clone()]
    }

    pub(super) fn private_key(&self) -> PrivatePkcs8KeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.pkcs8().to_vec())
    }

    /// Writes it to a file for its owner only, so that a restarted process needs no token while the
    /// certificate is valid.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), TrustError> {
        replace_private(path, &self.to_stored()?)
    }

    /// Encodes it for the file.
    pub(super) fn to_stored(&self) -> Result<Vec<u8>, TrustError> {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let stored = Stored {
            key: self.key.pkcs8().to_vec(),
            certificate: self.certificate.to_vec(),
            authority: self.authority.der().to_vec(),
            since_ms: millis(self.since),
            until_ms: millis(self.until),
        };
        serde_json::to_vec(&stored).map_err(|why| TrustError::certificate("kept", why))
    }

    /// Reads a stored identity; `None` if there is none or its certificate has expired.
    ///
    /// # Errors
    /// When the file cannot be read, is readable by others, or holds something else.
    pub fn read(path: &Path, now: Duration) -> Result<Option<Self>, TrustError> {
        match read_private(path)? {
            Some(bytes) => Self::from_stored(path, &bytes, now),
            None => Ok(None),
        }
    }

    /// Decodes the content of the file at `path`.
    pub(super) fn from_stored(
        path: &Path,
        bytes: &[u8],
        now: Duration,
    ) -> Result<Option<Self>, TrustError> {
        let stored: Stored = serde_json::from_slice(bytes).map_err(|why| TrustError::Content {
            path: path.to_owned(),
            why: format!("it holds no identity ({why}); remove it and join again with a token"),
        })?;
        let until = Duration::from_millis(stored.until_ms);
        if until <= now {
            return Ok(None);
        }
        let issued = Issued { certificate: stored.certificate, until_ms: stored.until_ms };
        let (key, authority) = (KeyPair::from_pkcs8(&stored.key)?, Trusted::new(stored.authority));
        Self::new(key, issued, authority, Duration::from_millis(stored.since_ms)).map(Some)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("subject", &self.subject)
            .field("authority", &self.authority.fingerprint())
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}
