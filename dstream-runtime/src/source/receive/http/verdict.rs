//! What a client is told of each of its records: how many can be read, and which cannot, and why.
//!
//! Nothing is taken out here: what cannot be read goes on with the rest and becomes a dead letter where it is
//! processed, once. The answer says so already now, because nobody can tell the client later.

use std::cell::RefCell;

use serde::Serialize;

use super::elements::Shape;
use crate::source::decode::{Check, DecodeScratch};
use crate::source::part::Held;

/// How many refused records an answer names; all are counted.
const NAMED: usize = 20;

/// How long a reason in an answer is, in characters.
const REASON: usize = 300;

/// What becomes of the records of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Records that can be read.
    pub(super) accepted: u64,
    /// Records that cannot.
    pub(super) refused: u64,
    /// The first of those.
    pub(super) named: Vec<Refused>,
}

/// A record that cannot be read.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Refused {
    /// Its number among the records of the body, from 0.
    pub(super) index: u64,
    /// The line of the body in which it begins, from 1.
    pub(super) line: u64,
    /// Why.
    pub(super) reason: String,
}

impl Verdict {
    /// The body of the answer.
    pub(super) fn text(&self) -> String {
        let accepted = self.accepted;
        if self.refused == 0 {
            return format!("{{\"accepted\": {accepted}}}\n");
        }
        let (refused, total) = (&self.named, self.refused);
        let said = serde_json::json!({
            "accepted": accepted, "refused": refused, "refused_total": total,
        });
        format!("{said}\n")
    }
}

/// Reads every record of a request; `whole` is its body.
pub(super) fn judge(
    check: Check,
    scratch: &mut DecodeScratch,
    whole: &[u8],
    shape: &Shape,
    lines: &Held,
) -> Verdict {
    let verdict = RefCell::new(Verdict::default());
    lines.read(&mut |piece| {
        check.read(piece, scratch, &mut |letter| {
            let mut verdict = verdict.borrow_mut();
            let Some(letter) = letter else {
                verdict.accepted += 1;
                return;
            };
            let index = verdict.accepted + verdict.refused;
            verdict.refused += 1;
            if verdict.named.len() < NAMED {
                let line = line_at(whole, shape, usize::try_from(letter.position).unwrap_or(0));
                let reason = letter.reason.chars().take(REASON).collect();
                verdict.named.push(Refused { index, line, reason });
            }
        });
    });
    verdict.into_inner()
}

/// The line of the body in which the record at a position begins.
fn line_at(whole: &[u8], shape: &Shape, position: usize) -> u64 {
    let position = position.min(whole.len());
    let before = match shape {
        Shape::Lines => memchr::memchr_iter(b'\n', &whole[..position]).count(),
        Shape::Elements { breaks } => {
            let blank = whole[position..].iter().take_while(|byte| byte.is_ascii_whitespace());
            let begins = position + blank.count();
            breaks.partition_point(|at| *at < begins)
        }
    };
    before as u64 + 1
}
