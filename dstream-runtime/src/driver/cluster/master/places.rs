//! Where the outputs of a job were published before, for one that goes on elsewhere.
//!
//! A batch is published once at each place. A job that goes on with another place is meant to, as a rule: what it
//! published stays where it is, and the new place gets what comes after. The job warns of it, since results that
//! are read from one place alone are not whole.

use std::collections::BTreeMap;

use crate::durable::{Durable, DurableError};
use crate::sched::Past;

/// Where objects with places are, one per master that had others than the one before it.
const OBJECTS: &str = "outputs/";

/// Per output where it is published.
pub(super) type Places = BTreeMap<String, String>;

/// Writes down where outputs are published from this term on; says which had another place before.
///
/// # Errors
/// When the store fails.
pub(super) fn note(
    store: &Durable,
    term: u64,
    past: Option<&Past>,
    places: &Places,
) -> Result<Vec<String>, DurableError> {
    let known = store.list(OBJECTS)?;
    let mut warnings = Vec::new();
    let mut before = None;
    if let Some(newest) = known.last() {
        let bytes = store.get(newest)?;
        before = serde_json::from_slice::<Places>(&bytes).ok();
        if before.is_none() {
            let url = store.url_of(newest);
            warnings
                .push(format!("{url} cannot be read: outputs may have had other places before"));
        }
    }
    if let (Some(past), Some(before)) = (past, &before) {
        let moved = |(name, is): (&String, &String)| {
            let was = before.get(name).filter(|was| *was != is)?;
            Some(moved(past, name, was, is))
        };
        warnings.extend(places.iter().filter_map(moved));
    }
    // One whose place is not known now may have it again later.
    let mut now = before.clone().unwrap_or_default();
    now.extend(places.clone());
    if before.as_ref() != Some(&now) {
        let bytes = serde_json::to_vec(&now).unwrap_or_default();
        store.put_own(&format!("{OBJECTS}{term:016}"), &[&bytes])?;
        known.iter().try_for_each(|old| store.remove(old))?;
    }
    Ok(warnings)
}

fn moved(past: &Past, name: &str, was: &str, is: &str) -> String {
    let last = past.timetable().map(|table| format!(" ({})", table.end(past.published())));
    let (last, published) = (last.unwrap_or_default(), past.published());
    let again = match past.unpublished() {
        0 => String::new(),
        _ => ". What was being published when the job ended may be at both".to_owned(),
    };
    format!(
        "output `{name}` went to {was} before and goes to {is} now: what was published up to {published}{last} stays \
         there, and the new place gets what comes after{again}\n  help: to have all of it at one place, start the job \
         with --sink {name}={was}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::BatchSeq;
    use crate::sched::message::JournalEntry;

    fn places(url: &str) -> Places {
        Places::from([("counts".to_owned(), url.to_owned())])
    }

    #[test]
    fn another_place_is_said_once() {
        let store = Durable::volatile();
        let mut past = Past::default();
        past.apply(&JournalEntry::Start {
            zero_ms: 100_000,
            interval_ms: 1000,
            partitions: 4,
            first: BatchSeq(1),
            groups: Vec::new(),
        });
        let says = |term, url: &str| note(&store, term, Some(&past), &places(url)).unwrap();
        assert!(note(&store, 1, None, &places("text+file:///a")).unwrap().is_empty());
        assert!(says(2, "text+file:///a").is_empty());
        let said = says(3, "csv+file:///a");
        assert_eq!(said.len(), 1);
        for text in ["`counts` went to text+file:///a before", "csv+file:///a now", "batch 0"] {
            assert!(said[0].contains(text), "{text}: {said:?}");
        }
        assert!(says(4, "csv+file:///a").is_empty());
        // A place that is not known is no other place.
        assert!(note(&store, 5, Some(&past), &Places::new()).unwrap().is_empty());
        assert_eq!(says(6, "text+file:///a").len(), 1);
        assert_eq!(store.list(OBJECTS).unwrap().len(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let store = Durable::volatile();
        store.put_own("outputs/0000000000000001", &[b"{"]).unwrap();
        let said = note(&store, 2, Some(&Past::default()), &places("none:")).unwrap();
        assert!(said.len() == 1 && said[0].contains("cannot be read"), "{said:?}");
        assert!(note(&store, 3, Some(&Past::default()), &places("none:")).unwrap().is_empty());
    }
}
