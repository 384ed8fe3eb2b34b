//! Usage of processes, from the kernel.

use std::collections::BTreeMap;
use std::fs;

/// Ticks of `/proc/PID/stat` per second, equal on every Linux.
const TICKS: f64 = 100.0;

/// The usage of a process so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Usage {
    /// Seconds of processor time, to a hundredth.
    pub(crate) cpu: f64,
    /// The same, by kind of thread.
    pub(crate) threads: BTreeMap<String, f64>,
    /// How often its threads went to sleep.
    pub(crate) sleeps: u64,
    /// Bytes of anonymous memory.
    pub(crate) memory: u64,
}

impl Usage {
    /// Updates it with a later reading; threads that have ended keep their last values.
    pub(crate) fn grow(&mut self, later: Self) {
        self.cpu = later.cpu;
        self.sleeps = self.sleeps.max(later.sleeps);
        self.memory = self.memory.max(later.memory);
        self.threads.extend(later.threads);
    }
}

/// A process and its children, by name; the first is `master`.
pub(crate) fn family(first: u32) -> Vec<(String, u32)> {
    let mut family = vec![("master".to_owned(), first)];
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        let Some(fields) = fields(&format!("/proc/{pid}/stat")) else { continue };
        // State and parent follow the name.
        if fields.get(1).and_then(|parent| parent.parse().ok()) == Some(first) {
            family.push((name(pid), pid));
        }
    }
    family.sort_by_key(|(name, pid)| (*pid != first, name.clone()));
    family
}

/// The name of a worker, from its command line.
fn name(pid: u32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = line.split(|byte| *byte == 0);
    words.find(|word| *word == b"--name");
    words.next().map_or_else(|| "worker".to_owned(), |w| String::from_utf8_lossy(w).into_owned())
}

/// The usage of a process; `None` if it has ended.
pub(crate) fn usage(pid: u32) -> Option<Usage> {
    let mut usage = Usage { cpu: cpu(&format!("/proc/{pid}/stat"))?, ..Usage::default() };
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let at = task.path().display().to_string();
        let comm = fs::read_to_string(format!("{at}/comm")).unwrap_or_default();
        // Threads of one kind are numbered.
        let kind = comm.trim().trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
        let kind = kind.strip_prefix("dstream-").unwrap_or("engine");
        *usage.threads.entry(kind.to_owned()).or_default() +=
            cpu(&format!("{at}/stat")).unwrap_or(0.0);
        let status = fs::read_to_string(format!("{at}/status")).unwrap_or_default();
        usage.sleeps += number(&status, "voluntary_ctxt_switches:");
    }
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    usage.memory = number(&status, "RssAnon:") << 10;
    Some(usage)
}

/// The number on the line with that prefix.
fn number(status: &str, start: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(start));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn cpu(stat: &str) -> Option<f64> {
    let fields = fields(stat)?;
    let ticks = fields.iter().skip(14 - 3).take(2).filter_map(|ticks| ticks.parse::<f64>().ok());
    Some(ticks.sum::<f64>() / TICKS)
}

/// The fields from the third on: the name before them is in parentheses and may contain anything.
fn fields(stat: &str) -> Option<Vec<String>> {
    let stat = fs::read_to_string(stat).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// Bytes through the loopback device, by all programs.
pub(crate) fn loopback() -> u64 {
    let devices = fs::read_to_string("/proc/net/dev").unwrap_or_default();
    let line = devices.lines().find_map(|line| line.trim().strip_prefix("lo:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
