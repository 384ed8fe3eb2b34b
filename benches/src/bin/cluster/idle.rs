//! Processor time of an idle live job.

use std::error::Error;
use std::time::{Duration, Instant};

use crate::started::{Started, streams, usages};

/// Measures an idle job
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Workers.
    #[arg(long, default_value_t = 2)]
    workers: u32,
    /// Batch intervals.
    #[arg(long, value_delimiter = ',', default_value = "1s,100ms,10ms")]
    intervals: Vec<String>,
    /// Seconds per measurement.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
}

pub(crate) fn measure(options: &Options) -> Result<(), Box<dyn Error>> {
    for interval in &options.intervals {
        let mut command = streams("word_count")?;
        command.args(["--source", "lines=tcp://127.0.0.1:0", "--interval", interval]);
        command.args(["--workers", &options.workers.to_string()]);
        let job = Started::start(command)?;
        job.wait_for("receiving")?;
        let family = job.family();
        // Skip the cost of starting.
        std::thread::sleep(Duration::from_secs(3));
        let (before, start) = (usages(&family), Instant::now());
        std::thread::sleep(Duration::from_secs(options.seconds));
        let (after, took) = (usages(&family), start.elapsed().as_secs_f64());
        for (((name, _), before), after) in family.iter().zip(&before).zip(&after) {
            let threads = after.threads.iter().map(|(kind, cpu)| {
                let spent = cpu - before.threads.get(kind).copied().unwrap_or(0.0);
                format!("{kind} {:.1}", spent / took * 100.0)
            });
            println!(
                "batches of {interval:>5}: {name:6} {:5.2} % of a core ({}), {:6.0} wake-ups/s, {:4} MB",
                (after.cpu - before.cpu) / took * 100.0,
                threads.collect::<Vec<_>>().join(", "),
                after.sleeps.saturating_sub(before.sleeps) as f64 / took,
                after.memory >> 20,
            );
        }
        job.interrupt()?;
        job.end()?;
    }
    Ok(())
}
