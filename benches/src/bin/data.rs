//! Generates data for benchmarks.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use dstream_bench::data;

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// Lines of 100 bytes of words.
    Words,
    /// Rows of user_id,url,bytes.
    Csv,
}

/// Writes data for benchmarks; the same bytes on every machine
#[derive(Parser)]
struct Options {
    /// The kind of data.
    kind: Kind,
    /// Number of lines.
    rows: u64,
    /// Output file.
    path: PathBuf,
    /// Seed of the data.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&options.path)?);
    match options.kind {
        Kind::Words => data::write_words(options.rows, options.seed, &mut out)?,
        Kind::Csv => data::write_csv(options.rows, options.seed, &mut out)?,
    }
    out.flush()
}
