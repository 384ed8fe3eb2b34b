//! Fuzz target: replay of arbitrary objects by a new master.

use std::collections::BTreeMap;

use super::object::{self, Flaw, Header, Kind};
use super::replay::{Found, replay};
use crate::fuzzing::values;
use crate::sched::message::JournalEntry;

const PLAN: u64 = 7;

/// A sequence of objects, numbered from the first byte: for each, its length and which parts are sealed
/// here, then its bytes.
pub(in crate::durable) fn journals(bytes: &[u8]) {
    let Some((first, mut rest)) = bytes.split_first() else { return };
    let mut seq = u64::from(*first);
    let mut found = BTreeMap::new();
    while let [len, how, after @ ..] = rest {
        let (bytes, after) = after.split_at(after.len().min(usize::from(*len)));
        match how {
            0 => drop(found.insert(seq, understood(seq, bytes))),
            1 => {}
            _ => {
                let kind = if how & 2 == 0 { Kind::Entries } else { Kind::Snapshot };
                let base = (how & 4 > 0).then(|| seq.saturating_sub(u64::from(how >> 5)));
                let header = Header { kind, plan: PLAN, term: u64::from(how >> 3 & 3), seq, base };
                let whole = [header.seal(bytes).as_slice(), bytes].concat();
                let read = object::decode(seq, &whole).expect("it is as it was sealed");
                assert_eq!(read, (header, bytes));
                found.insert(seq, understood(seq, &whole));
            }
        }
        rest = after;
        seq += 1;
    }
    decided(&found);
}

/// Like `understand`, without a store.
fn understood(seq: u64, bytes: &[u8]) -> Found<()> {
    let (header, body) = object::decode(seq, bytes).map_err(|flaw| match flaw {
        Flaw::Damaged(why) => why.to_owned(),
        Flaw::Version(version) => version.to_string(),
    })?;
    assert_eq!(bytes, [header.seal(body).as_slice(), body].concat());
    if header.kind == Kind::Entries {
        let entries = postcard::from_bytes::<Vec<(u64, JournalEntry)>>(body);
        let entries = entries.map_err(|error| error.to_string())?;
        let again = postcard::to_allocvec(&entries).expect("it was read");
        let again: Vec<(u64, JournalEntry)> = postcard::from_bytes(&again).expect("it was written");
        assert_eq!(again, entries);
    }
    Ok((header, ()))
}

/// Objects that count exist, are readable, of the expected kind, and in order; others cause a warning.
fn decided(found: &BTreeMap<u64, Found<()>>) {
    let Ok(replay) = replay(found) else { return };
    let kind = |seq: &u64| found[seq].as_ref().map(|(header, _)| header.kind);
    assert!(replay.base.is_none_or(|base| kind(&base) == Ok(Kind::Snapshot)));
    assert!(replay.entries.is_sorted_by(|a, b| a < b));
    assert!(replay.entries.iter().all(|seq| kind(seq) == Ok(Kind::Entries)));
    assert!(replay.entries.iter().all(|seq| replay.base.is_none_or(|base| *seq > base)));
    assert_eq!(replay.highest, found.keys().next_back().copied());
    let last = replay.entries.last().copied().or(replay.base);
    assert!(last == replay.highest || !replay.warnings.is_empty());
}

pub(in crate::durable) fn seeds() -> Vec<Vec<u8>> {
    let one = |how: u8, body: &[u8]| [&[body.len() as u8, how], body].concat();
    let entries: Vec<Vec<u8>> = values::<Vec<(u64, JournalEntry)>>();
    let (snapshot, next) = (one(0b0000_1010, b"all before"), one(0b0010_1100, &[0]));
    let sealed: Vec<Vec<u8>> = entries
        .iter()
        .filter(|body| body.len() < 200)
        .flat_map(|body| {
            let plain = one(0b0000_1000, body);
            let header = Header { kind: Kind::Entries, plan: PLAN, term: 1, seq: 0, base: None };
            let whole = one(0, &[header.seal(body).as_slice(), body].concat());
            [
                [&[0], plain.as_slice(), &plain].concat(),
                [&[0], whole.as_slice(), &plain].concat(),
                [&[4], snapshot.as_slice(), &plain, &next].concat(),
                [&[0], plain.as_slice(), &snapshot, &one(1, b""), &next].concat(),
            ]
        })
        .collect();
    sealed
}
