//! Real binaries on real files, sockets and signals.
//!
//! Expected results come from elsewhere: from `grep` and `sort | uniq -c`, a simple interpreter, or the
//! input. Nothing sleeps: a test waits for a line of a job, or for its end, under a deadline.
//!
//! `DSTREAM_TEST_BYTES` is the size of larger inputs (a gigabyte works in release); `DSTREAM_TEST_SECONDS`
//! is the deadline of a job.

mod accounting;
mod bad_input;
mod cluster;
mod compressed;
mod connectors;
mod disk;
mod event_time;
mod failures;
mod functions;
mod history;
mod hostile_formats;
mod job;
mod json;
mod live;
mod nexmark;
mod outputs;
mod over_time;
mod overload;
mod overwrite;
mod per_batch;
mod plans;
mod poison;
mod posted;
mod pressure;
mod programs;
mod published;
mod records;
mod rotation;
mod stdin;
mod tables;
mod template;
mod terminal;
mod text;
mod usage;
mod within;
