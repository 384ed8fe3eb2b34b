//! A join by event time over real files: what `awk` finds among all pairs, over history and live, after kills.

use std::fs;
use std::path::Path;

use rustix::process::Signal;

use crate::job::{Job, shell};
use crate::published::Published;
use crate::text::Random;

/// Rows `NAME,TIME` over ten minutes, up to two seconds out of order.
pub(crate) fn rows(count: u64, seed: u64) -> Vec<String> {
    let mut random = Random(seed);
    let row = |n: u64| {
        let at = 1_000_000 + n * 600_000 / count + 2000 - random.below(2000);
        format!("k{},{at}\n", random.below(60))
    };
    (0..count).map(row).collect()
}

/// What `awk` finds in `starts.csv` and `ends.csv`, before a time, sorted.
pub(crate) fn found(dir: &Path, before: u64) -> Vec<String> {
    let script = format!(
        r#"awk -F, '
            NR == FNR {{ ends[$1] = ends[$1] " " $2; next }}
            $2 < {before} {{
                n = split(ends[$1], at, " "); met = 0
                for (i = 1; i <= n; i++)
                    if (at[i] - $2 >= -3000 && at[i] - $2 <= 10000) {{ print $1 "," $2 "," at[i]; met = 1 }}
                if (!met) print $1 "," $2 ",-1"
            }}' ends.csv starts.csv | LC_ALL=C sort"#
    );
    shell(dir, &script).lines().map(str::to_owned).collect()
}

fn job(dir: &Path, options: &str, out: &Path) -> Job {
    let url = |name: &str| format!("{}{options}", dir.join(name).display());
    let job = Job::example("audit").args(["--job", "within"]).current_dir(dir);
    let job = job.source("starts", url("starts.csv")).source("ends", url("ends.csv"));
    job.files("rows", "csv", out).args(["--summary", "json", "--log", "json"])
}

/// What was published of starts before a time, sorted.
fn published(out: &Path, before: u64) -> Vec<String> {
    let read = Published::so_far(out);
    let time = |row: &str| row.split(',').nth(1).and_then(|at| at.parse().ok()).unwrap_or(0u64);
    let rows = read.lines().into_iter().filter(|row| time(row) < before);
    let mut rows: Vec<String> = rows.map(str::to_owned).collect();
    rows.sort_unstable();
    rows
}

#[test]
fn history_gives_what_awk_finds_in_whatever_batches_it_is_read() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("starts.csv"), rows(3000, 1).concat()).expect("there is room");
    fs::write(dir.path().join("ends.csv"), rows(2000, 2).concat()).expect("there is room");
    let expected = found(dir.path(), u64::MAX >> 1);
    assert!(expected.len() > 1000 && expected.iter().any(|row| row.ends_with(",-1")));
    for (n, options) in [
        "?header=false",
        "?header=false&batch_records=170",
        "?header=false&batch_records=31&split=200",
    ]
    .iter()
    .enumerate()
    {
        for partitions in ["1", "3", "8"] {
            let out = dir.path().join(format!("out-{n}-{partitions}"));
            let done = job(dir.path(), options, &out).args(["--partitions", partitions]);
            assert_eq!(done.run().code(0).summary()["late"], 0);
            assert_eq!(published(&out, u64::MAX >> 1), expected, "{options} {partitions}");
        }
    }
}

#[test]
fn a_live_job_finds_the_same_over_kills() {
    let dir = tempfile::tempdir().expect("a directory");
    let out = dir.path().join("out");
    let (starts, ends) = (rows(3000, 3), rows(3000, 4));
    let append = |name: &str, rows: &[String]| {
        fs::write(dir.path().join("more"), rows.concat()).expect("there is room");
        shell(dir.path(), &format!("cat more >> {name}; rm more"));
    };
    let start = || job(dir.path(), "?header=false&follow", &out).args(["--state", "state"]).start();
    append("starts.csv", &starts[..300]);
    append("ends.csv", &ends[..300]);
    let mut running = start();
    for (n, (starts, ends)) in starts[300..].chunks(450).zip(ends[300..].chunks(450)).enumerate() {
        let before = if out.exists() { published(&out, u64::MAX >> 1).len() } else { 0 };
        // One side is ahead of the other for a while.
        append(
            if n % 2 == 0 { "starts.csv" } else { "ends.csv" },
            if n % 2 == 0 { starts } else { ends },
        );
        append(
            if n % 2 == 0 { "ends.csv" } else { "starts.csv" },
            if n % 2 == 0 { ends } else { starts },
        );
        running.wait("pairs", |_| out.exists() && published(&out, u64::MAX >> 1).len() > before);
        running.signal(if n % 2 == 0 { Signal::KILL } else { Signal::TERM });
        drop(running);
        running = start();
    }
    // Its time passes what was before.
    for name in ["starts.csv", "ends.csv"] {
        append(name, &["z,9000000\n".to_owned()]);
    }
    let expected = found(dir.path(), 8_000_000);
    assert!(expected.len() > 1000 && expected.iter().any(|row| row.ends_with(",-1")));
    running.wait("all", |_| published(&out, 8_000_000).len() >= expected.len());
    running.signal(Signal::TERM);
    assert_eq!(running.end().code(0).summary()["late"], 0);
    assert_eq!(published(&out, 8_000_000), expected);
}
