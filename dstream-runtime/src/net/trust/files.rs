//! Files that hold secrets, and secrets as text.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

use super::TrustError;

/// Longest file of this module, in bytes.
const FILE_MAX: u64 = 64 << 10;

fn failed<'p>(path: &'p Path, what: &'static str) -> impl FnOnce(io::Error) -> TrustError + 'p {
    move |source| TrustError::File { path: path.to_owned(), what, source }
}

/// Creates a directory for its owner only; an existing one is left as it is.
pub(super) fn private_dir(path: &Path) -> Result<(), TrustError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed(path, "create it"))
}

/// Creates a file for its owner only; returns `false` if the name exists.
///
/// It appears whole or not at all: it is written beside and then linked, and a link never replaces.
pub(super) fn create_private(path: &Path, bytes: &[u8]) -> Result<bool, TrustError> {
    let beside = path.with_extension(format!("new-{}", to_hex(&random::<8>()?)));
    write_new(&beside, bytes)?;
    let linked = fs::hard_link(&beside, path);
    fs::remove_file(&beside).map_err(failed(&beside, "remove it"))?;
    match linked {
        Ok(()) => sync_dir(path).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(failed(path, "create it")(error)),
    }
}

/// Writes a file for its owner only, replacing an existing one.
pub(super) fn replace_private(path: &Path, bytes: &[u8]) -> Result<(), TrustError> {
    let beside = path.with_extension(format!("new-{}", to_hex(&random::<8>()?)));
    write_new(&beside, bytes)?;
    fs::rename(&beside, path).map_err(failed(path, "put it in place"))?;
    sync_dir(path)
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), TrustError> {
    let open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = open.map_err(failed(path, "create it"))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed(path, "write it"))
}

fn sync_dir(path: &Path) -> Result<(), TrustError> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed(dir, "make it durable"))
}

/// Reads a file with a secret; `None` if there is none. Refused if it is writable by others than its owner,
/// or readable outside its group.
pub(super) fn read_private(path: &Path) -> Result<Option<Vec<u8>>, TrustError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path, "open it")(error)),
    };
    let mode = file.metadata().map_err(failed(path, "look at it"))?.permissions().mode() & 0o777;
    if mode & 0o027 != 0 {
        return Err(TrustError::Open { path: path.to_owned(), mode });
    }
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(failed(path, "read it"))?;
    if bytes.len() as u64 > FILE_MAX {
        let why = format!("longer than {FILE_MAX} bytes");
        return Err(TrustError::Content { path: path.to_owned(), why });
    }
    Ok(Some(bytes))
}

/// Returns random bytes of the system.
pub(super) fn random<const N: usize>() -> Result<[u8; N], TrustError> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| TrustError::certificate("made", "the system gives no random bytes"))?;
    Ok(bytes)
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

pub(super) fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

pub(super) fn from_hex<const N: usize>(hex: &str) -> Option<[u8; N]> {
    let digits = hex.as_bytes();
    if digits.len() != N * 2 || !digits.iter().all(|d| matches!(d, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let value = |d: u8| if d < b'a' { d - b'0' } else { d - b'a' + 10 };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0]) << 4 | value(pair[1]);
    }
    Some(bytes)
}
