//! Statuses and what people read of them.

use super::*;
use crate::driver::cluster::{
    BatchStatus, OutputStatus, PublishedStatus, ReceiverStatus, RefusedStatus, SourceStatus,
    UnsavedStatus,
};
use crate::id::{BatchSeq, Epoch, Partition};
use crate::time::BatchTime;

fn example() -> ClusterStatus {
    let worker = |name: &str, port: u16, standing, partitions, tasks| WorkerStatus {
        name: name.to_owned(),
        addr: ([10, 0, 0, 2], port).into(),
        standing,
        partitions,
        cores: 2,
        tasks,
        memory: 300 << 20,
        memory_limit: 2 << 30,
        spilled: 0,
        heard_ms: 40,
        slow: None,
        share: 50,
    };
    ClusterStatus {
        job: "page_views".to_owned(),
        plan: "00000000000000ff".to_owned(),
        version: "0.1.0".to_owned(),
        master: ([10, 0, 0, 1], 7077).into(),
        uptime_ms: 125_000,
        phase: Phase::Running,
        epoch: Epoch(3),
        partitions: 8,
        interval_ms: 1000,
        live: true,
        published: Some(PublishedStatus {
            batch: BatchSeq(811),
            time: BatchTime(811_000),
            processing_ms: 8.125,
            delay_ms: Some(12.5),
        }),
        delay_ms: Some(1250),
        cause: Some("batch 812 waits for 3 tasks on worker w2 (stage counts)".to_owned()),
        late: 0,
        refused: None,
        clock_behind_ms: None,
        unsaved: None,
        batches: vec![BatchStatus {
            batch: BatchSeq(812),
            phase: "running".to_owned(),
            waits_for: "3 tasks on worker w2 (stage counts)".to_owned(),
            age_ms: 1240,
        }],
        sources: vec![SourceStatus {
            name: "views".to_owned(),
            url: "tcp://0.0.0.0:9000".to_owned(),
            records: 12_345_678,
            bytes: 3 << 30,
            records_per_second: 100_123.4,
            dead_letters: 0,
            unreadable_files: 1,
            lost_bytes: 2048,
        }],
        outputs: vec![OutputStatus {
            name: "counts".to_owned(),
            url: "csv+file://out".to_owned(),
            records: 17,
        }],
        workers: vec![
            worker("w1", 4001, Standing::Active, 5, 0),
            worker("w2", 4002, Standing::Draining, 3, 3),
        ],
        speculations: 0,
        speculations_won: 0,
        receivers: vec![ReceiverStatus {
            stream: "views".to_owned(),
            worker: "w1".to_owned(),
            url: "tcp://10.0.0.2:9000".to_owned(),
            records: 1000,
            waiting: 2048,
            turned_away: 12,
            error: None,
        }],
    }
}

#[test]
fn everything_has_its_line() {
    assert_eq!(
        status(&example()),
        "\
page_views: running, for 2 min 5 s on 10.0.0.1:7077; epoch 3, 8 partitions, batches of 1000 ms
last published: batch 811 at 811000 ms, 8.12 ms to process, delay 12 ms
late by 1.2 s: batch 812 waits for 3 tasks on worker w2 (stage counts)
views: 1 file cannot be read; 2.0 KiB were lost before they were read
views: 12 clients were turned away by worker w1, all of whose connections were busy: allow more with `connections=` \
in the source's URL
sources
  NAME      RECORDS  PER SECOND    BYTES  SET ASIDE  FROM
  views  12,345,678     100,123  3.0 GiB          0  tcp://0.0.0.0:9000
outputs
  NAME    RECORDS  TO
  counts       17  csv+file://out
batches in flight
  BATCH  PHASE      AGE  WAITS FOR
    812  running  1.2 s  3 tasks on worker w2 (stage counts)
workers
  NAME  ADDRESS        STANDING  PARTITIONS  TASKS  THREADS                MEMORY  SPILLED      HEARD
  w1    10.0.0.2:4001  active             5      0        2  300.0 MiB of 2.0 GiB      0 B  40 ms ago
  w2    10.0.0.2:4002  draining           3      3        2  300.0 MiB of 2.0 GiB      0 B  40 ms ago
receivers
  STREAM  WORKER  AT                   RECORDS  WAITING
  views   w1      tcp://10.0.0.2:9000    1,000  2.0 KiB
"
    );
}

#[test]
fn a_master_that_waits_for_workers_has_little_to_say() {
    let waiting = ClusterStatus {
        phase: Phase::Waiting { have: 0, want: 2 },
        epoch: Epoch(0),
        uptime_ms: 900,
        published: None,
        delay_ms: None,
        cause: None,
        batches: Vec::new(),
        sources: Vec::new(),
        outputs: Vec::new(),
        workers: Vec::new(),
        receivers: Vec::new(),
        ..example()
    };
    assert_eq!(
        status(&waiting),
        "page_views: waits for workers: 0 of 2, for 900 ms on 10.0.0.1:7077; epoch 0, 8 partitions, \
         batches of 1000 ms\nno batch is published yet\n"
    );
    assert_eq!(workers(&waiting), "");
}

#[test]
fn who_is_slow_is_called_so_and_second_runs_are_counted() {
    let mut slow = ClusterStatus { speculations: 12, speculations_won: 9, ..example() };
    (slow.workers[0].slow, slow.workers[0].share) = (Some(2.13), 31);
    let text = status(&slow);
    assert!(
        text.contains("late tasks: 12 were run on another worker too, 9 of these first\n"),
        "{text}"
    );
    assert!(text.contains("active, slow (2.1 x), reads 31 % "), "{text}");
}

#[test]
fn what_is_not_late_says_what_comes_next() {
    let waits = Some("batch 812 waits for source `views`".to_owned());
    let text = status(&ClusterStatus { delay_ms: None, cause: waits, ..example() });
    assert!(text.contains("\nnext: batch 812 waits for source `views`\n"), "{text}");
}

#[test]
fn json_has_all_of_it() {
    let text = serde_json::to_string(&example()).unwrap();
    assert_eq!(serde_json::from_str::<ClusterStatus>(&text).unwrap(), example());
}

#[test]
fn a_status_can_travel() {
    let bytes = postcard::to_allocvec(&example()).unwrap();
    assert_eq!(postcard::from_bytes::<ClusterStatus>(&bytes).unwrap(), example());
}

#[test]
fn times_as_people_say_them() {
    for (ms, text) in [
        (7, "7 ms"),
        (1999, "1.9 s"),
        (61_000, "1 min 1 s"),
        (3_660_000, "1 h 1 min"),
        (90_000_000, "1 d 1 h"),
    ] {
        assert_eq!(time(ms), text);
    }
}

#[test]
fn an_output_that_refuses_a_batch_is_named_with_the_reason() {
    let refused = RefusedStatus {
        output: "counts".to_owned(),
        batch: BatchSeq(812),
        for_ms: 4200,
        tries: 6,
        why: "cannot write out/812000: disk full".to_owned(),
    };
    let text = status(&ClusterStatus { refused: Some(refused), ..example() });
    let line = "output `counts` has refused batch 812 6 times in 4.2 s: cannot write out/812000: disk full\n";
    assert!(text.contains(line), "{text}");
}

#[test]
fn a_state_that_cannot_be_saved_is_named_with_the_reason() {
    let unsaved = UnsavedStatus {
        operator: "counts".to_owned(),
        partition: Partition(3),
        worker: "w1".to_owned(),
        url: "file:///state/saves".to_owned(),
        for_ms: 4200,
        tries: 5,
        why: "disk full".to_owned(),
    };
    let text = status(&ClusterStatus { unsaved: Some(unsaved), ..example() });
    let line = "w1 could not save the state of `counts`, partition 3, in file:///state/saves 5 times in 4.2 s: disk full\n";
    assert!(text.contains(line), "{text}");
}
