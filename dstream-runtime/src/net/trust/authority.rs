//! The authority: the key that signs certificates, and the tokens that it has issued.
//!
//! It is stored in one directory of the master (or of several, on shared storage): `authority.key`,
//! `authority.crt`, and per token `tokens/DIGEST.json` with one file `DIGEST.N` per use. A use is claimed by
//! creating its file exclusively, so concurrent processes cannot exceed a token's uses. What is stored of a
//! token identifies it but cannot be used as it.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::Issuer;
use ring::hmac;
use serde::{Deserialize, Serialize};

use super::certificate::{Foreign, authority_params, serial_number, subject_params};
use super::files::{create_private, private_dir, random, read_private};
use super::identity::{Identity, KeyPair, Trusted};
use super::{Fingerprint, Subject, Token, TokenSecret, TrustError};
use crate::wire::{Issued, PublicKey, Refusal, Role};

/// Default life of a certificate: short, since certificates cannot be revoked.
pub const CERTIFICATE_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Most uses of a token.
const USES_MAX: u32 = 10_000;

/// What a token permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// The role its holder may have: worker or client.
    pub role: Role,
    /// How often it may be used; at least 1, at most 10,000.
    pub uses: u32,
    /// How long it is valid.
    pub life: Duration,
}

/// What is stored of a token.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    role: Role,
    uses: u32,
    until_ms: u64,
}

/// The key of a cluster. With its directory, a process can take any role in the cluster.
pub struct Authority {
    dir: PathBuf,
    job: String,
    issuer: Issuer<'static, KeyPair>,
    trusted: Trusted,
    life: Duration,
}

impl Authority {
    /// Opens the authority in a directory, or creates it.
    ///
    /// # Errors
    /// When the directory cannot be used, its keys are readable by others, or it belongs to another job.
    pub fn open(dir: &Path, job: &str, now: Duration) -> Result<Self, TrustError> {
        Subject::new(Role::Master, job, "authority")?;
        private_dir(&dir.join("tokens"))?;
        let (key_path, certificate_path) = (dir.join("authority.key"), dir.join("authority.crt"));
        // Two processes may create it at once: the first file wins for both.
        let fresh = KeyPair::generate()?;
        let key = match read_private(&key_path)? {
            Some(key) => KeyPair::from_pkcs8(&key)?,
            None if create_private(&key_path, fresh.pkcs8())? => fresh,
            None => KeyPair::from_pkcs8(&must_read(&key_path)?)?,
        };
        let mut params = authority_params(job, now);
        params.serial_number = Some(serial_number(&key.public()?));
        let certificate = match read_private(&certificate_path)? {
            Some(certificate) => certificate,
            None => {
                let made = params.self_signed(&key);
                let made = made.map_err(|why| TrustError::certificate("made", why))?;
                let der = made.der().to_vec();
                if create_private(&certificate_path, &der)? {
                    der
                } else {
                    must_read(&certificate_path)?
                }
            }
        };
        let this = Self {
            dir: dir.to_owned(),
            job: job.to_owned(),
            issuer: Issuer::new(params, key),
            trusted: Trusted::new(certificate),
            life: CERTIFICATE_LIFE,
        };
        this.check_job(&certificate_path, now)?;
        Ok(this)
    }

    /// Sets the life of its certificates.
    #[must_use]
    pub fn with_certificate_life(self, life: Duration) -> Self {
        Self { life, ..self }
    }

    /// Checks that a certificate made with this key and job is valid under the certificate in the directory.
    fn check_job(&self, path: &Path, now: Duration) -> Result<(), TrustError> {
        let identity = self.identity(Role::Master, "check", now)?;
        super::tls::check(&identity, now).map_err(|why| TrustError::Content {
            path: path.to_owned(),
            why: format!(
                "this authority is not that of the job `{}`, or its key and certificate do not belong \
                 together ({why}); give every job a directory of its own",
                self.job
            ),
        })
    }

    /// Identifies the cluster.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.trusted.fingerprint()
    }

    /// A secret derived from the key, the same after every start: a restarted master resets the connections
    /// of its predecessor with it.
    #[must_use]
    pub(in crate::net) fn reset_secret(&self) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.issuer.key().pkcs8());
        let tag = hmac::sign(&key, b"dstream: stateless reset");
        let mut secret = [0; 32];
        secret.copy_from_slice(tag.as_ref());
        secret
    }

    /// The job of the cluster.
    #[must_use]
    pub fn job(&self) -> &str {
        &self.job
    }

    /// Certifies a key.
    ///
    /// # Errors
    /// When the name is invalid, or the certificate cannot be made.
    pub fn issue(
        &self,
        role: Role,
        name: &str,
        key: PublicKey,
        now: Duration,
    ) -> Result<Issued, TrustError> {
        let subject = Subject::new(role, &self.job, name)?;
        let mut params = subject_params(&subject, now, self.life)?;
        params.serial_number = Some(serial_number(&key));
        let made = params.signed_by(&Foreign(key), &self.issuer);
        let made = made.map_err(|why| TrustError::certificate("made", why))?;
        let until = now.saturating_add(self.life).as_secs().saturating_mul(1000);
        Ok(Issued { certificate: made.der().to_vec(), until_ms: until })
    }

    /// Makes an identity for this host: a master or a local client.
    ///
    /// # Errors
    /// When the name is invalid, or the certificate cannot be made.
    pub fn identity(&self, role: Role, name: &str, now: Duration) -> Result<Identity, TrustError> {
        let key = KeyPair::generate()?;
        let issued = self.issue(role, name, key.public()?, now)?;
        Identity::new(key, issued, self.trusted.clone(), now)
    }

    /// Makes a token, and removes expired ones.
    ///
    /// # Errors
    /// When the directory is not writable, or the grant is for a master or has no use.
    pub fn token(&self, grant: Grant, now: Duration) -> Result<Token, TrustError> {
        if grant.role == Role::Master {
            return Err(TrustError::Grant {
                why: "a master needs the authority's directory, not a token",
            });
        }
        if grant.uses == 0 || grant.uses > USES_MAX {
            return Err(TrustError::Grant { why: "uses must be between 1 and 10,000" });
        }
        self.sweep(now);
        let token = Token::new(self.fingerprint(), grant.role, random()?);
        let until_ms =
            u64::try_from(now.saturating_add(grant.life).as_millis()).unwrap_or(u64::MAX);
        let kept = Kept { role: grant.role, uses: grant.uses, until_ms };
        let kept = serde_json::to_vec(&kept).map_err(|why| TrustError::certificate("kept", why))?;
        create_private(&self.token_file(&token.secret.digest(), "json"), &kept)?;
        Ok(token)
    }

    /// Redeems one use of a token. The use is spent even if the certificate never arrives.
    ///
    /// # Errors
    /// The refusal for the joiner; failures of this side are reported to the driver only.
    pub(in crate::net) fn redeem(
        &self,
        secret: &TokenSecret,
        role: Role,
        now: Duration,
    ) -> Result<Result<(), Refusal>, TrustError> {
        let digest = secret.digest();
        let Some(kept) = self.kept(&self.token_file(&digest, "json"))? else {
            return Ok(Err(Refusal::TokenUnknown));
        };
        if now.as_millis() >= u128::from(kept.until_ms) {
            return Ok(Err(Refusal::TokenExpired));
        }
        if kept.role != role {
            return Ok(Err(Refusal::TokenRole { allowed: kept.role, asked: role }));
        }
        for n in 0..kept.uses.min(USES_MAX) {
            let claim = self.token_file(&digest, &n.to_string());
            if !claim.exists() && create_private(&claim, b"")? {
                return Ok(Ok(()));
            }
        }
        Ok(Err(Refusal::TokenUsedUp { uses: kept.uses }))
    }

    fn token_file(&self, digest: &str, extension: &str) -> PathBuf {
        self.dir.join("tokens").join(format!("{digest}.{extension}"))
    }

    fn kept(&self, path: &Path) -> Result<Option<Kept>, TrustError> {
        let Some(bytes) = read_private(path)? else { return Ok(None) };
        let why = |why| TrustError::Content { path: path.to_owned(), why: format!("{why}") };
        serde_json::from_slice(&bytes).map(Some).map_err(why)
    }

    /// Removes expired tokens; failures are retried with the next token.
    fn sweep(&self, now: Duration) {
        let Ok(entries) = fs::read_dir(self.dir.join("tokens")) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            let is_token = path.extension().is_some_and(|extension| extension == "json");
            let Ok(Some(kept)) = (if is_token { self.kept(&path) } else { Ok(None) }) else {
                continue;
            };
            if now.as_millis() < u128::from(kept.until_ms) {
                continue;
            }
            // Remove the token last, so that an interrupted sweep can be repeated.
            for n in 0..kept.uses.min(USES_MAX) {
                if fs::remove_file(path.with_extension(n.to_string())).is_err() {
                    break;
                }
            }
            let _ = fs::remove_file(&path);
        }
    }
}

fn must_read(path: &Path) -> Result<Vec<u8>, TrustError> {
    let gone = || TrustError::Content { path: path.to_owned(), why: "it has vanished".to_owned() };
    read_private(path)?.ok_or_else(gone)
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("job", &self.job)
            .field("fingerprint", &self.fingerprint())
            .finish_non_exhaustive()
    }
}
