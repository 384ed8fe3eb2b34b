//! Jobs with a table: what `awk` joins and counts, over history and live, whatever happens on the way.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use rustix::process::Signal;

use crate::job::{Job, shell};
use crate::published::Published;
use crate::text::Random;

/// Events of 40 ads over some time, up to a second out of order.
pub(crate) fn events(events: u64, seconds: u64, seed: u64) -> Vec<String> {
    let mut random = Random(seed);
    let event = |n: u64| {
        let at = 1_793_577_600_000 + n * seconds * 1000 / events + 1000 - random.below(1000);
        let kind = ["view", "click", "view", "purchase"][random.below(4) as usize];
        let (user, page, ad) = (random.below(100), random.below(20), random.below(43));
        format!(
            "{{\"user_id\":\"u{user}\",\"page_id\":\"p{page}\",\"ad_id\":\"ad-{ad:02}\",\"ad_type\":\"banner\",\
             \"event_type\":\"{kind}\",\"event_time\":{at}}}\n"
        )
    };
    (0..events).map(event).collect()
}

/// The ads of some campaigns.
pub(crate) fn ads(campaigns: u64) -> String {
    let mut text = "ad_id,campaign_id\n".to_owned();
    for ad in 0..40 {
        let _ = writeln!(text, "ad-{ad:02},campaign-{}", ad % campaigns);
    }
    text
}

/// Views by campaign and 10 seconds, as `awk` joins and counts them, sorted.
pub(crate) fn counted(dir: &Path, ads: &str, events: &str) -> Vec<String> {
    let script = format!(
        r#"awk '
            NR == FNR {{ split($0, ad, ","); campaign[ad[1]] = ad[2]; next }}
            {{
                gsub(/[{{}}"]/, ""); split($0, part, ",")
                for (i in part) {{ split(part[i], pair, ":"); field[pair[1]] = pair[2] }}
                start = int(field["event_time"] / 10000) * 10
                if (field["event_type"] == "view" && field["ad_id"] in campaign)
                    n[start " " campaign[field["ad_id"]]]++
            }}
            END {{ for (key in n) {{
                split(key, k, " ")
                print strftime("%Y-%m-%dT%H:%M:%S.000Z", k[1], 1) "," \
                    strftime("%Y-%m-%dT%H:%M:%S.000Z", k[1] + 10, 1) "," k[2] "," n[key]
            }} }}' {ads} {events} | LC_ALL=C sort"#
    );
    shell(dir, &script).lines().map(str::to_owned).collect()
}

fn campaigns(ads: &Path, events: &str, out: &Path) -> Job {
    let job = Job::example("ad_campaigns").source("ads", ads.display()).source("events", events);
    job.files("counts", "csv", out).args(["--summary", "json", "--log", "json"])
}

/// What was published, sorted.
fn sorted(out: &Path) -> Vec<String> {
    let published = Published::so_far(out);
    let mut lines: Vec<String> = published.lines().into_iter().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn the_example_counts_what_awk_counts() {
    let root = dstream_tests::workspace();
    let done = Job::example("ad_campaigns").current_dir(root);
    let mut out = done.sink("counts", "csv+stdout:?header=false").run().code(0).out;
    out.sort_unstable();
    assert_eq!(out, counted(root, "examples/ads.csv", "examples/ad_events.json"));
    assert!(out.len() > 40);
}

#[test]
fn history_meets_the_whole_table_in_whatever_batches_it_is_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let (ads_file, events_file) = (dir.path().join("ads.csv"), dir.path().join("events.json"));
    fs::write(&ads_file, ads(7)).expect("there is room");
    fs::write(&events_file, events(20_000, 600, 1).concat()).expect("there is room");
    let expected = counted(dir.path(), "ads.csv", "events.json");
    assert!(expected.len() > 400);
    for (n, options) in
        ["", "?batch_records=173", "?batch_records=1000&split=3000"].iter().enumerate()
    {
        for partitions in ["1", "7"] {
            let out = dir.path().join(format!("out-{n}-{partitions}"));
            let source = format!("{}{options}", events_file.display());
            let job = campaigns(&ads_file, &source, &out).args(["--partitions", partitions]);
            let done = job.run().code(0);
            assert_eq!(done.summary()["late"], 0);
            assert_eq!(sorted(&out), expected, "{options} {partitions}");
        }
    }
    shell(dir.path(), "gzip -k ads.csv");
    let out = dir.path().join("out-gz");
    let job = campaigns(&dir.path().join("ads.csv.gz"), &events_file.display().to_string(), &out);
    job.run().code(0);
    assert_eq!(sorted(&out), expected);
}

#[test]
fn a_live_job_keeps_its_table_over_kills_and_says_when_the_file_has_changed() {
    let dir = tempfile::tempdir().expect("a directory");
    let (ads_file, log, out) =
        (dir.path().join("ads.csv"), dir.path().join("events.json"), dir.path().join("out"));
    fs::write(&ads_file, ads(7)).expect("there is room");
    fs::write(dir.path().join("first.csv"), ads(7)).expect("there is room");
    let lines = events(6000, 600, 2);
    let append = |lines: &[String]| {
        fs::write(dir.path().join("more"), lines.concat()).expect("there is room");
        shell(dir.path(), "cat more >> events.json; rm more");
    };
    let source = format!("{}?follow", log.display());
    let job = || {
        let job = campaigns(&ads_file, &source, &out).current_dir(dir.path());
        job.args(["--interval", "20ms", "--state", "state"])
    };
    append(&lines[..600]);
    let mut running = job().start();
    let mut published = 0;
    for (n, chunk) in lines[600..].chunks(900).enumerate() {
        append(chunk);
        running.wait("windows", |_| out.exists() && sorted(&out).len() > published);
        published = sorted(&out).len();
        running.signal(if n % 2 == 0 { Signal::KILL } else { Signal::TERM });
        drop(running);
        if n == 2 {
            fs::write(&ads_file, ads(3)).expect("there is room");
        }
        running = job().start();
        if n >= 2 {
            running.wait("the news of the table", |job| {
                job.err.iter().any(|line| line.contains("is not what it was when the job read it"))
            });
        }
    }
    // Closes the windows before it, and is of no view.
    append(&["{\"user_id\":\"u\",\"page_id\":\"p\",\"ad_id\":\"a\",\"ad_type\":\"banner\",\
              \"event_type\":\"click\",\"event_time\":1793588600000}\n"
        .to_owned()]);
    let expected = counted(dir.path(), "first.csv", "events.json");
    running.wait("all windows", |_| out.exists() && sorted(&out).len() >= expected.len());
    running.signal(Signal::TERM);
    running.end().code(0);
    assert_eq!(sorted(&out), expected);
}

#[test]
fn what_is_no_table_is_refused_with_the_cure() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("ads.csv"), ads(7)).expect("there is room");
    fs::write(dir.path().join("e.json"), "").expect("there is room");
    for (url, text) in [
        ("ads.csv?follow", "latest_by_key"),
        ("tcp://127.0.0.1:0", "latest_by_key"),
        ("ads.csv?refresh=5m", "refresh"),
        ("-", "write it to a file"),
    ] {
        let job = Job::example("ad_campaigns").current_dir(dir.path()).source("events", "e.json");
        job.source("ads", url).run().code(2).says(&["ads", text]);
    }
}
