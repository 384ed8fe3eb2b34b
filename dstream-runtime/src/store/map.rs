//! The only module that maps files.

use std::fs::File;
use std::io;
use std::sync::Arc;

use memmap2::{Mmap, MmapOptions};

/// Maps written bytes of a file for reading. The caller has written all of them; they are neither rewritten
/// nor truncated while mapped.
#[expect(unsafe_code)]
pub(super) fn written(file: &File, start: u64, len: usize) -> io::Result<Arc<Mmap>> {
    let mut options = MmapOptions::new();
    options.offset(start).len(len);
    // SAFETY: a mapped slice must not change and must not end before it is unmapped. Only this module's
    // parent maps files, only segments of its own: they have no name, so no other process opens them;
    // they are written once, from front to back, and what is mapped lies behind the writer; nothing
    // ever truncates them. All of these bytes were written before, so they lie within the file.
    Ok(Arc::new(unsafe { options.map(file)? }))
}
