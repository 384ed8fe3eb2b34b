//! Two processes on loopback: what dstream's transport moves between them, beside what a bare quinn
//! stream moves with the same settings.

pub mod bare;
pub mod client;
pub mod dstream;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What the programs here end with.
pub type BenchResult<T> = Result<T, Box<dyn std::error::Error>>;

/// Bytes of a block.
pub const BLOCK: usize = 8 << 20;

/// The other process. Dropped, it ends: its standard input does.
pub struct Other {
    child: Child,
    /// The first line it said.
    pub hello: String,
}

impl Other {
    /// Starts this program again with that command; waits for its first line.
    ///
    /// # Errors
    /// When it cannot be started, or says nothing.
    pub fn start(args: &[&str]) -> BenchResult<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().ok_or("no output")?;
        let mut hello = String::new();
        BufReader::new(out).read_line(&mut hello)?;
        Ok(Self { child, hello: hello.trim().to_owned() })
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // It ends by itself; if waiting fails, it has ended already.
        let _ = self.child.wait();
    }
}

/// In the other process: says the first line, then waits until the first process is gone.
///
/// # Errors
/// When nobody listens.
pub fn say_and_wait(hello: &str) -> BenchResult<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{hello}")?;
    out.flush()?;
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}

/// Gigabits in a second.
#[must_use]
pub fn gigabits(bytes: u64, time: Duration) -> f64 {
    bytes as f64 * 8.0 / 1e9 / time.as_secs_f64()
}
