//! Whole jobs of hand-written stages, against what their definition says must come out.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::*;
use crate::driver::{BatchReport, Observer, StopHandle};
use crate::exec::stage::RunStage;
use crate::exec::task::{DeadLetter, Made, SavedState, State, TailMade, TaskContext, TaskError};
use crate::id::{BatchSeq, OutputId, Partition, StageId};
use crate::plan::{Dependency, Plan, TailRow, Tasks};
use crate::sched::testplan::{plan, stage, word_count};
use crate::sink::{Batch, Part, SinkError};
use crate::source::{Input, Piece, Range, ReadRange, SourceError};

/// A stage that is a function. What stages say to each other goes past the engine, through values
/// they share: blocks are tested where they are made.
struct Run<F> {
    run: F,
    saved: Arc<Mutex<BTreeMap<u64, u64>>>,
}

impl<F: Fn(&mut TaskContext<'_>) -> Result<(), TaskError> + Send + Sync> RunStage for Run<F> {
    fn run(&self, cx: &mut TaskContext<'_>) -> Result<Made, TaskError> {
        (self.run)(cx)?;
        Ok(std::mem::take(&mut cx.made))
    }

    fn save(&self, state: &State) -> Result<SavedState, TaskError> {
        let value = *state
            .downcast_ref::<u64>()
            .expect("states here are numbers");
        let mut saved = self.saved.lock().unwrap();
        let key = saved.len() as u64;
        saved.insert(key, value);
        Ok(SavedState::default())
    }

    fn load(&self, _: &SavedState) -> Result<Option<State>, TaskError> {
        let (_, value) = self
            .saved
            .lock()
            .unwrap()
            .pop_first()
            .expect("something was saved");
        Ok(Some(Box::new(value)))
    }
}

fn run_stage(
    run: impl Fn(&mut TaskContext<'_>) -> Result<(), TaskError> + Send + Sync + 'static,
) -> Arc<dyn RunStage> {
    Arc::new(Run {
        run,
        saved: Arc::default(),
    })
}

fn no_blocks(cx: &mut TaskContext<'_>) {
    cx.made.tails.push(TailMade::Blocks(Vec::new()));
}

fn part(cx: &mut TaskContext<'_>, lines: &[String]) {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let part = Part {
        partition: cx.task.partition,
        records: lines.len() as u64,
        bytes: Arc::new(text.clone().into_bytes()),
        header: Arc::from([]),
    };
    cx.made.tails.push(TailMade::Part {
        part,
        preview: text.into_bytes(),
    });
}

/// Gives numbers: batch n of source brings `per_input` records in each of its inputs.
struct Numbers {
    cuts: u64,
    batches: u64,
    inputs: usize,
    live: bool,
    immediate: bool,
    stopped: bool,
    fails_at: Option<u64>,
}

impl Numbers {
    fn new(batches: u64) -> Self {
        Self {
            cuts: 0,
            batches,
            inputs: 3,
            live: false,
            immediate: true,
            stopped: false,
            fails_at: None,
        }
    }
}

struct Nothing;

impl ReadRange for Nothing {
    fn read(&self, each: &mut dyn FnMut(Piece<'_>)) -> Result<(), SourceError> {
        each(Piece {
            bytes: b"12345",
            split: "numbers",
            position: 0,
            header: None,
        });
        Ok(())
    }
}

impl Source for Numbers {
    fn bounded(&self) -> bool {
        !self.live
    }

    fn cut(&mut self, partitions: usize) -> Result<Cut, SourceError> {
        self.cuts += 1;
        if self.fails_at == Some(self.cuts) {
            let error = Arc::new(io::Error::other("gone"));
            return Err(SourceError::Io {
                doing: "read",
                what: "numbers".into(),
                error,
            });
        }
        let ended = self.stopped || (!self.live && self.cuts == self.batches);
        let range = |input: usize| Range {
            split: "numbers".into(),
            start: self.cuts * 100 + input as u64,
            end: self.cuts * 100 + input as u64 + 1,
        };
        let inputs = (0..self.inputs.min(partitions)).map(|input| Input {
            ranges: vec![range(input)],
            data: Arc::new(Nothing),
        });
        Ok(Cut {
            inputs: inputs.collect(),
            ended,
        })
    }

    fn immediate(&self) -> bool {
        self.immediate
    }

    fn stop(&mut self) {
        self.stopped = true;
    }
}

type Published = Arc<Mutex<Vec<(u64, String)>>>;

/// Remembers what was published: (time, text of all parts).
struct Memory {
    published: Published,
    immediate: bool,
    format: Option<Format>,
    fails_at: Option<u64>,
}

impl Sink for Memory {
    fn format(&self) -> Option<Format> {
        self.format
    }

    fn publish(&mut self, batch: &Batch) -> Result<(), SinkError> {
        if self.fails_at == Some(batch.time.0) {
            let error = Arc::new(io::Error::other("disk full"));
            return Err(SinkError::Io {
                doing: "write",
                what: "out".into(),
                error,
            });
        }
        assert!(batch.parts.is_sorted_by_key(|part| part.partition));
        let text = batch
            .parts
            .iter()
            .map(|part| String::from_utf8_lossy(&part.bytes))
            .collect();
        self.published.lock().unwrap().push((batch.time.0, text));
        Ok(())
    }

    fn immediate(&self) -> bool {
        self.immediate
    }
}

fn memory() -> (Memory, Published) {
    let published = Published::default();
    let sink = Memory {
        published: Arc::clone(&published),
        immediate: true,
        format: Some(Format::Text),
        fails_at: None,
    };
    (sink, published)
}

/// The word count's plan; stage 1 adds up, in its state, 1 per batch and partition and emits the sum;
/// stage 2 emits how many tasks of stage 1 have run.
fn counting(
    fails: impl Fn(&TaskContext<'_>) -> Result<(), TaskError> + Send + Sync + 'static,
) -> BuiltJob {
    let seen = Arc::new(AtomicU64::new(0));
    let see = Arc::clone(&seen);
    let stages = vec![
        run_stage(|cx| {
            let input = cx.source.expect("a source stage has an input");
            let (records, bytes) = (&mut cx.made.records, &mut cx.made.bytes);
            input.data.read(&mut |piece| {
                *records += 1;
                *bytes += piece.bytes.len() as u64;
            })?;
            no_blocks(cx);
            Ok(())
        }),
        run_stage(move |cx| {
            fails(cx)?;
            let before = cx
                .state
                .as_ref()
                .and_then(|s| s.downcast_ref::<u64>())
                .copied();
            let sum = before.unwrap_or(0) + 1;
            part(cx, &[format!("{}={sum}", cx.task.partition.0)]);
            no_blocks(cx);
            *cx.state = Some(Box::new(sum));
            see.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }),
        run_stage(move |cx| {
            let lines = [format!(
                "seen {}",
                seen.load(Ordering::SeqCst) >= cx.task.batch.0 * 4
            )];
            part(cx, &lines);
            Ok(())
        }),
    ];
    BuiltJob {
        plan: word_count(),
        stages,
        sources: Vec::new(),
        outputs: Vec::new(),
    }
}

fn config() -> LocalConfig {
    LocalConfig {
        partitions: 4,
        cores: 2,
        preview: 2,
        ..LocalConfig::default()
    }
}

/// What the first output of `counting` is for these batches.
fn expected(batches: std::ops::RangeInclusive<u64>) -> Vec<(u64, String)> {
    batches
        .map(|n| (n * 1000, (0..4).map(|p| format!("{p}={n}\n")).collect()))
        .collect()
}

#[derive(Default)]
struct Seen {
    batches: Vec<(u64, u64, Vec<String>)>,
    dead: Vec<(String, DeadLetter)>,
    warnings: Vec<String>,
    stop_at: Option<(u64, StopHandle)>,
}

impl Observer for Seen {
    fn on_batch(&mut self, report: &BatchReport<'_>) {
        let read = report.sources.iter().map(|source| source.records).sum();
        self.batches
            .push((report.batch.0, read, report.outputs[0].preview.clone()));
        if let Some((at, stop)) = &self.stop_at
            && *at == report.batch.0
        {
            stop.stop();
            stop.stop();
        }
    }

    fn on_dead_letters(&mut self, source: &str, letters: &[DeadLetter]) {
        self.dead.extend(
            letters
                .iter()
                .map(|letter| (source.to_owned(), letter.clone())),
        );
    }

    fn on_warning(&mut self, message: &str) {
        self.warnings.push(message.to_owned());
    }
}

#[test]
fn every_batch_is_published_in_order_once_whatever_threads_there_are() {
    for immediate in [true, false] {
        for (cores, in_flight) in [(1, 1), (2, 4), (4, 2)] {
            let (mut first, counts) = memory();
            let (mut second, top) = memory();
            (first.immediate, second.immediate) = (immediate, immediate);
            let source = Box::new(Numbers {
                immediate,
                ..Numbers::new(20)
            });
            let config = LocalConfig {
                cores,
                in_flight,
                ..config()
            };
            let sinks: Vec<Box<dyn Sink>> = vec![Box::new(first), Box::new(second)];
            let mut seen = Seen::default();
            let job = counting(|_| Ok(()));
            let summary = run(
                job,
                config,
                vec![source],
                sinks,
                &mut seen,
                StopHandle::new(),
            )
            .unwrap();
            assert_eq!(*counts.lock().unwrap(), expected(1..=20));
            let all_seen: Vec<_> = (1..=20)
                .map(|n| (n * 1000, "seen true\n".to_owned()))
                .collect();
            assert_eq!(*top.lock().unwrap(), all_seen);
            assert_eq!(
                (summary.batches, summary.records, summary.bytes),
                (20, 60, 300)
            );
            assert_eq!(summary.outputs[0].records, 80);
            assert_eq!(summary.latency, None);
            assert_eq!(
                seen.batches[2],
                (3, 3, vec!["0=3".to_owned(), "1=3".to_owned()])
            );
        }
    }
}

fn divide(by: u64) -> u64 {
    1 / std::hint::black_box(by)
}

#[test]
fn a_task_that_panics_again_and_again_stops_the_job_after_the_batches_before_it() {
    let runs = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&runs);
    let job = counting(move |cx| {
        if cx.task.batch == BatchSeq(7) && cx.task.partition == Partition(2) {
            counter.fetch_add(1, Ordering::SeqCst);
            divide(0);
        }
        Ok(())
    });
    let ((first, counts), (second, _)) = (memory(), memory());
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(first), Box::new(second)];
    let source = Box::new(Numbers::new(20));
    let error = run(
        job,
        config(),
        vec![source],
        sinks,
        &mut (),
        StopHandle::new(),
    )
    .unwrap_err();
    let JobError::Task(failure) = &error else {
        panic!("{error}")
    };
    assert_eq!(
        (failure.task.stage, failure.task.batch, failure.attempts),
        (StageId(1), BatchSeq(7), 3)
    );
    let text = error.to_string();
    assert!(text.contains("attempt to divide by zero"), "{text}");
    assert!(text.contains("driver/local/tests.rs:"), "{text}");
    assert!(
        text.contains("batch 7") && text.contains("after 3 attempts"),
        "{text}"
    );
    assert_eq!(runs.load(Ordering::SeqCst), 3);
    assert_eq!(*counts.lock().unwrap(), expected(1..=6));
}

#[test]
fn a_task_that_fails_once_runs_again_on_the_state_of_the_batch_before() {
    let failed = AtomicU32::new(0);
    let job = counting(move |cx| {
        if cx.task.batch.0 % 3 == 0 && failed.fetch_add(1, Ordering::SeqCst) % 2 == 0 {
            panic!("unlucky");
        }
        Ok(())
    });
    let ((first, counts), (second, _)) = (memory(), memory());
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(first), Box::new(second)];
    let config = LocalConfig {
        cores: 1,
        attempts: 10,
        ..config()
    };
    run(
        job,
        config,
        vec![Box::new(Numbers::new(9))],
        sinks,
        &mut (),
        StopHandle::new(),
    )
    .unwrap();
    assert_eq!(*counts.lock().unwrap(), expected(1..=9));
}

#[test]
fn a_record_refused_on_request_is_not_tried_again() {
    let letter = || DeadLetter {
        split: "numbers".into(),
        position: 7,
        reason: "no number".into(),
        text: "x".into(),
    };
    let job = counting(move |cx| match cx.task.batch.0 {
        2 => Err(TaskError::DeadLetter(letter())),
        _ => Ok(()),
    });
    let ((first, counts), (second, _)) = (memory(), memory());
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(first), Box::new(second)];
    let source = Box::new(Numbers::new(5));
    let error = run(
        job,
        config(),
        vec![source],
        sinks,
        &mut (),
        StopHandle::new(),
    )
    .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("after 1 attempt: numbers at 7: no number"),
        "{error}"
    );
    assert_eq!(*counts.lock().unwrap(), expected(1..=1));
}

#[test]
fn a_stopped_live_job_processes_what_was_received_and_ends() {
    for immediate in [true, false] {
        let ((first, counts), (second, _)) = (memory(), memory());
        let sinks: Vec<Box<dyn Sink>> = vec![Box::new(first), Box::new(second)];
        let source = Box::new(Numbers {
            live: true,
            immediate,
            ..Numbers::new(0)
        });
        let stop = StopHandle::new();
        let mut seen = Seen {
            stop_at: Some((5, stop.clone())),
            ..Seen::default()
        };
        let config = LocalConfig {
            interval: Some(Duration::from_millis(2)),
            ..config()
        };
        let summary = run(
            counting(|_| Ok(())),
            config,
            vec![source],
            sinks,
            &mut seen,
            stop,
        )
        .unwrap();
        // The batch that drains the source is one of those that were cut after the fifth.
        assert!(summary.batches >= 6, "{summary:?}");
        assert_eq!(summary.records, summary.batches * 3);
        let counts = counts.lock().unwrap();
        let texts: Vec<_> = counts.iter().map(|(_, text)| text.clone()).collect();
        let want: Vec<_> = expected(1..=summary.batches)
            .into_iter()
            .map(|(_, t)| t)
            .collect();
        assert_eq!(texts, want);
        assert!(
            counts.windows(2).all(|pair| pair[1].0 == pair[0].0 + 2),
            "{counts:?}"
        );
        assert!(summary.latency.is_some());
    }
}

#[test]
fn a_job_stopped_before_it_starts_ends_at_once() {
    let ((first, counts), (second, _)) = (memory(), memory());
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(first), Box::new(second)];
    let stop = StopHandle::new();
    stop.stop();
    let source = Box::new(Numbers::new(5));
    let summary = run(
        counting(|_| Ok(())),
        config(),
        vec![source],
        sinks,
        &mut (),
        stop,
    )
    .unwrap();
    assert_eq!((summary.batches, counts.lock().unwrap().len()), (0, 0));
}

#[test]
fn a_source_or_an_output_that_fails_stops_the_job_after_the_batches_before() {
    for immediate in [true, false] {
        let ((first, counts), (second, _)) = (memory(), memory());
        let sinks: Vec<Box<dyn Sink>> = vec![Box::new(first), Box::new(second)];
        let source = Numbers {
            fails_at: Some(4),
            immediate,
            ..Numbers::new(9)
        };
        let job = counting(|_| Ok(()));
        let error = run(
            job,
            config(),
            vec![Box::new(source)],
            sinks,
            &mut (),
            StopHandle::new(),
        )
        .unwrap_err();
        assert!(
            matches!(&error, JobError::Source { name, .. } if name == "views"),
            "{error}"
        );
        assert_eq!(*counts.lock().unwrap(), expected(1..=3));

        let ((mut first, counts), (second, _)) = (memory(), memory());
        (first.immediate, first.fails_at) = (immediate, Some(4000));
        let sinks: Vec<Box<dyn Sink>> = vec![Box::new(first), Box::new(second)];
        let source = Box::new(Numbers::new(9));
        let job = counting(|_| Ok(()));
        let error = run(
            job,
            config(),
            vec![source],
            sinks,
            &mut (),
            StopHandle::new(),
        )
        .unwrap_err();
        assert!(
            matches!(&error, JobError::Output { name, .. } if name == "counts"),
            "{error}"
        );
        assert_eq!(*counts.lock().unwrap(), expected(1..=3));
    }
}

#[test]
fn a_source_that_panics_is_an_error_not_a_hang() {
    struct Bad(bool);
    impl Source for Bad {
        fn bounded(&self) -> bool {
            true
        }
        fn cut(&mut self, _: usize) -> Result<Cut, SourceError> {
            panic!("oh");
        }
        fn immediate(&self) -> bool {
            self.0
        }
    }
    for immediate in [true, false] {
        let ((first, _), (second, _)) = (memory(), memory());
        let sinks: Vec<Box<dyn Sink>> = vec![Box::new(first), Box::new(second)];
        let source = Box::new(Bad(immediate));
        let job = counting(|_| Ok(()));
        let error = run(
            job,
            config(),
            vec![source],
            sinks,
            &mut (),
            StopHandle::new(),
        )
        .unwrap_err();
        assert!(
            error.to_string().contains("source `views` panicked: oh"),
            "{error}"
        );
    }
}

#[test]
fn dead_letters_are_seen_and_published_with_their_batch() {
    let job = {
        let mut job = counting(|_| Ok(()));
        job.stages[0] = run_stage(|cx| {
            if cx.task.batch == BatchSeq(2) && cx.task.partition == Partition(1) {
                cx.made.dead.add("numbers", 5, b"x\"y", "no number".into());
            }
            no_blocks(cx);
            Ok(())
        });
        job
    };
    let ((first, _), (second, _), (mut dead, letters)) = (memory(), memory(), memory());
    dead.format = Some(Format::Json);
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(first), Box::new(second)];
    let config = LocalConfig {
        dead_letters: vec![Some(Box::new(dead))],
        ..config()
    };
    let mut seen = Seen::default();
    let source = Box::new(Numbers::new(3));
    let summary = run(
        job,
        config,
        vec![source],
        sinks,
        &mut seen,
        StopHandle::new(),
    )
    .unwrap();
    assert_eq!(summary.sources[0].dead_letters, 1);
    assert_eq!(seen.dead.len(), 1);
    assert_eq!(
        (seen.dead[0].0.as_str(), seen.dead[0].1.position),
        ("views", 5)
    );
    let line = r#"{"split":"numbers","position":5,"reason":"no number","text":"x\"y"}"#;
    assert_eq!(*letters.lock().unwrap(), [(2000, format!("{line}\n"))]);
}

#[test]
fn dead_letters_go_to_no_output_of_another_format() {
    let ((first, _), (second, _), (dead, _)) = (memory(), memory(), memory());
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(first), Box::new(second)];
    let config = LocalConfig {
        dead_letters: vec![Some(Box::new(dead))],
        ..config()
    };
    let source = Box::new(Numbers::new(3));
    let job = counting(|_| Ok(()));
    let error = run(job, config, vec![source], sinks, &mut (), StopHandle::new()).unwrap_err();
    assert!(matches!(error, JobError::DeadLetters { .. }), "{error}");
}

/// A window of 4 batches, read every 2nd, emitted every 4th, in one plan.
fn windowed() -> &'static Plan {
    plan(
        1,
        vec![
            stage(Tasks::PerRange(crate::id::SourceId(0))).tail(TailRow::Rows),
            stage(Tasks::PerPartition)
                .reads(Dependency::Narrow, &[(0, 0)])
                .state()
                .every(2, 4)
                .tail(TailRow::Output(OutputId(0))),
        ],
    )
}

#[test]
fn an_output_is_published_only_in_batches_in_which_its_stage_emits() {
    let runs = Arc::new(Mutex::new(Vec::new()));
    let ran = Arc::clone(&runs);
    let stages = vec![
        run_stage(|cx| {
            no_blocks(cx);
            Ok(())
        }),
        run_stage(move |cx| {
            if cx.task.partition == Partition(0) {
                ran.lock().unwrap().push((cx.task.batch.0, cx.emits));
            }
            if cx.emits {
                part(cx, &[format!("{}", cx.task.partition.0)]);
            }
            Ok(())
        }),
    ];
    let job = BuiltJob {
        plan: windowed(),
        stages,
        sources: Vec::new(),
        outputs: Vec::new(),
    };
    let (sink, published) = memory();
    let source = Box::new(Numbers::new(9));
    run(
        job,
        config(),
        vec![source],
        vec![Box::new(sink)],
        &mut (),
        StopHandle::new(),
    )
    .unwrap();
    assert_eq!(
        *runs.lock().unwrap(),
        [(2, false), (4, true), (6, false), (8, true)]
    );
    let times: Vec<_> = published
        .lock()
        .unwrap()
        .iter()
        .map(|(time, _)| *time)
        .collect();
    assert_eq!(times, [4000, 8000]);
}

#[test]
fn a_job_goes_on_from_a_savepoint() {
    let ((first, counts), (second, _)) = (memory(), memory());
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(first), Box::new(second)];
    let mut job = counting(|_| Ok(()));
    let stages = job.stages.clone();
    let saving = LocalConfig {
        savepoint: true,
        ..config()
    };
    let source = Box::new(Numbers::new(5));
    let summary = run(job, saving, vec![source], sinks, &mut (), StopHandle::new()).unwrap();
    let savepoint = summary.savepoint.unwrap();
    assert_eq!((savepoint.batch, savepoint.states.len()), (BatchSeq(5), 4));

    let ((first, more), (second, _)) = (memory(), memory());
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(first), Box::new(second)];
    job = BuiltJob {
        plan: word_count(),
        stages,
        sources: Vec::new(),
        outputs: Vec::new(),
    };
    let going_on = LocalConfig {
        from: Some(savepoint.clone()),
        ..config()
    };
    let source = Box::new(Numbers::new(4));
    run(
        job,
        going_on,
        vec![source],
        sinks,
        &mut (),
        StopHandle::new(),
    )
    .unwrap();
    let together = [counts.lock().unwrap().clone(), more.lock().unwrap().clone()].concat();
    assert_eq!(together, expected(1..=9));

    let ((first, _), (second, _)) = (memory(), memory());
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(first), Box::new(second)];
    let fewer = LocalConfig {
        from: Some(savepoint),
        partitions: 2,
        ..config()
    };
    let source = Box::new(Numbers::new(4));
    let job = counting(|_| Ok(()));
    let error = run(job, fewer, vec![source], sinks, &mut (), StopHandle::new()).unwrap_err();
    assert!(matches!(error, JobError::Foreign { .. }), "{error}");
}

#[test]
fn a_job_with_the_wrong_number_of_ends_is_refused() {
    let job = counting(|_| Ok(()));
    let error = run(
        job,
        config(),
        Vec::new(),
        Vec::new(),
        &mut (),
        StopHandle::new(),
    )
    .unwrap_err();
    assert!(matches!(
        error,
        JobError::Mismatch {
            what: "sources",
            expected: 1,
            given: 0
        }
    ));
}
