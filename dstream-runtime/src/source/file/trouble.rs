//! What goes wrong with followed files while their job goes on: said once, counted, and tried again.
//!
//! Decides what is said and when: once per file and reason, and anew if it was well in between.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::names;
use crate::source::{News, SourceError};

/// Files that cannot be read, and what was lost.
#[derive(Default)]
pub(super) struct Troubles {
    /// Whether the first of them ends the job.
    stops: bool,
    /// Per file that cannot be read: why, and for how many looks that holds unless it is found again.
    files: BTreeMap<PathBuf, (String, u8)>,
    news: News,
    failed: Option<SourceError>,
}

impl Troubles {
    pub(super) fn new(stops: bool) -> Self {
        Self { stops, ..Self::default() }
    }

    /// Before the files are looked at.
    pub(super) fn begin(&mut self) {
        self.files.values_mut().for_each(|(_, still)| *still -= 1);
    }

    /// After that: what was not found again is well, or gone.
    pub(super) fn end(&mut self) {
        self.files.retain(|_, (_, still)| *still > 0);
    }

    /// A file cannot be read now, as a look has shown.
    pub(super) fn unreadable(&mut self, path: &Path, error: SourceError) {
        self.is_wrong(path, error, 1);
    }

    /// The same, as has turned out in reading: that comes after a look, and again after the next one.
    pub(super) fn unreadable_after_all(&mut self, path: &Path, error: SourceError) {
        self.is_wrong(path, error, 2);
    }

    fn is_wrong(&mut self, path: &Path, error: SourceError, looks: u8) {
        let why = error.to_string();
        let said = self.files.get(path).is_some_and(|(before, _)| *before == why);
        if !said {
            let help = "the job goes on without it and tries again";
            self.say(format!("{why}\n  help: {help}"), error);
        }
        self.files.insert(path.to_owned(), (why, looks));
    }

    /// The same as at the last look, if anything was wrong then.
    pub(super) fn unchanged(&mut self, path: &Path) {
        if let Some((_, still)) = self.files.get_mut(path) {
            *still = 1;
        }
    }

    /// Bytes are gone that were not read.
    pub(super) fn lost(&mut self, bytes: u64, error: SourceError) {
        self.news.lost += bytes;
        self.say(error.to_string(), error);
    }

    /// Something that people should know, and that is no failure.
    pub(super) fn note(&mut self, path: &Path, what: &str) {
        self.news.warnings.push(format!("{}: {what}", names::text(path)));
    }

    fn say(&mut self, text: String, error: SourceError) {
        if self.stops {
            self.failed.get_or_insert(error);
        } else {
            self.news.warnings.push(text);
        }
    }

    /// What ends the job, if it is to end with the first trouble.
    pub(super) fn failed(&self) -> Option<&SourceError> {
        self.failed.as_ref()
    }

    /// What has happened since this was asked before.
    pub(super) fn news(&mut self) -> News {
        let news = std::mem::take(&mut self.news);
        News { unreadable: self.files.len() as u64, ..news }
    }
}
