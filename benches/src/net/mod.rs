//! Two processes on loopback: dstream's transport compared with a bare quinn stream with the same settings.

pub mod bare;
pub mod client;
pub mod dstream;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The result type of these programs.
pub type BenchResult<T> = Result<T, Box<dyn std::error::Error>>;

/// Bytes of a block.
pub const BLOCK: usize = 8 << 20;

/// The other process. Dropping it closes its standard input, which ends it.
pub struct Other {
    child: Child,
    /// Its first line.
    pub hello: String,
}

impl Other {
    /// Starts this program again with `args` and reads its first line.
    ///
    /// # Errors
    /// When it cannot be started or prints nothing.
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
    /// Processor time of both processes so far.
    ///
    /// # Errors
    /// When the kernel does not report it.
    pub fn cpu(&self) -> BenchResult<Duration> {
        let mut sum = 0;
        for process in [std::process::id(), self.child.id()] {
            for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
                // The thread has ended; it did nothing that is measured.
                let Ok(stat) = std::fs::read_to_string(thread?.path().join("schedstat")) else {
                    continue;
                };
                sum += stat.split(' ').next().ok_or("an empty schedstat")?.parse::<u64>()?;
            }
        }
        Ok(Duration::from_nanos(sum))
    }
}

/// The cost of a transfer.
#[derive(Debug, Clone, Copy)]
pub struct TransferCost {
    /// Bytes transferred.
    pub bytes: u64,
    /// From the first byte to the last.
    pub time: Duration,
    /// Processor time of both processes.
    pub cpu: Duration,
}

impl TransferCost {
    /// Gigabits per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.bytes as f64 * 8.0 / 1e9 / self.time.as_secs_f64()
    }

    /// Seconds of processor time per gigabyte.
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

/// In the other process: prints the first line, then waits until the first process has ended.
///
/// # Errors
/// When standard output is closed.
pub fn say_and_wait(hello: &str) -> BenchResult<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{hello}")?;
    out.flush()?;
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}
