//! What a client is told of each of its records: how many can be read, and which cannot, and why.
//!
//! Nothing is taken out here: what cannot be read goes on with the rest and becomes a dead letter where it is
//! processed, once. The answer says so already now, because the client cannot be told later.

use std::cell::RefCell;

use serde::Serialize;

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

/// A reason that ends in the line and column of a record, with those of the body, whose lines ended at `breaks`. A
/// record is one line here: the line breaks within an element of an array became blanks.
fn in_body(reason: &str, position: u64, breaks: &[usize]) -> String {
    let place = || {
        let (why, place) = reason.rsplit_once(" at line 1 column ")?;
        Some((why, place.parse::<u64>().ok()?))
    };
    let Some((why, column)) = place() else { return reason.to_owned() };
    let at = position + column.saturating_sub(1);
    let before = breaks.partition_point(|end| (*end as u64) < at);
    let begins = before.checked_sub(1).map_or(0, |last| breaks[last] as u64 + 1);
    format!("{why} at line {} column {}", before + 1, at - begins + 1)
}

/// Reads every record of a request, the lines of which ended at `breaks`.
pub(super) fn judge(
    check: Check,
    scratch: &mut DecodeScratch,
    breaks: &[usize],
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
                // An element of an array follows the blanks after its comma.
                let blanks = letter.bytes.iter().take_while(|byte| byte.is_ascii_whitespace());
                let begins = letter.position + blanks.count() as u64;
                let line = 1 + breaks.partition_point(|at| (*at as u64) < begins) as u64;
                let reason = in_body(&letter.reason, letter.position, breaks);
                let reason = reason.chars().take(REASON).collect();
                verdict.named.push(Refused { index, line, reason });
            }
        });
    });
    verdict.into_inner()
}
