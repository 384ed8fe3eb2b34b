//! Limits of the system on this process: open files, file sizes, and closed standard streams.

use std::io;
use std::os::fd::RawFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files held open for later reads, at most.
const MAX_HELD: usize = 256;

/// The fraction of descriptors used for them: the rest is for short reads and sockets.
const SHARE: u64 = 4;

/// A bit for each standard stream that was closed at the start.
static CLOSED: AtomicU8 = AtomicU8::new(0);

/// Runs before `main`: afterwards the standard library has opened `/dev/null` for closed streams, which
/// looks like a redirection by the user.
#[cfg(all(any(target_os = "linux", target_os = "android", target_os = "freebsd"), not(miri)))]
#[used]
#[expect(
    unsafe_code,
    reason = "the only way to run something before the standard library's own start"
)]
// SAFETY: functions in this section have this type and are called once, before `main`. `look` needs nothing
// that is initialised later.
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

#[cfg(all(any(target_os = "linux", target_os = "android", target_os = "freebsd"), not(miri)))]
extern "C" fn look() {
    for fd in 0..3 {
        #[expect(
            unsafe_code,
            reason = "no owner of the descriptor is known yet, not even whether it is open"
        )]
        // SAFETY: F_GETFD only reads flags; a closed descriptor is an error.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
        if flags < 0 {
            CLOSED.fetch_or(1 << fd, Ordering::Relaxed);
        }
    }
}

/// Checks that a standard stream was open at the start.
///
/// # Errors
/// When it was closed: output to it would be lost.
pub(crate) fn is_open(fd: RawFd) -> io::Result<()> {
    if CLOSED.load(Ordering::Relaxed) & (1 << fd) == 0 {
        return Ok(());
    }
    let how =
        if fd == 0 { "redirect it from a file" } else { "redirect it to a file, or to /dev/null" };
    Err(io::Error::other(format!("it was closed when the job started (`{fd}>&-`): {how}")))
}

/// Raises the limit of open files to the maximum.
pub(crate) fn raise() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // If refused, the old limit stays.
        let _ =
            setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
}

/// Limit of open files.
fn files() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Files that may be held open for later reads.
pub(crate) fn most_held() -> usize {
    static MOST: OnceLock<usize> = OnceLock::new();
    *MOST.get_or_init(|| usize::try_from(files() / SHARE).unwrap_or(MAX_HELD).min(MAX_HELD))
}

/// Whether an error means that no more files can be opened now.
pub(crate) fn is_out_of_files(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// The cure for an error caused by a limit, as the end of its message.
pub(crate) fn help(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EMFILE) => format!(
            "\n  help: this process may have {} files open: raise the limit (`ulimit -n`)",
            files()
        ),
        Some(libc::ENFILE) => {
            "\n  help: the host has too many files open (`fs.file-max`)".to_owned()
        }
        Some(libc::EFBIG) => match getrlimit(Resource::Fsize).current {
            Some(bytes) => format!(
                "\n  help: files of this process may have {bytes} bytes: raise the limit (`ulimit -f`)"
            ),
            None => "\n  help: the file system takes no larger files".to_owned(),
        },
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_named() {
        let help = |code| help(&io::Error::from_raw_os_error(code));
        assert!(help(libc::EMFILE).contains("ulimit -n"));
        assert!(help(libc::EFBIG).contains("help: "));
        assert_eq!(help(libc::ENOENT), "");
        assert!((0..3).all(|fd| is_open(fd).is_ok()));
    }
}
