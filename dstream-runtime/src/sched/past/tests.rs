//! Entries as they are written, and as they should not be.
