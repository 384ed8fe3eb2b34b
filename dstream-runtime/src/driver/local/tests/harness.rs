//! Hand-written stages, sources, outputs and an observer for jobs under test.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::*;
use crate::block::{Block, BlockDecoder, BufferPool};
use crate::exec::stage::RunStage;
use crate::exec::state::{StageName, State};
use crate::exec::task::{Made, SavedState, TailMade};
use crate::record::Format;
use crate::sink::{Batch, Part};
use crate::source::{Cut, Input, Piece, Range, ReadRange};

/// A stage that is a function; its state is a number.
pub(super) struct Run<F>(F);

/// What errors call these stages.
const NAME: StageName = StageName { id: StageId(0), stream: "numbers" };

impl<F> RunStage for Run<F>
where
    F: Fn(&mut TaskContext<'_>, &mut Option<State>) -> Result<(), TaskError> + Send + Sync,
{
    fn run(&self, cx: &mut TaskContext<'_>, state: &mut Option<State>) -> Result<Made, TaskError> {
        (self.0)(cx, state)?;
        Ok(std::mem::take(&mut cx.made))
    }

    fn save(&self, state: &State) -> Result<SavedState, TaskError> {
        let mut buffer = BufferPool::new(0).take(8);
        buffer.bytes_mut().extend_from_slice(&state.get::<u64>(NAME)?.to_le_bytes());
        Ok(SavedState::whole(vec![(0, Block::raw(buffer).into())]))
    }

    fn load(&self, chain: &[SavedState]) -> Result<Option<State>, TaskError> {
        let Some((_, block)) = chain.last().and_then(|saved| saved.parts.first()) else {
            return Ok(None);
        };
        let bytes = block.get()?.raw_bytes()?.try_into().expect("the bytes of a number");
        Ok(Some(State::new(u64::from_le_bytes(bytes))))
    }

    fn state_door(&self, _: u64) -> Option<BlockDecoder> {
        Some(Block::open_raw)
    }
}

pub(super) fn run_stage(
    run: impl Fn(&mut TaskContext<'_>, &mut Option<State>) -> Result<(), TaskError>
    + Send
    + Sync
    + 'static,
) -> Arc<dyn RunStage> {
    Arc::new(Run(run))
}

pub(super) fn no_blocks(cx: &mut TaskContext<'_>) {
    cx.made.tails.push(TailMade::Blocks(Vec::new()));
}

pub(super) fn part(cx: &mut TaskContext<'_>, lines: &[String]) {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let part = Part {
        partition: cx.task.partition,
        records: lines.len() as u64,
        bytes: Arc::new(text.clone().into_bytes()),
        header: Arc::from([]),
    };
    cx.made.tails.push(TailMade::Part { part, preview: text.into_bytes() });
}

/// Gives numbers: batch n of source brings `per_input` records in each of its inputs.
pub(super) struct Numbers {
    pub(super) cuts: u64,
    pub(super) batches: u64,
    pub(super) inputs: usize,
    pub(super) live: bool,
    pub(super) immediate: bool,
    pub(super) stopped: bool,
    pub(super) fails_at: Option<u64>,
}

impl Numbers {
    pub(super) fn new(batches: u64) -> Self {
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

pub(super) struct Nothing;

impl ReadRange for Nothing {
    fn read(&self, _: &mut dyn FnMut(Piece<'_>)) -> Result<(), SourceError> {
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
            return Err(SourceError::Io { doing: "read", what: "numbers".into(), error });
        }
        let ended = self.stopped || (!self.live && self.cuts == self.batches);
        let range = |input: usize| Range {
            split: "numbers".into(),
            start: self.cuts * 100 + input as u64,
            end: self.cuts * 100 + input as u64 + 1,
        };
        let inputs = (0..self.inputs.min(partitions))
            .map(|input| Input { ranges: vec![range(input)], data: Arc::new(Nothing) });
        let position = Some(self.cuts.to_le_bytes().to_vec().into());
        Ok(Cut { inputs: inputs.collect(), ended, position, waiting: false })
    }

    fn resume(&mut self, position: &[u8]) -> Result<(), SourceError> {
        self.cuts = u64::from_le_bytes(position.try_into().expect("the bytes of a number"));
        Ok(())
    }

    fn input(&self, ranges: &[Range]) -> Result<Input, SourceError> {
        Ok(Input { ranges: ranges.to_vec(), data: Arc::new(Nothing) })
    }

    fn immediate(&self) -> bool {
        self.immediate
    }

    fn stop(&mut self) {
        self.stopped = true;
    }
}

pub(super) type Published = Arc<Mutex<Vec<(u64, String)>>>;

/// Remembers what was published: (time, text of all parts).
pub(super) struct Memory {
    pub(super) published: Published,
    pub(super) immediate: bool,
    pub(super) format: Option<Format>,
    pub(super) fails_at: Option<u64>,
}

impl Sink for Memory {
    fn format(&self) -> Option<Format> {
        self.format
    }

    fn publish(&mut self, batch: &Batch) -> Result<(), SinkError> {
        if self.fails_at == Some(batch.time.0) {
            let error = Arc::new(io::Error::other("disk full"));
            return Err(SinkError::Io { doing: "write", what: "out".into(), error });
        }
        assert!(batch.parts.is_sorted_by_key(|part| part.partition));
        let text = batch.parts.iter().map(|part| String::from_utf8_lossy(&part.bytes)).collect();
        self.published.lock().unwrap().push((batch.time.0, text));
        Ok(())
    }

    fn immediate(&self) -> bool {
        self.immediate
    }
}

pub(super) fn memory() -> (Memory, Published) {
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
pub(super) fn counting(
    fails: impl Fn(&TaskContext<'_>) -> Result<(), TaskError> + Send + Sync + 'static,
) -> BuiltJob {
    let seen = Arc::new(AtomicU64::new(0));
    let see = Arc::clone(&seen);
    let stages = vec![
        run_stage(|cx, _| {
            let input = cx.source.expect("a source stage has an input");
            input.data.read(&mut |_| ())?;
            let ranges = input.ranges.len() as u64;
            (cx.made.records, cx.made.bytes) = (ranges, 5 * ranges);
            no_blocks(cx);
            Ok(())
        }),
        run_stage(move |cx, state| {
            fails(cx)?;
            let before = state.as_ref().map(|state| state.get::<u64>(NAME)).transpose()?;
            let sum = before.copied().unwrap_or(0) + 1;
            part(cx, &[format!("{}={sum}", cx.task.partition.0)]);
            no_blocks(cx);
            *state = Some(State::new(sum));
            see.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }),
        run_stage(move |cx, _| {
            let lines = [format!("seen {}", seen.load(Ordering::SeqCst) >= cx.task.batch.0 * 4)];
            part(cx, &lines);
            Ok(())
        }),
    ];
    BuiltJob {
        plan: word_count(),
        stages,
        sources: Vec::new(),
        outputs: Vec::new(),
        connectors: crate::connectors::Connectors::built_in(),
    }
}

pub(super) fn config() -> LocalConfig {
    let patience = Duration::ZERO;
    LocalConfig { partitions: 4, cores: 2, preview: 2, patience, ..LocalConfig::default() }
}

/// What the first output of `counting` is for these batches.
pub(super) fn expected(batches: std::ops::RangeInclusive<u64>) -> Vec<(u64, String)> {
    batches.map(|n| (n * 1000, (0..4).map(|p| format!("{p}={n}\n")).collect())).collect()
}

#[derive(Default)]
pub(super) struct Seen {
    pub(super) batches: Vec<(u64, u64, Vec<String>)>,
    pub(super) dead: Vec<(String, DeadLetter)>,
    pub(super) warnings: Vec<String>,
    pub(super) stop_at: Option<(u64, StopHandle)>,
}

impl Observer for Seen {
    fn on_batch(&mut self, report: &BatchReport<'_>) {
        let read = report.sources.iter().map(|source| source.records).sum();
        self.batches.push((report.batch.0, read, report.outputs[0].preview.clone()));
        if let Some((at, stop)) = &self.stop_at
            && *at == report.batch.0
        {
            stop.stop();
            stop.stop();
        }
    }

    fn on_dead_letters(&mut self, source: &str, letters: &[DeadLetter]) {
        self.dead.extend(letters.iter().map(|letter| (source.to_owned(), letter.clone())));
    }

    fn on_warning(&mut self, message: &str) {
        self.warnings.push(message.to_owned());
    }
}
