//! Whole jobs of hand-written stages, against what their definition says must come out.

mod harness;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use self::harness::*;
use super::*;
use crate::block::{Block, RowsBuilder};
use crate::driver::journal::Journal;
use crate::driver::{BatchReport, Observer, StopHandle};
use crate::durable::Durable;
use crate::exec::task::{DeadLetter, TailMade, TaskContext, TaskError};
use crate::id::{BatchSeq, OutputId, Partition, StageId};
use crate::plan::{Dependency, Plan, TailRow, Tasks};
use crate::record::Format;
use crate::sched::testplan::{plan, stage, word_count};
use crate::sink::SinkError;
use crate::source::{Cut, SourceError};

#[test]
fn every_batch_is_published_in_order_once_whatever_threads_there_are() {
    for immediate in [true, false] {
        for (cores, in_flight) in [(1, 1), (2, 4), (4, 2)] {
            let (mut first, counts) = memory();
            let (mut second, top) = memory();
            (first.immediate, second.immediate) = (immediate, immediate);
            let source = Box::new(Numbers { immediate, ..Numbers::new(20) });
            let config = LocalConfig { cores, in_flight, ..config() };
            let sinks: Vec<Box<dyn Sink>> = vec![Box::new(first), Box::new(second)];
            let mut seen = Seen::default();
            let job = counting(|_| Ok(()));
            let summary =
                run(job, config, vec![source], sinks, &mut seen, StopHandle::new()).unwrap();
            assert_eq!(*counts.lock().unwrap(), expected(1..=20));
            let all_seen: Vec<_> = (1..=20).map(|n| (n * 1000, "seen true\n".to_owned())).collect();
            assert_eq!(*top.lock().unwrap(), all_seen);
            assert_eq!((summary.batches, summary.records, summary.bytes), (20, 60, 300));
            assert_eq!(summary.outputs[0].records, 80);
            assert_eq!(summary.latency, None);
            assert_eq!(seen.batches[2], (3, 3, vec!["0=3".to_owned(), "1=3".to_owned()]));
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
    let error = run(job, config(), vec![source], sinks, &mut (), StopHandle::new()).unwrap_err();
    let JobError::Task(failure) = &error else { panic!("{error}") };
    assert_eq!(
        (failure.task.stage, failure.task.batch, failure.attempts),
        (StageId(1), BatchSeq(7), 3)
    );
    let text = error.to_string();
    assert!(text.contains("attempt to divide by zero"), "{text}");
    assert!(text.contains("driver/local/tests.rs:"), "{text}");
    assert!(text.contains("batch 7") && text.contains("after 3 attempts"), "{text}");
    assert_eq!(runs.load(Ordering::SeqCst), 3);
    assert_eq!(*counts.lock().unwrap(), expected(1..=6));
}

#[test]
fn a_task_that_fails_once_runs_again_on_the_state_of_the_batch_before() {
    let failed = AtomicU32::new(0);
    let job = counting(move |cx| {
        if cx.task.batch.0.is_multiple_of(3)
            && failed.fetch_add(1, Ordering::SeqCst).is_multiple_of(2)
        {
            panic!("unlucky");
        }
        Ok(())
    });
    let ((first, counts), (second, _)) = (memory(), memory());
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(first), Box::new(second)];
    let config = LocalConfig { cores: 1, attempts: 10, ..config() };
    run(job, config, vec![Box::new(Numbers::new(9))], sinks, &mut (), StopHandle::new()).unwrap();
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
        2 => Err(TaskError::DeadLetter(Box::new(letter()))),
        _ => Ok(()),
    });
    let ((first, counts), (second, _)) = (memory(), memory());
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(first), Box::new(second)];
    let source = Box::new(Numbers::new(5));
    let error = run(job, config(), vec![source], sinks, &mut (), StopHandle::new()).unwrap_err();
    assert!(error.to_string().contains("after 1 attempt: numbers at 7: no number"), "{error}");
    assert_eq!(*counts.lock().unwrap(), expected(1..=1));
}

#[test]
fn a_stopped_live_job_processes_what_was_received_and_ends() {
    for immediate in [true, false] {
        let ((first, counts), (second, _)) = (memory(), memory());
        let sinks: Vec<Box<dyn Sink>> = vec![Box::new(first), Box::new(second)];
        let source = Box::new(Numbers { live: true, immediate, ..Numbers::new(0) });
        let stop = StopHandle::new();
        let mut seen = Seen { stop_at: Some((5, stop.clone())), ..Seen::default() };
        let config = LocalConfig { interval: Some(Duration::from_millis(2)), ..config() };
        let summary =
            run(counting(|_| Ok(())), config, vec![source], sinks, &mut seen, stop).unwrap();
        // The batch that drains the source is one of those that were cut after the fifth.
        assert!(summary.batches >= 6, "{summary:?}");
        assert_eq!(summary.records, summary.batches * 3);
        let counts = counts.lock().unwrap();
        let texts: Vec<_> = counts.iter().map(|(_, text)| text.clone()).collect();
        let want: Vec<_> = expected(1..=summary.batches).into_iter().map(|(_, t)| t).collect();
        assert_eq!(texts, want);
        assert!(counts.windows(2).all(|pair| pair[1].0 == pair[0].0 + 2), "{counts:?}");
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
    let summary = run(counting(|_| Ok(())), config(), vec![source], sinks, &mut (), stop).unwrap();
    assert_eq!((summary.batches, counts.lock().unwrap().len()), (0, 0));
}

#[test]
fn a_source_or_an_output_that_fails_stops_the_job_after_the_batches_before() {
    for immediate in [true, false] {
        let ((first, counts), (second, _)) = (memory(), memory());
        let sinks: Vec<Box<dyn Sink>> = vec![Box::new(first), Box::new(second)];
        let source = Numbers { fails_at: Some(4), immediate, ..Numbers::new(9) };
        let job = counting(|_| Ok(()));
        let error = run(job, config(), vec![Box::new(source)], sinks, &mut (), StopHandle::new())
            .unwrap_err();
        assert!(matches!(&error, JobError::Source { name, .. } if name == "views"), "{error}");
        assert_eq!(*counts.lock().unwrap(), expected(1..=3));

        let ((mut first, counts), (second, _)) = (memory(), memory());
        (first.immediate, first.fails_at) = (immediate, Some(4000));
        let sinks: Vec<Box<dyn Sink>> = vec![Box::new(first), Box::new(second)];
        let source = Box::new(Numbers::new(9));
        let job = counting(|_| Ok(()));
        let error =
            run(job, config(), vec![source], sinks, &mut (), StopHandle::new()).unwrap_err();
        assert!(matches!(&error, JobError::Output { name, .. } if name == "counts"), "{error}");
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
        let error =
            run(job, config(), vec![source], sinks, &mut (), StopHandle::new()).unwrap_err();
        assert!(error.to_string().contains("source `views` panicked: oh"), "{error}");
    }
}

#[test]
fn dead_letters_are_seen_and_published_with_their_batch() {
    let job = {
        let mut job = counting(|_| Ok(()));
        job.stages[0] = run_stage(|cx, _| {
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
    let config = LocalConfig { dead_letters: vec![Some(Box::new(dead))], ..config() };
    let mut seen = Seen::default();
    let source = Box::new(Numbers::new(3));
    let summary = run(job, config, vec![source], sinks, &mut seen, StopHandle::new()).unwrap();
    assert_eq!(summary.sources[0].dead_letters, 1);
    assert_eq!(seen.dead.len(), 1);
    assert_eq!((seen.dead[0].0.as_str(), seen.dead[0].1.position), ("views", 5));
    let line = r#"{"split":"numbers","position":5,"reason":"no number","text":"x\"y"}"#;
    assert_eq!(*letters.lock().unwrap(), [(2000, format!("{line}\n"))]);
}

#[test]
fn dead_letters_go_to_no_output_of_another_format() {
    let ((first, _), (second, _), (dead, _)) = (memory(), memory(), memory());
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(first), Box::new(second)];
    let config = LocalConfig { dead_letters: vec![Some(Box::new(dead))], ..config() };
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
        run_stage(|cx, _| {
            no_blocks(cx);
            Ok(())
        }),
        run_stage(move |cx, _| {
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
        connectors: crate::connectors::Connectors::built_in(),
    };
    let (sink, published) = memory();
    let source = Box::new(Numbers::new(9));
    run(job, config(), vec![source], vec![Box::new(sink)], &mut (), StopHandle::new()).unwrap();
    // The ninth batch, with which the input ends, is in the window of the twelfth.
    let expected = [(2, false), (4, true), (6, false), (8, true), (10, false), (12, true)];
    assert_eq!(*runs.lock().unwrap(), expected);
    let times: Vec<_> = published.lock().unwrap().iter().map(|(time, _)| *time).collect();
    assert_eq!(times, [4000, 8000, 12_000]);
}

#[test]
fn an_engine_goes_on_from_the_journal_of_the_one_before() {
    let (store, (memory, counts)) = (Durable::volatile(), memory());
    let run = |until: Option<u64>, partitions| {
        let sink = |published: &Published| Memory { published: Arc::clone(published), ..memory };
        let sinks: Vec<Box<dyn Sink>> =
            vec![Box::new(sink(&counts)), Box::new(sink(&Published::default()))];
        let (every, until) = (Duration::from_secs(1), until.map(BatchSeq));
        let kept = Some(Kept { store: store.clone(), every, until });
        let config = LocalConfig { partitions, ..config() };
        let (job, sources) = (counting(|_| Ok(())), vec![Box::new(Numbers::new(12)) as Box<_>]);
        run_kept(&job, config, kept, sources, sinks, &mut (), &StopHandle::new())
    };
    for until in [5, 6, 9] {
        let summary = run(Some(until), 4).unwrap();
        assert!(!summary.complete);
        assert_eq!(*counts.lock().unwrap(), expected(1..=until));
        let past = Journal::look(&store, word_count().hash).unwrap().unwrap();
        assert_eq!((past.published(), past.next()), (BatchSeq(until), BatchSeq(until + 1)));
        assert!(!store.list("saves/").unwrap().is_empty());
    }
    let error = run(None, 2).unwrap_err();
    assert!(error.to_string().contains("has 4 partitions, which is fixed"), "{error}");
    assert!(run(None, 4).unwrap().complete);
    assert_eq!(*counts.lock().unwrap(), expected(1..=12));
}

fn numbers(cx: &TaskContext<'_>, target: u32, all: &[&[u64]]) -> Vec<(Partition, Block)> {
    let block = |numbers: &&[u64]| {
        let mut rows = RowsBuilder::<u64>::new(cx.buffers, 0);
        numbers.iter().for_each(|number| rows.push(*number).expect("a small block"));
        rows.finish().map(|block| (Partition(target), block))
    };
    all.iter().filter_map(block).collect()
}

#[test]
fn blocks_reach_those_they_are_for_once_in_order_of_producers() {
    let mut job = counting(|_| Ok(()));
    // Producer p sends to partition t the numbers 10p + t and 100 + 10p + t, in a block each, as if one
    // would have been too large.
    job.stages[0] = run_stage(|cx, _| {
        let own = u64::from(cx.task.partition.0) * 10;
        let to = |target: u32| {
            let number = own + u64::from(target);
            numbers(cx, target, &[&[number], &[number + 100]])
        };
        let blocks = (0..4).flat_map(to).collect();
        cx.made.tails.push(TailMade::Blocks(blocks));
        Ok(())
    });
    job.stages[1] = run_stage(|cx, _| {
        let mut read = Vec::new();
        for block in &cx.inputs[0] {
            read.extend(block.get()?.rows::<u64>()?.iter());
        }
        part(cx, &[format!("{read:?}")]);
        no_blocks(cx);
        Ok(())
    });
    let ((first, counts), (second, _)) = (memory(), memory());
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(first), Box::new(second)];
    let source = Box::new(Numbers { inputs: 4, ..Numbers::new(3) });
    run(job, config(), vec![source], sinks, &mut (), StopHandle::new()).unwrap();
    let text: String = (0..4)
        .map(|t| {
            let all: Vec<u64> = (0..4).flat_map(|p| [10 * p + t, 100 + 10 * p + t]).collect();
            format!("{all:?}\n")
        })
        .collect();
    let want: Vec<_> = (1..=3).map(|batch| (batch * 1000, text.clone())).collect();
    assert_eq!(*counts.lock().unwrap(), want);
}

#[test]
fn a_job_with_the_wrong_number_of_ends_is_refused() {
    let job = counting(|_| Ok(()));
    let error = run(job, config(), Vec::new(), Vec::new(), &mut (), StopHandle::new()).unwrap_err();
    assert!(matches!(error, JobError::Mismatch { what: "sources", expected: 1, given: 0 }));
}
