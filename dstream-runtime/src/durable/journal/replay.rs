//! Which objects of a journal count.
//!
//! A pure decision over the objects found: what a new master resumes from, what is lost, and when it must
//! not start. Objects count from the newest readable snapshot (from number 0 if there never was one) up to
//! the first damaged or missing one. If a later object names the bad one as its base, it was a snapshot: the
//! snapshot before it and the objects between hold the same, and nothing is lost.
//!
//! Objects before a snapshot may be gone, and an old master may have put one in their place. So without a
//! snapshot, or before an unreadable one, a gap is never taken for the end.

use std::collections::{BTreeMap, BTreeSet};

use super::object::{self, Header, Kind};

/// An object: a header and a content, or why it is unreadable.
pub(super) type Found<T> = Result<(Header, T), String>;

/// What a new master resumes from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Replay {
    /// The number of the snapshot to start with.
    pub(super) base: Option<u64>,
    /// The objects of entries after it, ascending.
    pub(super) entries: Vec<u64>,
    /// The highest number found; higher ones are free.
    pub(super) highest: Option<u64>,
    /// Damaged objects, and what is lost with them.
    pub(super) warnings: Vec<String>,
}

/// Selects the objects that count; an error says why the job must not resume.
pub(super) fn replay<T>(objects: &BTreeMap<u64, Found<T>>) -> Result<Replay, String> {
    let readable = || objects.values().flatten().map(|(header, _)| header);
    let snapshots = readable().filter(|header| header.kind == Kind::Snapshot);
    let base = snapshots.map(|header| header.seq).next_back();
    let built_on: BTreeSet<u64> = readable().filter_map(|header| header.base).collect();
    let highest = objects.keys().next_back().copied();
    let mut replay = Replay { base, entries: Vec::new(), highest, warnings: Vec::new() };
    let Some(highest) = highest else { return Ok(replay) };

    let mut term =
        base.and_then(|base| objects.get(&base)?.as_ref().ok()).map_or(0, |(h, _)| h.term);
    for seq in base.map_or(0, |base| base + 1)..=highest {
        let object = object::name(seq);
        let found = objects.get(&seq);
        let why = match found {
            Some(Ok((header, _))) if header.term >= term => {
                term = header.term;
                replay.entries.push(seq);
                continue;
            }
            Some(Ok((header, _))) => {
                format!("it is of term {}, behind one of term {term}", header.term)
            }
            Some(Err(why)) => why.clone(),
            None => "it is missing".to_owned(),
        };
        if base.is_none() && seq == 0 {
            return Err(format!("{object}: {why}; and no snapshot is readable"));
        }
        if built_on.contains(&seq) {
            replay.warnings.push(format!(
                "{object}: {why}; it was a snapshot, and the one before it and what came between say \
                 the same: nothing is lost"
            ));
            continue;
        }
        let mut later = objects.range(seq + 1..).map(|(_, found)| found);
        let may_be_cut = later.any(|found| match found {
            Ok((header, _)) => header.base.is_some_and(|base| base > seq),
            Err(_) => true,
        });
        if found.is_none() && may_be_cut {
            return Err(format!("{object}: {why}, and the snapshot behind it is unreadable too"));
        }
        let behind = objects.range(seq + 1..).count();
        let also = match behind {
            0 => String::new(),
            1 => format!(", and that of {} behind it", object::name(highest)),
            _ => {
                format!(", and that of {behind} objects behind it up to {}", object::name(highest))
            }
        };
        replay.warnings.push(format!(
            "{object}: {why}; the job resumes from the objects before it. Its content is lost{also}, \
             unless all of it was over"
        ));
        break;
    }
    Ok(replay)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Builds objects from a pattern: `s` snapshot, `e` entries, `x` damaged, `-` missing; `X` and `_` are
    /// damaged and missing snapshots. Bases are those a writer would give.
    fn objects(from: u64, pattern: &str) -> BTreeMap<u64, Found<()>> {
        let mut base = None;
        let mut objects = BTreeMap::new();
        for (seq, what) in (from..).zip(pattern.chars()) {
            let kind = if what == 's' { Kind::Snapshot } else { Kind::Entries };
            let header = Header { kind, plan: 1, term: 1, seq, base };
            match what {
                's' | 'e' => drop(objects.insert(seq, Ok((header, ())))),
                'x' | 'X' => drop(objects.insert(seq, Err("it is torn".to_owned()))),
                _ => {}
            }
            if "sX_".contains(what) {
                base = Some(seq);
            }
        }
        objects
    }

    fn decided(from: u64, pattern: &str) -> (Option<u64>, Vec<u64>, usize) {
        let replay = replay(&objects(from, pattern)).unwrap();
        (replay.base, replay.entries, replay.warnings.len())
    }

    #[test]
    fn which_objects_count() {
        let none = Vec::new;
        assert_eq!(decided(0, ""), (None, none(), 0));
        assert_eq!(decided(0, "eee"), (None, vec![0, 1, 2], 0));
        assert_eq!(decided(0, "eese"), (Some(2), vec![3], 0));
        assert_eq!(decided(4, "sesee"), (Some(6), vec![7, 8], 0), "older ones are gone");
        assert_eq!(
            decided(4, "s-s"),
            (Some(6), none(), 0),
            "objects before a snapshot do not matter"
        );
        // The last, and one in the middle; with and without a snapshot.
        assert_eq!(decided(4, "seex"), (Some(4), vec![5, 6], 1));
        assert_eq!(decided(4, "sexe"), (Some(4), vec![5], 1));
        assert_eq!(decided(4, "se-e"), (Some(4), vec![5], 1));
        assert_eq!(decided(0, "exe"), (None, vec![0], 1));
        assert_eq!(decided(0, "e-e"), (None, vec![0], 1), "no snapshot: nothing was cut off");
        // Evidence of a snapshot: nothing is lost, and later objects count.
        assert_eq!(decided(4, "seXe"), (Some(4), vec![5, 7], 1));
        assert_eq!(decided(4, "se_e"), (Some(4), vec![5, 7], 1));
        assert_eq!(decided(4, "seX"), (Some(4), vec![5], 1));
        assert_eq!(decided(0, "eeXe"), (None, vec![0, 1, 3], 1));
        assert!(replay(&objects(4, "seXe")).unwrap().warnings[0].contains("nothing is lost"));
        assert!(replay(&objects(4, "seX")).unwrap().warnings[0].contains("is lost"));
    }

    #[test]
    fn when_a_master_must_not_start() {
        for (from, pattern) in [
            (0, "x"),
            (0, "xee"),
            (0, "xxx"),
            (4, "ee"),
            (4, "Xee"),
            // An old master's object among removed ones, and no readable snapshot.
            (0, "e---Xee"),
            (0, "e---XeXx"),
            (2, "s---Xee"),
            (2, "s---X"),
        ] {
            assert!(replay(&objects(from, pattern)).is_err(), "{from} {pattern}");
        }
        let zombie = decided(0, "e---se");
        assert_eq!(zombie, (Some(4), vec![5], 0), "it does not matter before a snapshot");
    }

    #[test]
    fn an_older_term_does_not_follow_a_newer_one() {
        let mut found = objects(4, "seee");
        for (seq, term) in [(4, 2), (5, 2), (6, 1), (7, 2)] {
            found.get_mut(&seq).unwrap().as_mut().unwrap().0.term = term;
        }
        assert_eq!(replay(&found).unwrap().entries, [5]);
    }
}
