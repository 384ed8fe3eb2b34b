//! Certificates: the holder's subject as domain names, `ROLE.JOB.NAME.dstream` and a name shared by all
//! processes. Names instead of a URI, because the verifying library can extract names and so no DER parser
//! is needed.

use std::time::Duration;

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyUsagePurpose, PKCS_ED25519, PublicKeyData, SanType, SerialNumber, SignatureAlgorithm,
    date_time_ymd,
};
use rustls::pki_types::CertificateDer;

use super::TrustError;
use super::tls::SERVER_NAME;
use crate::wire::{PublicKey, Role, check_name};

/// Life of an authority.
const AUTHORITY_LIFE: Duration = Duration::from_secs(20 * 365 * 24 * 3600);

/// The subject of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Its role.
    pub role: Role,
    /// Its job.
    pub job: String,
    /// Its name.
    pub name: String,
}

impl Subject {
    /// Makes a subject of valid parts.
    ///
    /// # Errors
    /// When the job or the name is invalid.
    pub fn new(role: Role, job: &str, name: &str) -> Result<Self, TrustError> {
        check_name(job).and_then(|()| check_name(name)).map_err(TrustError::Name)?;
        if job.contains('.') {
            return Err(TrustError::Name(crate::wire::Refusal::Name { name: job.to_owned() }));
        }
        Ok(Self { role, job: job.to_owned(), name: name.to_owned() })
    }

    fn dns_name(&self) -> String {
        format!("{}.{}.{}.{SERVER_NAME}", self.role, self.job, self.name)
    }

    fn from_dns_name(name: &str) -> Option<Self> {
        let (role, rest) = name.strip_suffix(SERVER_NAME)?.strip_suffix('.')?.split_once('.')?;
        let (job, name) = rest.split_once('.')?;
        Self::new(role.parse().ok()?, job, name).ok()
    }

    /// Reads the subject of a certificate that has already been verified.
    pub(in crate::net) fn read(certificate: &CertificateDer<'_>) -> Option<Self> {
        let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
        certificate.valid_dns_names().find_map(Self::from_dns_name)
    }
}

/// The public key of another process, to be signed.
pub(super) struct Foreign(pub(super) PublicKey);

impl PublicKeyData for Foreign {
    fn der_bytes(&self) -> &[u8] {
        &self.0.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

/// The serial number, derived from the key. It never begins with a zero byte, which DER would drop:
/// certificates of equal names have equal lengths, so that simulated handshakes repeat.
pub(super) fn serial_number(key: &PublicKey) -> SerialNumber {
    let mut number = super::files::sha256(&key.0);
    number[0] = number[0] & 0x3f | 0x40;
    SerialNumber::from_slice(&number[..20])
}

/// The authority's own certificate. Its name derives from the job alone, so that it can be rebuilt from the
/// directory.
pub(super) fn authority_params(job: &str, now: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("dstream authority of {job}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    set_validity(&mut params, now, AUTHORITY_LIFE);
    params
}

/// The certificate of a process.
pub(super) fn subject_params(
    subject: &Subject,
    now: Duration,
    life: Duration,
) -> Result<CertificateParams, TrustError> {
    let dns = |name: &str| {
        let name = Ia5String::try_from(name).map_err(|why| TrustError::certificate("made", why))?;
        Ok(SanType::DnsName(name))
    };
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject.name.as_str());
    params.subject_alt_names = vec![dns(SERVER_NAME)?, dns(&subject.dns_name())?];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    set_validity(&mut params, now, life);
    Ok(params)
}

fn set_validity(params: &mut CertificateParams, now: Duration, life: Duration) {
    let epoch = date_time_ymd(1970, 1, 1);
    // Certificates have whole seconds; the library takes only four-digit years.
    let at = |time: Duration| epoch + Duration::from_secs(time.as_secs().min(MAX_TIME));
    // Clocks differ, and a start date protects from nothing: valid from the epoch.
    params.not_before = epoch;
    params.not_after = at(now.saturating_add(life));
}

/// The end of the year 9998.
const MAX_TIME: u64 = 253_370_764_800;
