//! Certificates: who the holder of a key is, as domain names: `ROLE.JOB.NAME.dstream`, and the name
//! that all processes share. Names rather than a URI, since the library that judges certificates also
//! reads names out of them, and nothing else here has to read DER.

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

/// An authority is valid for that long.
const AUTHORITY_LIFE: Duration = Duration::from_secs(20 * 365 * 24 * 3600);

/// What a certificate says about its holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// What it may do.
    pub role: Role,
    /// In which job.
    pub job: String,
    /// What it is called.
    pub name: String,
}

impl Subject {
    /// A subject whose parts can stand in a certificate.
    ///
    /// # Errors
    /// When the job or the name cannot.
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

    /// What a certificate says. It must have been judged already: this only reads.
    pub(in crate::net) fn read(certificate: &CertificateDer<'_>) -> Option<Self> {
        let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
        certificate.valid_dns_names().find_map(Self::from_dns_name)
    }
}

/// The key of another process, to be signed.
pub(super) struct Foreign(pub(super) PublicKey);

impl PublicKeyData for Foreign {
    fn der_bytes(&self) -> &[u8] {
        &self.0.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

/// The number of a certificate, from the key in it. It never begins with a zero, which DER leaves out: so that
/// certificates of equal names have equal lengths, and handshakes in simulated runs repeat.
pub(super) fn serial_number(key: &PublicKey) -> SerialNumber {
    let mut number = super::files::sha256(&key.0);
    number[0] = number[0] & 0x3f | 0x40;
    SerialNumber::from_slice(&number[..20])
}

/// The authority's own certificate. The name is derived from the job alone, so that it can be made again
/// from what is in the directory.
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
    // Certificates know whole seconds; the library does not take times outside of four-digit years.
    let at = |time: Duration| epoch + Duration::from_secs(time.as_secs().min(MAX_TIME));
    // Clocks differ, and are set back: a certificate that is too young protects from nothing.
    params.not_before = epoch;
    params.not_after = at(now.saturating_add(life));
}

/// The end of the year 9998.
const MAX_TIME: u64 = 253_370_764_800;
