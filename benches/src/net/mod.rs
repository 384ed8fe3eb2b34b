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

impl Other {
    /// Processor time that this process and the other have had so far.
    ///
    /// # Errors
    /// Where the kernel does not tell.
    pub fn cpu(&self) -> BenchResult<Duration> {
        let mut sum = 0;
        for process in [std::process::id(), self.child.id()] {
            for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
                // A thread that has ended meanwhile did nothing that is measured here.
                let Ok(stat) = std::fs::read_to_string(thread?.path().join("schedstat")) else {
                    continue;
                };
                sum += stat.split(' ').next().ok_or("an empty schedstat")?.parse::<u64>()?;
            }
        }
        Ok(Duration::from_nanos(sum))
    }
}

/// What moving some bytes took.
#[derive(Debug, Clone, Copy)]
pub struct Took {
    /// How many bytes.
    pub bytes: u64,
    /// From the first to the last.
    pub time: Duration,
    /// Processor time of both processes.
    pub cpu: Duration,
}

impl Took {
    /// Gigabits in a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.bytes as f64 * 8.0 / 1e9 / self.time.as_secs_f64()
    }

    /// Seconds of processor time for a gigabyte.
    #[must_use]
    pub fn cost(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e9 / self.bytes as f64
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
