//! The jobs in good style: good libraries, simple loops, no tricks.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use memchr::memmem::Finder;

use crate::counts::Counts;

/// Sums by key in a hash table that allocates once per distinct key.
#[derive(Debug, Default)]
pub struct PlainCounts {
    table: HashTable<(Box<[u8]>, u64)>,
    state: FixedState,
}

/// The lines of a text, without their newlines.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut from, mut ends) = (0, memchr::memchr_iter(b'\n', text));
    std::iter::from_fn(move || {
        let end = ends.next().or((from < text.len()).then_some(text.len()))?;
        let line = &text[from..end];
        from = end + 1;
        Some(line)
    })
}

impl PlainCounts {
    #[inline]
    fn add(&mut self, key: &[u8], n: u64) {
        let Self { table, state } = self;
        let hash = state.hash_one(key);
        match table.entry(hash, |(k, _)| **k == *key, |(k, _)| state.hash_one(&**k)) {
            Entry::Occupied(mut entry) => entry.get_mut().1 += n,
            Entry::Vacant(entry) => {
                entry.insert((key.into(), n));
            }
        }
    }
}

impl Counts for PlainCounts {
    fn add_words(&mut self, text: &[u8]) {
        for line in lines(text) {
            for word in line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
                self.add(word, 1);
            }
        }
    }

    fn add_csv(&mut self, rows: &[u8]) {
        for row in lines(rows) {
            let mut fields = row.split(|byte| *byte == b',');
            if let (Some(_user), Some(url), Some(bytes)) =
                (fields.next(), fields.next(), fields.next())
                && let Some(bytes) = std::str::from_utf8(bytes).ok().and_then(|n| n.parse().ok())
            {
                self.add(url, bytes);
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        for (key, n) in &other.table {
            self.add(key, *n);
        }
    }

    fn subtract(&mut self, other: &Self) {
        for (key, n) in &other.table {
            let hash = self.state.hash_one(&**key);
            if let Ok(mut entry) = self.table.find_entry(hash, |(k, _)| k == key) {
                entry.get_mut().1 -= n;
                if entry.get().1 == 0 {
                    entry.remove();
                }
            }
        }
    }

    fn each(&self, mut f: impl FnMut(&[u8], u64)) {
        self.table.iter().for_each(|(key, n)| f(key, *n));
    }

    fn clear(&mut self) {
        self.table.clear();
    }

    fn grep<'a>(text: &'a [u8], pattern: &str, mut f: impl FnMut(&'a [u8])) {
        let finder = Finder::new(pattern);
        for line in lines(text) {
            if finder.find(line).is_some() {
                f(line);
            }
        }
    }
}
