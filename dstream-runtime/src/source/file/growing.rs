//! A live source of files: what is appended to them, and new ones.
//!
//! Each cut lists and measures the files and takes the whole lines that are new; a line without its
//! end waits. Compressed files are read once they are whole.
//!
//! **Identity.** A followed file is known by its inode, so that one that is renamed goes on under its new name,
//! and by the fingerprint of what was read of it ([`fingerprint`](super::fingerprint)), which is compared before
//! and after each read and when a job starts again. So
//!
//! - a file that was truncated and filled again, with more, fewer or as many bytes, is read from its start;
//!   only a new content that begins with all that was read of the old one is taken for the old one, grown;
//! - a new file that begins with all that was read of one that is gone, or was truncated, is that one, and goes
//!   on where reading stopped, if rotation, compression or a copy may have given it its name
//!   ([`generations`](super::generations)), if it has the same time of modification, if it came with the
//!   truncation, or if at least 1 KiB had been read and it comes within [`Config::settle`] of the other one's end.
//!   Other files with the same content are other files, and are read;
//! - a new file that so far is the same as one that is there may be a copy in the making, which the truncation or
//!   the removal of the other one follows: it is read when it differs, or after [`Config::settle`].
//!
//! What is lost is what was appended and truncated or removed with its file between two looks, or while nothing
//! read it, and no copy has.
//!
//! **Troubles.** What cannot be read, or is lost, is said once and counted ([`Troubles`]); the job goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::absent::{Absent, Gone, Why};
use super::again::{Again, Opened};
use super::fingerprint::Print;
use super::followed::{Growing, Seen, Stamp, contents};
use super::list::{self, Identity};
use super::pattern::is_pattern;
use super::remembered::{self, Known, LISTED, NameHash, Remembered, Unlisted, name_hash};
use super::stored::{PlainFile, Stored};
use super::trouble::Troubles;
use super::{Config, Want, content, data, names, twins};
use crate::host::{self, limits};
use crate::source::part::{self, Part};
use crate::source::{Cut, Input, News, Position, Range, Source, SourceError};

/// Reads files as they grow.
pub(super) struct GrowingFiles {
    config: Config,
    files: BTreeMap<PathBuf, Growing>,
    absent: Absent,
    /// Files of which it is not known yet whether they are new.
    undecided: BTreeMap<Identity, Undecided>,
    /// What another process knew; files that are not listed there.
    unlisted: Remembered,
    troubles: Troubles,
    /// How many files are listed in a position.
    listed: usize,
    life: Life,
    looks: u64,
    /// Whether the content of a file alone says which one it is.
    accepts: bool,
    /// What the path was at first: a directory or not.
    is_directory: Option<bool>,
    failed: Option<SourceError>,
    buffer: Vec<u8>,
    again: Again,
    opened: Opened,
    /// How many bytes the next cut may bring.
    limit: u64,
}

/// A file of which it is not known yet whether it is new.
struct Undecided {
    stamp: Stamp,
    since: Instant,
    /// In which look it was seen first.
    look: u64,
    /// It cannot be read as it is.
    tried: bool,
}

/// What a new file turns out to be.
enum Verdict {
    /// One of those that are gone, by their number; of a compressed file with the fingerprint of all.
    Is(usize, Option<Print>),
    /// It may be a copy of this one.
    Waits(PathBuf),
    New,
}

/// Where a content is.
enum Place {
    /// In the file of this path.
    There(PathBuf),
    /// In the one of this number that is gone.
    Gone(usize),
}

/// How often the files are listed when one has just gone, as it may have been renamed meanwhile.
const LOOKS: usize = 3;

/// With how many contents that have gone a new file is compared whose name has nothing to do with theirs.
const UNRELATED: usize = 64;

/// How many files' headers a position holds, for the case that one is truncated and goes on without it.
const HEADERS: usize = 64;

/// How long it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// It looks for new data at each cut.
    Live,
    /// It was stopped and looks once more.
    Stopping,
    /// It gives what it has seen.
    Draining,
}

impl GrowingFiles {
    pub(super) fn open(config: Config) -> Result<Self, SourceError> {
        let mut this = Self {
            again: Again::new(&config),
            troubles: Troubles::new(config.stops),
            config,
            files: BTreeMap::new(),
            absent: Absent::default(),
            undecided: BTreeMap::new(),
            unlisted: Remembered::default(),
            listed: LISTED,
            life: Life::Live,
            looks: 0,
            accepts: false,
            is_directory: None,
            failed: None,
            buffer: Vec::new(),
            opened: Opened::default(),
            limit: u64::MAX,
        };
        // What cannot be listed is an error now, not when the first batch runs.
        list::list_readable(&this.config.path, &mut |_, _| {})?;
        this.refresh();
        this.troubles.failed().cloned().map_or(Ok(this), Err)
    }

    /// Lists and measures the files.
    fn refresh(&mut self) {
        self.looks += 1;
        self.troubles.begin();
        let mut gone = self.absent.iter().count();
        for _ in 0..LOOKS {
            self.look();
            // A file that is renamed while the files are listed may be seen under neither name.
            let now = self.absent.iter().count();
            if now <= gone || !self.absent.went_in(self.looks) {
                break;
            }
            gone = now;
        }
        self.look_at_absent();
        self.let_go();
        self.absent.settle(self.config.settle, false, &self.config.path, &mut self.troubles);
        self.troubles.end();
    }

    fn look(&mut self) {
        let Some(listed) = self.list() else { return };
        let known = std::mem::take(&mut self.files).into_iter();
        let mut known: BTreeMap<Identity, Growing> =
            known.filter_map(|(_, growing)| Some((growing.identity?, growing))).collect();
        let mut fresh = Vec::new();
        let mut opened = 0;
        for seen in listed {
            self.let_go_after(&mut opened);
            let mut growing = known.remove(&seen.identity).or_else(|| self.absent.take_back(&seen));
            loop {
                match growing {
                    None => break fresh.push(seen),
                    Some(of) => match self.go_on(of, &seen) {
                        Some(of) => {
                            opened += usize::from(of.handle.is_some());
                            self.files.insert(seen.path, of);
                            break;
                        }
                        None => growing = self.absent.take_back(&seen),
                    },
                }
            }
        }
        let looks = self.looks;
        known.into_values().for_each(|growing| self.absent.push(growing, Why::Missing, looks));
        let seen: BTreeSet<Identity> = fresh.iter().map(|seen| seen.identity).collect();
        self.undecided.retain(|identity, _| seen.contains(identity));
        for seen in fresh {
            self.let_go_after(&mut opened);
            if let Err(error) = self.decide(&seen) {
                self.troubles.unreadable(&seen.path, error);
            }
            let of = self.files.get(&seen.path);
            opened += usize::from(of.is_some_and(|of| of.handle.is_some()));
        }
    }

    /// Closes files while others are measured: all of a large directory at once may be more than can be open.
    fn let_go_after(&mut self, opened: &mut usize) {
        if *opened >= limits::most_held() {
            self.let_go();
            *opened = 0;
        }
    }

    /// The files that are there, each once, whatever its names; none if that cannot be known now.
    fn list(&mut self) -> Option<Vec<Seen>> {
        let path = self.config.path.as_path();
        let troubles = &mut self.troubles;
        let is_directory = path.metadata().ok().map(|metadata| metadata.is_dir());
        let is_directory = is_directory.filter(|_| !is_pattern(path));
        if let (Some(is), Some(was)) = (is_directory, self.is_directory)
            && is != was
        {
            let kinds = ["a file", "a directory"];
            let (is, was) = (kinds[usize::from(is)], kinds[usize::from(was)]);
            troubles.unreadable(path, data(path, format!("was {was}, and is {is} now")));
            return Some(Vec::new());
        }
        self.is_directory = self.is_directory.or(is_directory);
        let listed = list::list_readable(&self.config.path, &mut |path, error| {
            troubles.unreadable(path, error);
        });
        let listed = match listed {
            Ok(Some(listed)) => listed,
            Ok(None) => {
                if self.is_directory == Some(true) {
                    troubles.unreadable(path, data(path, "is gone"));
                }
                Vec::new()
            }
            Err(error) => {
                troubles.unreadable(path, error);
                return None;
            }
        };
        let (mut files, mut seen) = (Vec::with_capacity(listed.len()), BTreeSet::new());
        for path in listed {
            match std::fs::metadata(&path) {
                Ok(metadata) => {
                    let file = Seen::new(path, metadata);
                    // A second name of the same file is not a second file.
                    if seen.insert(file.identity) {
                        files.push(file);
                    }
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => troubles.unreadable(&path, super::io("open", &path, error)),
            }
        }
        Some(files)
    }

    /// Measures a file that is known; nothing if it holds something else by now.
    fn go_on(&mut self, mut growing: Growing, seen: &Seen) -> Option<Growing> {
        match growing.measure(seen, &self.config) {
            Ok(true) => {
                if let Some(why) = growing.refusal() {
                    self.troubles.unreadable(&seen.path, why);
                }
                Some(growing)
            }
            Ok(false) => {
                self.absent.push(growing, Why::Replaced, self.looks);
                None
            }
            Err(error) => {
                self.troubles.unreadable(&seen.path, error);
                Some(growing)
            }
        }
    }

    /// Finds out what a file is that is not known.
    fn decide(&mut self, seen: &Seen) -> Result<(), SourceError> {
        let (stamp, looks) = (Stamp::of(&seen.metadata), self.looks);
        let first = || Undecided { stamp, since: host::now(), look: looks, tried: false };
        let undecided = self.undecided.entry(seen.identity).or_insert_with(first);
        if !stamp.is(Some(undecided.stamp)) && undecided.look != looks {
            *undecided = Undecided { look: undecided.look, ..first() };
        }
        if undecided.tried {
            self.troubles.unchanged(&seen.path);
            return Ok(());
        }
        let (since, look) = (undecided.since, undecided.look);
        let changed = remembered::changed(&seen.metadata);
        match self.unlisted.unlisted(&seen.identity, changed) {
            Unlisted::New => {}
            Unlisted::Read => {
                self.files.insert(seen.path.clone(), Growing::read(seen));
                return Ok(());
            }
            Unlisted::Unclear => {
                let why = format!(
                    "is an old file that has changed while nothing read it, or was moved here: among \
                     more than {LISTED} files it is not known how much of it was read. If it has not been \
                     read, copy it under another name"
                );
                return Err(data(&seen.path, why));
            }
        }
        if stamp.size == 0 {
            // Once, since an empty file that is written to later has its size by then.
            if look == looks
                && let Some(file) = seen.open()?
                && let Err(error) = list::has_its_size(&seen.path, &file, &seen.metadata)
            {
                self.undecided.entry(seen.identity).and_modify(|it| it.tried = true);
                return Err(error);
            }
            return Ok(());
        }
        let Some(file) = seen.open()? else { return Ok(()) };
        if content::is_unclear(&seen.path, &file)? {
            // It holds no whole line either: it is looked at again when there is more of it.
            return Ok(());
        }
        let growing = match self.judge(seen, &file, look) {
            Ok(Verdict::New) => self.begin(seen),
            Ok(Verdict::Is(at, packed)) => {
                let gone = self.absent.take(at);
                if !self.accepts && !gone.may_be_in(seen, look) {
                    self.troubles.note(&seen.path, &gone.found_again());
                }
                let mut growing = gone.growing;
                growing.moves_to(seen, packed);
                growing
            }
            Ok(Verdict::Waits(of)) if twins::waits(&seen.path, &of, since, self.config.settle) => {
                return Ok(());
            }
            Ok(Verdict::Waits(of)) => {
                let what = format!(
                    "begins like {}, which has been read: it is read too, as another file",
                    names::text(&of)
                );
                self.troubles.note(&seen.path, &what);
                self.begin(seen)
            }
            Err(error) => {
                if let Some(undecided) = self.undecided.get_mut(&seen.identity) {
                    undecided.tried = true;
                }
                return Err(error);
            }
        };
        if let Some(growing) = self.go_on(growing, seen) {
            self.undecided.remove(&seen.identity);
            self.files.insert(seen.path.clone(), growing);
        }
        Ok(())
    }

    /// A file that is new, or has a new content.
    fn begin(&mut self, seen: &Seen) -> Growing {
        let before = self.absent.replaced(seen).and_then(Growing::header);
        Growing::new(seen, before)
    }

    /// Compares a new file with those that are gone, and those that are there.
    fn judge(&self, seen: &Seen, file: &File, look: u64) -> Result<Verdict, SourceError> {
        let failed = |error| super::io("read", &seen.path, error);
        let may = |gone: &Gone| self.accepts || gone.may_be_in(seen, look);
        let mut unrelated = UNRELATED;
        let mut told = |gone: &Gone| {
            let told = unrelated > 0 && gone.is_told_by_content();
            unrelated -= usize::from(told);
            told
        };
        let latest = self.absent.iter().enumerate().rev();
        let mut gone: Vec<_> = latest.filter(|(_, gone)| may(gone) || told(gone)).collect();
        gone.reverse();
        let prints = gone.iter().filter_map(|(at, gone)| Some((*at, gone.print()?)));
        let (numbers, prints): (Vec<usize>, Vec<_>) = prints.unzip();
        let (whole, found) = if content::is_packed(&seen.path, file)? {
            let (whole, found) = contents(&seen.path, file, &prints)?;
            (Some(whole), found)
        } else {
            let found = prints.iter().map(|print| Ok(print.matches_fully(file)?.is_some()));
            (None, found.collect::<std::io::Result<_>>().map_err(failed)?)
        };
        let found = (0..prints.len()).filter(|at| found[*at]);
        if let Some(at) = found.max_by_key(|at| prints[*at].end) {
            return Ok(Verdict::Is(numbers[at], whole));
        }
        if let Some(of) =
            twins::of_those_there(seen, file, whole.as_ref(), &self.files).map_err(failed)?
        {
            return Ok(Verdict::Waits(of));
        }
        for (_, gone) in gone.into_iter().filter(|(_, gone)| may(gone)) {
            if let Some(print) = gone.growing.print()
                && whole.is_none()
                && seen.metadata.len() < print.end
                && print.begins(file).map_err(failed)?
            {
                return Ok(Verdict::Waits(gone.growing.path.clone()));
            }
        }
        Ok(Verdict::New)
    }

    /// Reads on in files that have no name any more.
    fn look_at_absent(&mut self) {
        let looks = self.looks;
        for gone in self.absent.iter_mut().filter(|gone| gone.why != Why::Replaced) {
            if gone.growing.handle.is_none() && gone.look + 1 >= looks {
                twins::find_elsewhere(&self.config.path, &mut gone.growing);
            }
            let Some(handle) = gone.growing.handle.clone() else { continue };
            let before = gone.growing.unread();
            match gone.growing.measure_open(&handle, &self.config) {
                Ok(true) => {
                    if gone.growing.unread() != before {
                        gone.stirs();
                    }
                }
                Ok(false) => {
                    gone.why = Why::Replaced;
                    gone.growing.handle = None;
                }
                Err(error) => self.troubles.unreadable(&gone.growing.path, error),
            }
        }
    }

    /// Closes files that have been read, if too many are open: those that changed first.
    fn let_go(&mut self) {
        let open = |growing: &&mut Growing| growing.handle.is_some();
        let mut kept: Vec<&mut Growing> = self.files.values_mut().filter(open).collect();
        let Some(over) = kept.len().checked_sub(limits::most_held()) else { return };
        kept.sort_by_key(|growing| growing.changed());
        kept.into_iter().take(over).for_each(Growing::close);
    }

    fn position(&self) -> Result<Position, SourceError> {
        let there = self.files.values().map(|growing| growing.known(true));
        let mut known: Vec<Known> = there.chain(self.absent.known()).collect();
        if known.len() <= HEADERS {
            let all = self.files.values().chain(self.absent.iter().map(|gone| &gone.growing));
            for (known, growing) in known.iter_mut().zip(all) {
                known.kept.header = growing.header().map(|header| header.to_string());
            }
        }
        remembered::write(known, self.listed)
    }

    /// By how many contents each name is used.
    fn names(&self) -> BTreeMap<NameHash, usize> {
        let absent = self.absent.iter().map(|gone| &gone.growing);
        let mut used = BTreeMap::new();
        for growing in self.files.values().chain(absent) {
            let own: BTreeSet<NameHash> = growing.names.iter().map(|(name, _)| *name).collect();
            own.into_iter().for_each(|name| *used.entry(name).or_insert(0) += 1);
        }
        used
    }

    /// Takes what there is, at most what is wanted; whether there is more.
    fn take(&mut self, parts: &mut Vec<Part>) -> bool {
        let limit = std::mem::replace(&mut self.limit, u64::MAX);
        let (mut want, mut more) = (self.config.batch.within(limit), false);
        let absent = (0..self.absent.iter().count()).map(Place::Gone);
        let mut used = None;
        let places: Vec<Place> =
            absent.chain(self.files.keys().cloned().map(Place::There)).collect();
        for place in places {
            if !self.at_mut(&place).is_some_and(Growing::has_more) {
                continue;
            }
            if want.is_nothing() || self.failed.is_some() {
                more = true;
                continue;
            }
            let used = used.get_or_insert_with(|| self.names());
            match self.take_of(&place, used, &mut want, parts) {
                Ok(is_left) => more |= is_left,
                Err(error) => {
                    let path = self.at(&place).map(|growing| growing.path.clone());
                    self.troubles.unreadable_after_all(&path.unwrap_or_default(), error);
                }
            }
        }
        more
    }

    fn take_of(
        &mut self,
        place: &Place,
        used: &mut BTreeMap<NameHash, usize>,
        want: &mut Want,
        parts: &mut Vec<Part>,
    ) -> Result<bool, SourceError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let Some(growing) = self.at_mut(place) else { return Ok(false) };
        let label = label(growing, used);
        while !want.is_nothing() && growing.has_more() {
            let Some(taken) = growing.take(*want, &label, &mut buffer)? else { break };
            *want = want.less(taken.bytes, taken.lines);
            parts.push(taken.part);
        }
        let more = growing.has_more();
        self.buffer = buffer;
        Ok(more)
    }

    fn at(&self, place: &Place) -> Option<&Growing> {
        match place {
            Place::There(path) => self.files.get(path),
            Place::Gone(at) => self.absent.iter().nth(*at).map(|gone| &gone.growing),
        }
    }

    /// The same, to be read.
    fn at_mut(&mut self, place: &Place) -> Option<&mut Growing> {
        match place {
            Place::There(path) => self.files.get_mut(path),
            Place::Gone(at) => {
                let gone = self.absent.iter_mut().nth(*at)?;
                gone.is_open().then_some(&mut gone.growing)
            }
        }
    }

    /// The lines of a range, in the file that had the name of its split when they were cut.
    fn part(&self, range: &Range) -> Result<Part, SourceError> {
        let name = name_hash(&range.split);
        let absent = self.absent.iter().map(|gone| &gone.growing);
        let mut all = self.files.values().chain(absent);
        let Some(growing) = all.find(|growing| growing.holds(name, range)) else {
            return Err(gone(range));
        };
        let file = match (&growing.handle, growing.identity) {
            (Some(file), _) => file.clone(),
            (None, Some(identity)) => self.opened.open(&growing.path, identity)?,
            (None, None) => return Err(gone(range)),
        };
        if content::is_packed(&growing.path, &file)? {
            return self.again.packed(&growing.path, range);
        }
        let mut stored = self.again.plain(&growing.path, &file, range, true)?;
        if let Some(header) = growing.header() {
            let file = PlainFile { header: Some(header), ..PlainFile::clone(&stored.file) };
            stored = Stored { file: Arc::new(file), ..stored };
        }
        stored.handle = Some(file);
        Ok(Part::Stored(stored))
    }
}

/// The name under which lines of a file are taken: its path, unless lines of another file have been.
fn label(of: &Growing, used: &mut BTreeMap<NameHash, usize>) -> Arc<str> {
    let text = names::text(&of.path);
    let mut number = 1_u64;
    let mut label = text.clone();
    loop {
        let hash = name_hash(&label);
        if of.names.last().is_some_and(|(last, _)| *last == hash) {
            return label.into();
        }
        let is_own = of.names.iter().any(|(name, _)| *name == hash);
        if used.get(&hash).is_none_or(|count| is_own && *count == 1) {
            used.insert(hash, 1);
            return label.into();
        }
        number += 1;
        label = format!("{text}#{number}");
    }
}

fn gone(range: &Range) -> SourceError {
    let (start, end) = (range.start, range.end);
    let why = format!(
        "is gone: bytes {start} to {end} of it had been read, and no file is left that has them"
    );
    data(Path::new(&*range.split), why)
}

impl Source for GrowingFiles {
    fn bounded(&self) -> bool {
        false
    }

    fn cut(&mut self, partitions: usize) -> Result<Cut, SourceError> {
        if self.life != Life::Draining && self.failed.is_none() {
            self.refresh();
        }
        if self.life == Life::Stopping {
            self.life = Life::Draining;
        }
        self.failed = self.failed.take().or_else(|| self.troubles.failed().cloned());
        let mut parts = Vec::new();
        let mut more = self.take(&mut parts);
        match &self.failed {
            Some(error) if parts.is_empty() => return Err(error.clone()),
            failed => more |= failed.is_some(),
        }
        let ended = self.life == Life::Draining && !more;
        if ended {
            self.absent.settle(self.config.settle, true, &self.config.path, &mut self.troubles);
        }
        let inputs = part::inputs(parts, self.config.split, partitions)?;
        let position = Some(self.position()?);
        // One that is behind another may hold earlier times than it.
        let waiting = more && self.files.values_mut().any(|f| f.taken() == 0 && f.has_more());
        Ok(Cut { inputs, ended, waiting, position })
    }

    fn limit(&mut self, bytes: u64) {
        self.limit = bytes;
    }

    fn resume(&mut self, position: &[u8]) -> Result<(), SourceError> {
        let mut remembered = Remembered::read(position)?;
        self.files.clear();
        self.undecided.clear();
        (self.absent, self.looks) = (Absent::default(), 0);
        self.troubles = Troubles::new(self.config.stops);
        for (key, contents) in std::mem::take(&mut remembered.contents) {
            for kept in contents {
                let gone = kept.gone;
                let growing = Growing::remembered(key, kept);
                match gone {
                    true => self.absent.push_over(growing),
                    false => self.absent.push(growing, Why::Remembered, 1),
                }
            }
        }
        self.unlisted = remembered;
        self.refresh();
        self.troubles.failed().cloned().map_or(Ok(()), Err)
    }

    fn resume_elsewhere(&mut self, position: &[u8]) -> Result<(), SourceError> {
        if remembered::is_one(position) {
            self.accepts = true;
            let resumed = self.resume(position);
            self.accepts = false;
            return resumed;
        }
        Ok(())
    }

    fn input(&self, ranges: &[Range]) -> Result<Input, SourceError> {
        self.again.of(ranges, |range| self.part(range))
    }

    fn news(&mut self) -> News {
        self.troubles.news()
    }

    fn stop(&mut self) {
        if self.life == Life::Live {
            self.life = Life::Stopping;
        }
    }
}
