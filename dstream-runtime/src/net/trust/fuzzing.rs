//! Fuzz targets: tokens, and the files of identities.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::Issuer;

use super::certificate::{authority_params, subject_params};
use super::identity::{Identity, KeyPair, Trusted};
use super::{ALPN_CONTROL, Fingerprint, Subject, Token, WallClock, client_config, server_config};
use crate::fuzzing::{Target, texts};
use crate::wire::{Issued, Role};

pub(crate) const TARGETS: &[Target] = &[
    Target::new("tokens", tokens, token_seeds),
    Target::new("identities", identities, identity_seeds).slow(10),
];

/// Parses the text of a token, also with valid check digits.
fn tokens(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    read_token(text);
    let (rest, _) = text.trim().rsplit_once('.').unwrap_or((text, ""));
    read_token(&format!("{rest}.{}", super::token::check(rest)));
}

fn read_token(text: &str) {
    match Token::from_text(text) {
        Ok(token) => assert_eq!(token.to_text(), text.trim()),
        // The text may be most of a secret.
        Err(error) => assert!(text.len() < 20 || !error.to_string().contains(text)),
    }
}

fn token_seeds() -> Vec<Vec<u8>> {
    let token = |role, byte| Token::new(Fingerprint([byte; 32]), role, [!byte; 32]).to_text();
    let (worker, client) = (token(Role::Worker, 7), token(Role::Client, 0xab));
    texts(&[&worker, &client, &format!(" {worker}\n"), "dstream1....", "dstream1.worker.00.00.00"])
}

/// Reads, verifies and uses a stored identity.
fn identities(bytes: &[u8]) {
    let (path, now) = (Path::new("identity.json"), NOW + Duration::from_secs(60));
    let Ok(Some(identity)) = Identity::from_stored(path, bytes, now) else { return };
    assert!(identity.valid_until() > now);
    let _ = identity.renew_at();
    // An invalid key, or one of another certificate, fails here at the latest.
    let wall = WallClock(Arc::new(|| NOW));
    let _ = (identity.check(now), server_config(&identity, &wall, &[]));
    let _ = client_config(&identity, &wall, ALPN_CONTROL);
    let again = identity.to_stored().expect("it can be written");
    let again =
        Identity::from_stored(path, &again, now).expect("it was written").expect("it is valid");
    assert_eq!(again.subject(), identity.subject());
}

const NOW: Duration = Duration::from_secs(1_800_000_000);

/// A fixed key: PKCS #8 of Ed25519 is this prefix and 32 bytes.
fn key(byte: u8) -> KeyPair {
    let head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    KeyPair::from_pkcs8(&[&head[..], &[byte; 32]].concat()).expect("it is a key")
}

fn identity_seeds() -> Vec<Vec<u8>> {
    let params = authority_params("job", NOW);
    let certificate = params.self_signed(&key(1)).expect("it can be made").der().to_vec();
    let issuer = Issuer::new(params, key(1));
    let life = Duration::from_secs(3600);
    let made = |name| {
        let subject = Subject::new(Role::Worker, "job", name).expect("a name");
        let made = subject_params(&subject, NOW, life).expect("it can be made");
        let made = made.signed_by(&key(2), &issuer).expect("it can be made");
        let until_ms = (NOW + life).as_millis() as u64;
        let issued = Issued { certificate: made.der().to_vec(), until_ms };
        Identity::new(key(2), issued, Trusted::new(certificate.clone()), NOW).expect("it fits")
    };
    ["worker-1", "a.b"].map(|name| made(name).to_stored().expect("it can be written")).to_vec()
}
