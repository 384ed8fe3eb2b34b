//! Standard input and named pipes: data that comes once, and from its beginning only.
//!
//! A thread of its own ([`pump`]) reads and decompresses ahead; a cut takes whole lines of what has come. The
//! source ends with its data, so it is bounded, like a file. A batch takes what a batch of files takes; where
//! the URL does not say how much that is, a slow pipe is also cut when a batch interval has passed, so that
//! results show. With `follow` it is a live source: each batch takes what has come by its time.
//!
//! What was read cannot be read again, by this process or another. Its lines are carried to the tasks that
//! read them, and a job that would have to go on after a restart is refused ([`Source::pipe`]).

mod pump;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::pump::Shared;
use super::file::{Config, Packed, names};
use super::{Cut, Interrupt, News, Pipe, Source, SourceError, part};
use crate::host::limits;

/// What standard input is called where a path is called for.
const STDIN: &str = "/dev/stdin";

/// How long is waited after a full batch to see whether it is the last one.
const LOOK: Duration = Duration::from_millis(100);

const STOPPED: &str = "unfinished when the source was stopped";

/// What is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stream {
    /// Standard input.
    Stdin,
    /// A named pipe, a character device, or an open descriptor of this process by its path.
    Named(PathBuf),
}

impl Stream {
    /// The stream that a path names, if it names one: `-`, `/dev/stdin`, `/dev/fd/N`, a named pipe, a terminal.
    pub(super) fn at(path: &Path) -> Option<Self> {
        match path.to_str().unwrap_or_default() {
            "-" | STDIN | "/dev/fd/0" | "/proc/self/fd/0" => return Some(Self::Stdin),
            _ if path.starts_with("/dev/fd") || path.starts_with("/proc/self/fd") => {
                return Some(Self::Named(path.into()));
            }
            _ => {}
        }
        let kind = fs::metadata(path).ok()?.file_type();
        (kind.is_fifo() || kind.is_char_device()).then(|| Self::Named(path.into()))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Stdin => Path::new(STDIN),
            Self::Named(path) => path,
        }
    }

    /// Opens it, which waits for a writer if it is a named pipe.
    fn open(&self) -> std::io::Result<File> {
        match self {
            // Not by its path: of a file that was redirected, what was read before stays read.
            Self::Stdin => limits::is_open(0)
                .and_then(|()| std::io::stdin().as_fd().try_clone_to_owned())
                .map(File::from),
            Self::Named(path) => File::open(path),
        }
    }

    /// Tells it from other streams.
    fn identity(&self) -> Result<Pipe, SourceError> {
        let metadata = match self {
            Self::Stdin => self.open().and_then(|file| file.metadata()),
            Self::Named(path) => fs::metadata(path),
        };
        let metadata = metadata.map_err(|error| self.failed("open", error))?;
        let name = names::text(self.path());
        Ok(Pipe { name, device: metadata.dev(), inode: metadata.ino() })
    }

    fn failed(&self, doing: &'static str, error: std::io::Error) -> SourceError {
        let what = names::text(self.path());
        SourceError::Io { doing, what, error: Arc::new(error) }
    }
}

/// Reads a stream to its end.
pub(super) struct PipeSource {
    config: Config,
    pipe: Pipe,
    packed: Packed,
    shared: Arc<Shared>,
    interval: Duration,
    follow: bool,
    stopped: bool,
    news: News,
}

impl PipeSource {
    pub(super) fn open(
        stream: Stream,
        config: Config,
        interval: Duration,
        follow: bool,
    ) -> Result<Self, SourceError> {
        let pipe = stream.identity()?;
        let (path, shared) = (stream.path().to_owned(), Arc::new(Shared::default()));
        let mut news = News::default();
        if stream == Stream::Stdin && std::io::stdin().is_terminal() {
            news.warnings.push(
                "reads from the terminal: Ctrl-D at the beginning of a line ends the input".into(),
            );
        }
        let consumed = Arc::default();
        let reader = pump::start(move || stream.open(), shared.clone(), Arc::clone(&consumed));
        let reader = reader.map_err(|error| SourceError::Io {
            doing: "start a thread to read",
            what: names::text(&path),
            error: Arc::new(error),
        })?;
        let packed = Packed::new(path, Box::new(reader), consumed, config.form, config.max_line);
        Ok(Self { config, pipe, packed, shared, interval, follow, stopped: false, news })
    }

    /// Until when a cut waits for more: for ever if a batch has its size from the URL.
    fn patience(&self) -> Option<Instant> {
        let wait = match self.follow {
            true => Duration::ZERO,
            false if self.config.sized => return None,
            false => self.interval,
        };
        Some(Instant::now() + wait)
    }
}

impl Source for PipeSource {
    fn bounded(&self) -> bool {
        !self.follow
    }

    fn cut(&mut self, partitions: usize) -> Result<Cut, SourceError> {
        self.shared.wait_until(self.patience());
        let (mut want, mut parts) = (self.config.batch, Vec::new());
        let mut over = false;
        while !over && !want.is_nothing() {
            match self.packed.take(want) {
                Ok(Some(taken)) => {
                    want = want.less(taken.bytes, taken.lines);
                    parts.push(taken.part);
                }
                Ok(None) => break,
                // The error comes again when all that was good before it has been cut.
                Err(_) if !parts.is_empty() => over = true,
                Err(error) => return Err(error),
            }
        }
        if want.is_nothing() && !self.follow {
            self.shared.wait_until(Some(Instant::now() + LOOK));
        }
        let mut ended = self.packed.is_over();
        if self.stopped && !want.is_nothing() {
            // Nothing more will come.
            parts.extend(self.packed.unfinished(STOPPED).map(|taken| taken.part));
            ended = true;
        }
        let inputs = part::inputs(parts, self.config.split, partitions)?;
        Ok(Cut { inputs, ended, ..Cut::default() })
    }

    fn news(&mut self) -> News {
        std::mem::take(&mut self.news)
    }

    fn pipe(&self) -> Option<&Pipe> {
        Some(&self.pipe)
    }

    fn interrupt(&self) -> Option<Interrupt> {
        let shared = self.shared.clone();
        Some(Arc::new(move || shared.interrupt()))
    }

    fn stop(&mut self) {
        self.shared.interrupt();
        self.stopped = true;
    }
}

impl Drop for PipeSource {
    fn drop(&mut self) {
        self.shared.interrupt();
    }
}
