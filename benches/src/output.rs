//! The results, with a checksum independent of their order.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Writes results to a file, or only counts them.
#[derive(Debug)]
pub struct Output {
    file: Option<BufWriter<File>>,
    /// Rows written.
    pub rows: u64,
    /// Sum over all rows of the hash of the key times the value.
    pub checksum: u64,
    error: Option<io::Error>,
}

impl Output {
    /// Writes to a file, or only counts.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn new(path: Option<&Path>) -> io::Result<Self> {
        let file = path.map(File::create).transpose()?;
        let file = file.map(|file| BufWriter::with_capacity(1 << 20, file));
        Ok(Self { file, rows: 0, checksum: 0, error: None })
    }

    /// Adds a row `key,value`.
    pub fn row(&mut self, key: &[u8], value: u64) {
        self.note(key, value);
        self.write(|file| {
            file.write_all(key)?;
            file.write_all(b",")?;
            file.write_all(itoa::Buffer::new().format(value).as_bytes())?;
            file.write_all(b"\n")
        });
    }

    /// Adds a line.
    pub fn line(&mut self, line: &[u8]) {
        self.note(line, 1);
        self.write(|file| {
            file.write_all(line)?;
            file.write_all(b"\n")
        });
    }

    fn note(&mut self, key: &[u8], value: u64) {
        self.rows += 1;
        self.checksum = self.checksum.wrapping_add(fnv(key).wrapping_mul(value));
    }

    /// Only the first error is kept; `finish` returns it.
    fn write(&mut self, f: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) {
        if let Some(file) = &mut self.file
            && self.error.is_none()
        {
            self.error = f(file).err();
        }
    }

    /// Flushes the buffer.
    ///
    /// # Errors
    /// The first error of the file.
    pub fn finish(&mut self) -> io::Result<()> {
        self.error.take().map_or(Ok(()), Err)?;
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

/// The 64-bit FNV-1a hash, simple in any language.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
