//! Which entries of a state's table are due by a time: those that expire, and those with a timer.
//!
//! An entry waits once, under the earliest time at which it was wanted. When that comes it is asked for its real
//! time, which may be later by now: an entry that is touched again and again costs a look per timeout, not one per
//! touch. So a batch costs by what is due, and not by what there is.
//!
//! Nothing of this is saved: it follows from the entries.

use std::collections::BTreeMap;

use super::touched::GONE;

/// No time.
const NEVER: u64 = u64::MAX;

/// Entries by the times at which they have to be looked at.
#[derive(Debug, Default)]
pub(super) struct Due {
    by_time: BTreeMap<u64, Vec<u32>>,
    /// Per entry the time under which it waits.
    waits: Vec<u64>,
}

impl Due {
    /// An entry is due at a time, if it is not looked at before.
    pub(super) fn want(&mut self, entry: u32, at: u64) {
        let index = entry as usize;
        if self.waits.len() <= index {
            self.waits.resize(index + 1, NEVER);
        }
        if at < self.waits[index] {
            self.waits[index] = at;
            self.by_time.entry(at).or_default().push(entry);
        }
    }

    /// The entries that are due by `now`, in the order of their times, then of their numbers. `real` says when an
    /// entry is due, if ever. An entry that stays as it is is due again the next time.
    pub(super) fn by(&mut self, now: u64, real: impl Fn(u32) -> Option<u64>) -> Vec<(u64, u32)> {
        let (mut due, mut later) = (Vec::new(), Vec::new());
        while let Some(first) = self.by_time.first_entry().filter(|first| *first.key() <= now) {
            let (time, entries) = first.remove_entry();
            for entry in entries {
                // It waits under an earlier time, and was there already.
                if self.waits.get(entry as usize) != Some(&time) {
                    continue;
                }
                self.waits[entry as usize] = NEVER;
                match real(entry) {
                    Some(at) if at <= now => due.push((at, entry)),
                    Some(at) => later.push((at, entry)),
                    None => {}
                }
            }
        }
        for (at, entry) in due.iter().chain(&later) {
            self.want(*entry, *at);
        }
        due.sort_unstable();
        due
    }

    /// Entries have got other numbers.
    pub(super) fn renumber(&mut self, new: &[u32]) {
        let waits = std::mem::take(&mut self.waits);
        self.by_time.clear();
        for (old, at) in waits.into_iter().enumerate() {
            match new.get(old) {
                Some(number) if *number != GONE && at != NEVER => self.want(*number, at),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against a scan of all entries, with times that move.
    #[test]
    fn it_finds_what_a_scan_finds() {
        let mut seed = 5u64;
        let mut draw = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(7);
            (seed >> 33) % below
        };
        let (mut due, mut real): (Due, Vec<Option<u64>>) = (Due::default(), Vec::new());
        let mut looked = 0u64;
        for now in 1..3000u64 {
            for _ in 0..draw(4) {
                let entry = draw(60) as usize;
                real.resize(real.len().max(entry + 1), None);
                let at = now + 1 + draw(90);
                real[entry] = Some(at);
                due.want(entry as u32, at);
            }
            if draw(300) == 0 {
                // Every third entry goes.
                let mut next = 0;
                let gone = |old: usize| old.is_multiple_of(3);
                let new: Vec<u32> = (0..real.len())
                    .map(|old| if gone(old) { GONE } else { (next, next += 1).0 })
                    .collect();
                due.renumber(&new);
                let kept = real.iter().enumerate().filter(|(old, _)| !gone(*old));
                real = kept.map(|(_, at)| *at).collect();
            }
            let mut expected: Vec<(u64, u32)> = (0..)
                .zip(&real)
                .filter_map(|(entry, at)| at.filter(|at| *at <= now).map(|at| (at, entry)))
                .collect();
            expected.sort_unstable();
            let at = |entry: u32| real[entry as usize];
            let found = due.by(now, at);
            assert_eq!(found, expected, "at {now}");
            assert_eq!(due.by(now, at), expected, "a task that runs again finds the same");
            looked += found.len() as u64;
            for (_, entry) in found {
                real[entry as usize] = None;
            }
        }
        assert!(looked > 1000, "{looked}");
    }
}
