//! Timed runs of whole processes: wall time, processor time, and output.

use std::io;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde::Serialize;
use serde_json::Value;

/// Ticks of `/proc/PID/stat` per second, equal on every Linux.
const TICKS: f64 = 100.0;

/// One run of a program.
#[derive(Debug, Clone)]
pub struct Run {
    /// Seconds from before its start to after its end.
    pub wall: f64,
    /// Seconds of processor time, to a hundredth.
    pub cpu: f64,
    /// Its last line of output, which is JSON.
    pub said: Value,
}

/// Seconds of processor time of all reaped children and their descendants.
///
/// # Errors
/// When the kernel does not report it.
pub fn processor_time_of_children() -> io::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The fields from the third on: the name before them is in parentheses and may contain anything.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().skip(16 - 3).take(2);
    Ok(ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS)
}

/// Runs a program to its end.
///
/// # Errors
/// When it cannot be started, fails, or does not end with a line of JSON.
pub fn run(command: &mut Command) -> Result<Run, String> {
    let failed = |what: &str| format!("{command:?}: {what}");
    let processor = || processor_time_of_children().map_err(|error| failed(&error.to_string()));
    let before = processor()?;
    let start = Instant::now();
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    let wall = start.elapsed().as_secs_f64();
    let failed = |what: &str| format!("{command:?}: {what}");
    let cpu = processor_time_of_children().map_err(|error| failed(&error.to_string()))? - before;
    if !output.status.success() {
        return Err(failed(&String::from_utf8_lossy(&output.stderr)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let said = serde_json::from_str(text.lines().last().unwrap_or_default())
        .map_err(|error| failed(&format!("its last line is not JSON: {error}")))?;
    Ok(Run { wall, cpu, said })
}

/// Several measurements of one quantity.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The minimum.
    pub min: f64,
    /// The maximum.
    pub max: f64,
}

impl Spread {
    /// Of at least one measurement; NaN otherwise.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        Self { median: at(values.len() / 2), min: at(0), max: at(values.len().wrapping_sub(1)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_timed_and_heard() {
        let run = run(Command::new("sh").args(["-c", "echo noise; echo '{\"n\": 3}'"])).unwrap();
        assert_eq!(run.said["n"], 3);
        assert!(run.wall > 0.0 && run.cpu >= 0.0);
    }

    #[test]
    fn failures_say_what_was_run_and_why() {
        let error =
            super::run(Command::new("sh").args(["-c", "echo why >&2; exit 3"])).unwrap_err();
        assert!(error.contains("why") && error.contains("exit 3"), "{error}");
        assert!(super::run(&mut Command::new("true")).unwrap_err().contains("not JSON"));
    }

    #[test]
    fn the_median_is_in_the_middle() {
        let spread = Spread::of(vec![3.0, 1.0, 2.0]);
        assert_eq!((spread.median, spread.min, spread.max), (2.0, 1.0, 3.0));
        assert!(Spread::of(Vec::new()).median.is_nan());
    }
}
