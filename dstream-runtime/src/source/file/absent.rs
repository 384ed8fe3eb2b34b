//! Contents whose files are gone, or hold something else by now.
//!
//! Decides how long they are waited for and when the rest of them is given up. A file that was removed, or that
//! a link does not lead to any more, is read to its end through its open handle. A content may come back: under
//! another inode as a copy, or compressed; so it is remembered, the last [`KEPT`] of them.

use std::path::Path;
use std::time::{Duration, Instant};

use super::fingerprint::{Print, Rolling, WHOLE};
use super::followed::{Growing, Seen};
use super::remembered::{self, Known};
use super::trouble::Troubles;
use super::{data, generations, names};
use crate::host;

/// How many contents are remembered whose files are gone.
const KEPT: usize = 1024;

/// A content of as many bytes is not that of another file by chance.
const DISTINCT: u64 = 1 << 10;

/// Where a content has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// No path leads to its file.
    Missing,
    /// Its file holds something else: it was truncated, or filled anew.
    Replaced,
    /// Another process knew it, and its file has not been found.
    Remembered,
}

/// A content without a file.
pub(super) struct Gone {
    pub(super) growing: Growing,
    pub(super) why: Why,
    /// When something was seen of it last.
    since: Instant,
    /// In which look it went.
    pub(super) look: u64,
    /// Whether its rest was given up.
    over: bool,
}

/// All of them, oldest first.
#[derive(Default)]
pub(super) struct Absent(Vec<Gone>);

impl Absent {
    pub(super) fn push(&mut self, mut growing: Growing, why: Why, look: u64) {
        if why == Why::Replaced {
            growing.handle = None;
        }
        self.0.push(Gone { growing, why, since: host::now(), look, over: false });
        let over = self.0.iter().position(|gone| gone.over);
        if self.0.len() > KEPT
            && let Some(over) = over
        {
            self.0.remove(over);
        }
    }

    /// One that was gone before, when another process knew it.
    pub(super) fn push_over(&mut self, growing: Growing) {
        let why = Why::Remembered;
        self.0.push(Gone { growing, why, since: host::now(), look: 0, over: true });
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Gone> + ExactSizeIterator {
        self.0.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Gone> {
        self.0.iter_mut()
    }

    pub(super) fn take(&mut self, at: usize) -> Gone {
        self.0.remove(at)
    }

    /// Whether something went in this look.
    pub(super) fn went_in(&self, look: u64) -> bool {
        self.0.iter().any(|gone| gone.look == look)
    }

    /// The content that this file had, if it was the last to have it: those that it may still have come first.
    pub(super) fn take_back(&mut self, seen: &Seen) -> Option<Growing> {
        let key = remembered::key(&seen.identity);
        let may = |gone: &Gone| match gone.why {
            Why::Missing => gone.growing.identity == Some(seen.identity),
            Why::Remembered => gone.growing.key == key,
            Why::Replaced => false,
        };
        let order = |gone: &Gone| (!gone.over, gone.growing.taken());
        let at = (0..self.0.len())
            .filter(|at| may(&self.0[*at]))
            .max_by_key(|at| order(&self.0[*at]))?;
        Some(self.0.remove(at).growing)
    }

    /// What this file held before it was truncated.
    pub(super) fn replaced(&self, seen: &Seen) -> Option<&Growing> {
        let of = |gone: &&Gone| {
            gone.why == Why::Replaced && gone.growing.identity == Some(seen.identity)
        };
        self.0.iter().rev().find(of).map(|gone| &gone.growing)
    }

    /// Gives up what is waited for longer than `grace`, or all; says what is lost. `place` is where the files are.
    pub(super) fn settle(
        &mut self,
        grace: Duration,
        all: bool,
        place: &Path,
        troubles: &mut Troubles,
    ) {
        let (mut removed, mut read) = (0_u64, 0_u64);
        for gone in self.0.iter_mut().filter(|gone| !gone.over) {
            // Its writer may still have it open.
            let patience = if gone.growing.handle.is_some() { 2 * grace } else { grace };
            let waits = host::since(gone.since) < patience || gone.has_more();
            if waits && !all {
                continue;
            }
            gone.over = true;
            gone.growing.handle = None;
            // A position does not say what a file is called that had been read as far as it went.
            if gone.why == Why::Remembered && gone.growing.unread() == 0 {
                removed += 1;
                read = read.saturating_add(gone.growing.taken());
            }
            gone.say(troubles);
        }
        if removed > 0 {
            let files = if removed == 1 { "1 file".to_owned() } else { format!("{removed} files") };
            troubles.note(
                place,
                &format!(
                    "{files}, of which {read} bytes had been read, were removed while no process read here: what was \
                     appended after that, if anything was, is lost, and cannot be counted"
                ),
            );
        }
    }

    pub(super) fn known(&self) -> impl Iterator<Item = Known> {
        self.0.iter().map(|gone| gone.growing.known(false))
    }
}

impl Gone {
    /// The fingerprint of what was read, or, if that is nothing, of all that can be read through the open handle:
    /// it is not to be read here and in the copy too.
    pub(super) fn print(&self) -> Option<Print> {
        let read = self.growing.print();
        if read.is_some() || self.why != Why::Missing || self.growing.taken() > 0 {
            return read;
        }
        let handle = self.growing.handle.as_ref()?;
        let size = handle.metadata().ok()?.len();
        let mut rolling = Rolling::new(0);
        rolling.read(handle, size.min(WHOLE)).ok()?;
        Some(rolling.print()).filter(|print| print.len() > 0)
    }

    fn has_more(&mut self) -> bool {
        self.is_open() && self.growing.has_more()
    }

    /// Whether it can be read on.
    pub(super) fn is_open(&self) -> bool {
        self.why != Why::Replaced && self.growing.handle.is_some()
    }

    /// Something more was seen of it.
    pub(super) fn stirs(&mut self) {
        (self.since, self.over) = (host::now(), false);
    }

    /// Whether this file, which is new, may be where the content is now. `look` is when it was first seen.
    pub(super) fn may_be_in(&self, seen: &Seen, look: u64) -> bool {
        generations::may_be(&seen.path, self.growing.name)
            || remembered::modified(&seen.metadata) == self.growing.modified
            // A copy is made before the truncation.
            || self.why == Why::Replaced && look <= self.look
    }

    /// Whether the content alone tells where it is now, whatever that file is called: it has just gone, and is long.
    pub(super) fn is_told_by_content(&self) -> bool {
        !self.over && self.growing.print().is_some_and(|print| print.len() >= DISTINCT)
    }

    /// What is said of it when it is found in a file of an unrelated name.
    pub(super) fn found_again(&self) -> String {
        let taken = self.growing.taken();
        // A position names no file that had been read as far as it went.
        let of = match self.growing.path.as_os_str().is_empty() {
            true => "a file".to_owned(),
            false => names::text(&self.growing.path),
        };
        format!(
            "begins with the {taken} bytes that were read of {of}, which is gone: it is taken for that file, and goes \
             on behind them"
        )
    }

    fn say(&self, troubles: &mut Troubles) {
        let (growing, lost) = (&self.growing, self.growing.unread());
        let taken = growing.taken();
        let why = match (self.why, lost) {
            (Why::Replaced, 0) => {
                let what = format!(
                    "was truncated, or replaced in place: {taken} bytes of it had been read, and what was \
                     appended after the last look is lost"
                );
                return troubles.note(&growing.path, &what);
            }
            (_, 0) => return,
            (Why::Replaced, _) => {
                format!(
                    "was truncated, or replaced in place: {lost} bytes after byte {taken} had not been read"
                )
            }
            (Why::Missing | Why::Remembered, _) => {
                format!("is gone: {lost} bytes after byte {taken} had not been read")
            }
        };
        troubles.lost(lost, data(&growing.path, format!("{why}, and are lost")));
    }
}
