//! **dstream** compiles stream programs into native binaries.
//!
//! A program is a function of `let`s over streams. The macros turn it into stages: loops with the
//! closures inlined, which work on borrowed views of the records, and constant tables that say what every
//! partition of every batch is made of. The binary runs the program as a series of short deterministic
//! batches (*Discretized Streams*, Zaharia et al., SOSP 2013).
//!
//! ```no_run
//! use dstream::prelude::*;
//!
//! /// One page view, as the web tier logs it.
//! #[derive(Record)]
//! struct PageView {
//!     url: String,
//!     user: u64,
//! }
//!
//! /// Views per page, running.
//! #[dstream::job(interval = "1s")]
//! fn page_views() {
//!     let views = source::json::<PageView>("tcp://127.0.0.1:9000");
//!     let ones = views.map(|v| (v.url, 1u64));
//!     let counts = ones.running_reduce(|a, b| a + b);
//!     counts.save("csv+file://out/counts");
//! }
//!
//! dstream::main!(page_views);
//! ```
//!
//! `JOB --help` lists what every job binary can do; `JOB plan` shows what the compiler made of it.

pub use dstream_macros::{Record, job, operator, params};
pub use dstream_runtime::exec::Stream;
pub use dstream_runtime::exec::context::{Context, Rng};
pub use dstream_runtime::exec::keyed::{KeyContext, State};
pub use dstream_runtime::sink::{BatchPart, BatchRows};
pub use dstream_runtime::timestamp::Timestamp;
pub use dstream_runtime::{agg, client, record, testing, text};

/// Sources and outputs of a program's own.
///
/// A source is a [`SplitSource`](connect::SplitSource) and a constant [`SourceConnector`](connect::SourceConnector)
/// that says how its URLs are written; an output is a [`Sink`](connect::Sink) and a
/// [`SinkConnector`](connect::SinkConnector). The binary has them when [`main!`] names them:
///
/// ```ignore
/// dstream::main!(readings; sources = [READINGS], sinks = [LATEST]);
/// ```
///
/// From then on their URLs can stand wherever others can: in the program, behind `--source` and `--sink`, in one
/// process and on a cluster. `JOB sources` and `JOB sinks` list them, with their options. `examples/sensors.rs` is a
/// program with both.
pub mod connect {
    pub use dstream_runtime::connect::{ConnectorUrl, Kind, OptionRow, Preset, UrlError};
    pub use dstream_runtime::id::Partition;
    pub use dstream_runtime::record::{Floats, Format};
    pub use dstream_runtime::sink::{
        Batch, Earlier, OpenSink, Origin, Part, Sink, SinkConnector, SinkContext, SinkError,
    };
    pub use dstream_runtime::source::{
        Extent, OpenSplits, Range, SourceConnector, SourceError, SplitSource,
    };
    pub use dstream_runtime::time::BatchTime;
}

#[doc(hidden)]
pub use dstream_runtime::private as __private;

#[doc(hidden)]
pub use dstream_macros::__job;

/// What a program needs in scope.
pub mod prelude {
    pub use crate::{Record, State, Stream, agg};
    pub use dstream_runtime::private::{clap, serde};
    pub use dstream_runtime::text::{Pattern, words};
    pub use dstream_runtime::timestamp::Timestamp;
}

/// The `main` function of a binary with one job or several.
///
/// ```ignore
/// dstream::main!(page_views);
/// dstream::main!(page_views, sessions);
/// ```
///
/// Behind a semicolon stand sources and outputs of the program's own ([`connect`]):
///
/// ```ignore
/// dstream::main!(readings; sources = [READINGS]);
/// dstream::main!(readings; sources = [READINGS], sinks = [LATEST]);
/// ```
#[macro_export]
macro_rules! main {
    ($($job:expr),+ $(,)?) => {
        $crate::main!($($job),+; sources = [], sinks = []);
    };
    ($($job:expr),+; sources = [$($source:expr),* $(,)?] $(,)?) => {
        $crate::main!($($job),+; sources = [$($source),*], sinks = []);
    };
    ($($job:expr),+; sinks = [$($sink:expr),* $(,)?] $(,)?) => {
        $crate::main!($($job),+; sources = [], sinks = [$($sink),*]);
    };
    ($($job:expr),+; sources = [$($source:expr),* $(,)?], sinks = [$($sink:expr),* $(,)?] $(,)?) => {
        // Buffers of megabytes come and go with every batch, which the system's allocator gives back
        // to the kernel each time.
        #[global_allocator]
        static __DSTREAM_ALLOCATOR: $crate::__private::MiMalloc = $crate::__private::MiMalloc;

        fn main() -> $crate::__private::std::process::ExitCode {
            $crate::__private::main(
                &[$(&*$crate::__private::job($job)),+],
                &[$($source),*],
                &[$($sink),*],
            )
        }
    };
}

#[cfg(doctest)]
mod guide;
