//! The thread that reads a stream ahead of the cuts, and decompresses it.
//!
//! It may wait for ever in a read, so it is never waited for. It holds at most [`AHEAD`] bytes that no cut
//! has asked for: then the writer waits.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};

use crate::source::file::Unpack;
use crate::source::lines::PIECE;

/// How much is read ahead, in bytes.
const AHEAD: usize = 8 << 20;

/// What the reading thread and the cutter share.
#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Something has come, or nothing more is waited for.
    arrived: Condvar,
    /// There is room for more.
    room: Condvar,
}

#[derive(Default)]
struct State {
    /// What has come and was not given.
    chunks: VecDeque<Vec<u8>>,
    /// How much of the first chunk was given.
    given: usize,
    /// Bytes that were not given.
    held: usize,
    ended: bool,
    /// Why nothing more comes; it is told once.
    failed: Option<io::Error>,
    /// Until when the cutter waits.
    until: Option<Instant>,
    /// Nothing new is taken in, and no read waits.
    interrupted: bool,
}

impl State {
    /// Gives some of the first chunk; 0 if there is none.
    fn give(&mut self, out: &mut [u8]) -> usize {
        let Some(first) = self.chunks.front() else { return 0 };
        let bytes = &first[self.given..];
        let some = bytes.len().min(out.len());
        out[..some].copy_from_slice(&bytes[..some]);
        self.given += some;
        self.held -= some;
        if self.given == first.len() {
            self.chunks.pop_front();
            self.given = 0;
        }
        some
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // The state is consistent after each of its changes.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long reads wait from now on.
    pub(super) fn wait_until(&self, until: Option<Instant>) {
        self.state().until = until;
    }

    /// Takes in nothing new, and no read waits any more; what has come can still be read. It comes while a cut reads, which
    /// would go on for ever in a line that has no end.
    pub(super) fn interrupt(&self) {
        self.state().interrupted = true;
        self.arrived.notify_all();
        self.room.notify_all();
    }

    /// Waits until more may be held; false if nothing more is wanted.
    fn has_room(&self) -> bool {
        let full = |state: &mut State| !state.interrupted && state.held >= AHEAD;
        let state = self.room.wait_while(self.state(), full);
        !state.unwrap_or_else(PoisonError::into_inner).interrupted
    }

    fn came(&self, bytes: &[u8]) {
        let mut state = self.state();
        state.held += bytes.len();
        state.chunks.push_back(bytes.to_vec());
        self.arrived.notify_all();
    }

    fn end(&self, failed: Option<io::Error>) {
        let mut state = self.state();
        (state.ended, state.failed) = (true, failed);
        self.arrived.notify_all();
    }
}

/// Reads what has come: as much as there is, or waits until the time that was set.
pub(super) struct Reader(Arc<Shared>);

impl Read for Reader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut state = self.0.state();
        loop {
            let some = state.give(out);
            if some > 0 || out.is_empty() {
                self.0.room.notify_all();
                return Ok(some);
            }
            if let Some(error) = state.failed.take() {
                return Err(error);
            }
            if state.ended {
                return Ok(0);
            }
            if state.interrupted {
                return Err(ErrorKind::WouldBlock.into());
            }
            state = match state.until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => self.0.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => return Err(ErrorKind::WouldBlock.into()),
                Some(left) => {
                    let waited = self.0.arrived.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

/// Opens a stream, and reads it until its end.
pub(super) fn start(
    open: impl FnOnce() -> io::Result<File> + Send + 'static,
    shared: Arc<Shared>,
    consumed: Arc<AtomicU64>,
) -> io::Result<Reader> {
    let reader = Reader(shared.clone());
    let pump = move || {
        let ended = open().and_then(|file| {
            let input = BufReader::with_capacity(PIECE, Blocking(file));
            run(Unpack::new(input, consumed), &shared)
        });
        match ended {
            Ok(Over::Ended) => shared.end(None),
            // What it has not read would be missing at the end of the last line.
            Ok(Over::Interrupted) => {}
            Err(error) => shared.end(Some(error)),
        }
    };
    std::thread::Builder::new().name("dstream-pipe".to_owned()).spawn(pump)?;
    Ok(reader)
}

/// Why the thread reads no more.
enum Over {
    /// The stream has ended.
    Ended,
    /// Nothing more is wanted.
    Interrupted,
}

fn run(mut input: impl Read, shared: &Shared) -> io::Result<Over> {
    let mut buffer = vec![0; PIECE];
    while shared.has_room() {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(Over::Ended),
            Ok(got) => shared.came(&buffer[..got]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Over::Interrupted)
}

/// A file that is waited for. Another process that shares it may have set it not to wait.
struct Blocking(File);

impl Read for Blocking {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(out) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
                    match rustix::event::poll(&mut fds, None) {
                        Ok(_) | Err(rustix::io::Errno::INTR) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                other => return other,
            }
        }
    }
}
