//! Tokens: a secret that a process shows once to join.
//!
//! As text: `dstream1.ROLE.FINGERPRINT.SECRET.CHECK`, the last three in hex; the check detects an incomplete
//! copy. A token is stored in a file, never passed on a command line, and printed only by
//! [`Token::to_text`].

use std::fmt;
use std::path::Path;

use super::files::{from_hex, read_private, replace_private, sha256, to_hex};
use super::{Fingerprint, TrustError};
use crate::wire::Role;

const PREFIX: &str = "dstream1";

/// 256 random bits.
#[derive(Clone, Copy)]
pub struct TokenSecret(pub(in crate::net) [u8; 32]);

impl TokenSecret {
    /// The digest that the authority stores: it identifies the secret but cannot replace it.
    pub(super) fn digest(&self) -> String {
        to_hex(&sha256(&self.0))
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(..)")
    }
}

/// Lets a process join one cluster in one role.
#[derive(Debug, Clone)]
pub struct Token {
    pub(in crate::net) authority: Fingerprint,
    pub(in crate::net) role: Role,
    pub(in crate::net) secret: TokenSecret,
}

impl Token {
    pub(super) fn new(authority: Fingerprint, role: Role, secret: [u8; 32]) -> Self {
        Self { authority, role, secret: TokenSecret(secret) }
    }

    /// The authority that it is bound to.
    #[must_use]
    pub fn authority(&self) -> Fingerprint {
        self.authority
    }

    /// The role that it grants.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Its text with the secret, for a file or for the terminal of its owner.
    #[must_use]
    pub fn to_text(&self) -> String {
        let secret = to_hex(&self.secret.0);
        let text = format!("{PREFIX}.{}.{}.{secret}", self.role, self.authority);
        let check = check(&text);
        format!("{text}.{check}")
    }

    /// Parses a token, ignoring surrounding white space.
    ///
    /// # Errors
    /// When the text is no complete token. The error repeats none of it.
    pub fn from_text(text: &str) -> Result<Self, TrustError> {
        let damaged = |why| TrustError::Token { why };
        let text = text.trim();
        let (rest, check_found) = text.rsplit_once('.').ok_or(damaged("it has too few parts"))?;
        let parts: Vec<&str> = rest.split('.').collect();
        let &[prefix, role, authority, secret] = parts.as_slice() else {
            return Err(damaged("it has the wrong number of parts"));
        };
        if prefix != PREFIX {
            return Err(damaged("it does not begin with `dstream1.`"));
        }
        if check(rest) != check_found {
            return Err(damaged("its check digits do not fit"));
        }
        let role = role.parse().map_err(|_| damaged("its role is unknown"))?;
        let authority = from_hex(authority).ok_or(damaged("its fingerprint is invalid"))?;
        let secret = from_hex(secret).ok_or(damaged("its secret is invalid"))?;
        Ok(Self::new(Fingerprint(authority), role, secret))
    }

    /// Reads it from a file (`--token-file`).
    ///
    /// # Errors
    /// When the file does not exist, is readable by others, or holds no token.
    pub fn read(path: &Path) -> Result<Self, TrustError> {
        let content = |why: String| TrustError::Content { path: path.to_owned(), why };
        let bytes = read_private(path)?.ok_or_else(|| {
            content("there is no such file; `token` on the master's host makes a token".to_owned())
        })?;
        let text = std::str::from_utf8(&bytes).map_err(|_| content("it is no text".to_owned()))?;
        Self::from_text(text).map_err(|error| content(error.to_string()))
    }

    /// Writes it to a file for its owner only.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), TrustError> {
        replace_private(path, format!("{}\n", self.to_text()).as_bytes())
    }
}

pub(super) fn check(text: &str) -> String {
    to_hex(&sha256(text.as_bytes())[..4])
}
