//! Terms: which master is the newest.
//!
//! The creator of a term's object owns the term. Terms are consecutive and their objects are never removed,
//! so a master has a successor exactly if the object of its term + 1 exists.

use ring::rand::{SecureRandom, SystemRandom};

use super::JournalError;
use crate::durable::{Durable, DurableError};

/// Terms lost to other masters before this one gives up.
const TRIES: u32 = 100;

fn name(term: u64) -> String {
    format!("terms/{term:010}")
}

/// The newest term taken; 0 if none.
fn newest(store: &Durable) -> Result<u64, JournalError> {
    Ok(store.list("terms/")?.iter().filter_map(|object| number(object)).max().unwrap_or(0))
}

/// The term in an object's name. A name with more digits is not ours: no term could follow the last one.
fn number(object: &str) -> Option<u64> {
    let term = object.strip_prefix("terms/")?.parse().ok()?;
    (name(term) == object && object.len() == name(0).len()).then_some(term)
}

/// Takes a term newer than all others and than `above`.
pub(super) fn take(store: &Durable, above: u64, who: &str) -> Result<u64, JournalError> {
    let mut nonce = [0; 16];
    SystemRandom::new().fill(&mut nonce).map_err(|_| JournalError::NoRandom)?;
    let nonce = u128::from_le_bytes(nonce);
    // The second line is unique, so that `put_own` can recognise this object.
    let who = who.replace('\n', " ");
    let text = format!("{who}\n{nonce:032x}\n");
    for _ in 0..TRIES {
        let term = newest(store)?.max(above) + 1;
        if store.put_own(&name(term), &[text.as_bytes()])? {
            return Ok(term);
        }
    }
    Err(JournalError::Fenced { by: by(store, newest(store)?) })
}

/// Whether a newer term than `term` is taken.
pub(super) fn has_successor(store: &Durable, term: u64) -> Result<bool, DurableError> {
    store.exists(&name(term + 1))
}

/// The master of a term, as text.
pub(super) fn by(store: &Durable, term: u64) -> Option<String> {
    // Only for a message, which can do without.
    let text = store.get(&name(term)).ok()?;
    String::from_utf8_lossy(&text).lines().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_we_give_are_terms() {
        assert_eq!(number(&name(12)), Some(12));
        let last = format!("terms/{}", u64::MAX);
        for other in ["terms/12", "terms/x", "terms/+000000012", "journal/0000000012", &last] {
            assert_eq!(number(other), None);
        }
    }
}
