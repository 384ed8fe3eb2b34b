//! Real binaries on real files, sockets and signals.
//!
//! What they must do is known from elsewhere: from `grep` and `sort | uniq -c`, from a simple
//! interpreter, or from the input. Nothing here sleeps: a test waits for a line that a job writes, or
//! for its end, under one deadline.
//!
//! `DSTREAM_TEST_BYTES` is the size of the larger inputs (a gigabyte is fine in release);
//! `DSTREAM_TEST_SECONDS` is the deadline of a job.

mod accounting;
mod bad_input;
mod cluster;
mod compressed;
mod connectors;
mod disk;
mod failures;
mod history;
mod hostile_formats;
mod job;
mod json;
mod live;
mod outputs;
mod over_time;
mod overwrite;
mod per_batch;
mod plans;
mod poison;
mod posted;
mod pressure;
mod published;
mod rotation;
mod stdin;
mod template;
mod terminal;
mod text;
mod usage;
