//! A hole of NUL bytes at the beginning of a file: what is left of a log that was truncated while its writer,
//! which does not append (`O_APPEND`), goes on at its old offset. It is no part of any line.

use std::fs::File;
use std::io;

use rustix::fs::{SeekFrom, seek};

use super::stored::read_some;

/// Where the hole ends with which a file of `size` bytes begins; 0 if there is none.
pub(super) fn end(file: &File, size: u64) -> io::Result<u64> {
    let mut buffer = vec![0; 64 << 10];
    let mut at = 0;
    while at < size {
        // What is not on the disk need not be read. Not every file system knows.
        match seek(file, SeekFrom::Data(at)) {
            Ok(data) => at = data.min(size),
            Err(rustix::io::Errno::NXIO) => return Ok(size),
            Err(_) => {}
        }
        let some = usize::try_from(size - at).unwrap_or(buffer.len()).min(buffer.len());
        if some == 0 {
            break;
        }
        let got = read_some(file, &mut buffer[..some], at)?;
        match buffer[..got].iter().position(|byte| *byte != 0) {
            Some(found) => return Ok(at + found as u64),
            None => at += got as u64,
        }
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn holes_are_skipped_whether_they_are_on_the_disk_or_not() {
        for at in [0_u64, 1, 4096, 100_000, 3 << 30] {
            let file = tempfile::tempfile().unwrap();
            file.write_all_at(b"x\n\0\n", at).unwrap();
            assert_eq!(end(&file, at + 4).unwrap(), at);
            file.set_len(at).unwrap();
            assert_eq!(end(&file, at).unwrap(), at);
        }
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[0; 70_000], 0).unwrap();
        file.write_all_at(b"x", 70_000).unwrap();
        assert_eq!(end(&file, 70_001).unwrap(), 70_000);
    }
}
