//! The job of a simulated cluster, built like a compiled one: counts words, overall or in a window.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::driver::cluster::JobSetup;
use crate::exec::flow::{combined, keyed, merge, running, window_reduce_inverse};
use crate::exec::head::Span;
use crate::exec::job::{Builder, BuiltJob};
use crate::exec::tail::{Combine, Output, Spread};
use crate::id::{OutputId, SourceId, StageId};
use crate::plan::{Dependency, Plan, TailRow, Tasks};
use crate::record::Format;
use crate::sched::simulation::Seed;
use crate::sched::testplan::{plan, reading, shuffled, stage};
use crate::sink::Published;
use crate::source::receive::PushSource;
use crate::source::{self, Cut, OpenOptions, Source, TextLines};

/// The batch interval.
pub(super) const INTERVAL: Duration = Duration::from_millis(120);
/// Batches per window.
const WINDOW: u64 = 3;

pub(super) const OUTPUT: &str = "counts";

type Sum = fn(&mut u64, u64);
type Counted = (Combine<String, u64, Sum>, ());
type Pane = (Spread<String, u64, true>, ());
type Shown = (Output<(String, u64)>, ());

/// The input and the kind of counting.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job {
    /// Over the last batches instead of all.
    has_window: bool,
    input: Input,
    plan: &'static Plan,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Input {
    /// Few words: blocks fit into messages.
    Few,
    /// Many words: blocks are sent beside messages.
    Many,
    /// Lines pushed by a client.
    Pushed,
}

impl Job {
    pub(super) fn new(is_pushed: bool, seed: &mut Seed) -> Self {
        let has_window = seed.one_in(2) && !is_pushed;
        let input = match seed.one_in(3) {
            _ if is_pushed => Input::Pushed,
            true => Input::Many,
            false => Input::Few,
        };
        let output = TailRow::Output(OutputId(0));
        let plan = match has_window {
            false => plan(1, vec![reading(), shuffled(0).state().tail(output)]),
            true => {
                let windowed = stage(Tasks::PerPartition).reads(Dependency::Narrow, &[(1, 0)]);
                let windowed = windowed.window(WINDOW as u32, 1).tail(output);
                plan(1, vec![reading(), shuffled(0).tail(TailRow::Keep), windowed])
            }
        };
        Self { has_window, input, plan }
    }

    /// The same in all processes of a world.
    pub(super) fn plan(self) -> &'static Plan {
        self.plan
    }

    pub(super) fn is_pushed(self) -> bool {
        self.input == Input::Pushed
    }

    fn url(self) -> &'static str {
        // A whole number of lines per batch.
        match self.input {
            Input::Few => "generate://words?rate=500&words=40&line=30",
            Input::Many => "generate://words?rate=10000&words=9000&line=30",
            Input::Pushed => "tcp://127.0.0.1:1",
        }
    }

    pub(super) fn build(self, setup: &JobSetup) -> BuiltJob {
        let mut job = Builder::new(self.plan, setup.bindings());
        let lines = job.source::<TextLines>(SourceId(0), self.url());
        let (words, ()) = job.stage(StageId(0), lines, |line: &str, tails: &mut Counted| {
            line.split_whitespace().for_each(|word| tails.0.push((word, 1u64)));
        });
        let sum: Sum = |sum, n| *sum += n;
        let counted = combined([words], sum);
        let show = |(word, count): (&str, u64), tails: &mut Shown| tails.0.push((word, count));
        let (shown, ()) = match self.has_window {
            false => job.stage(StageId(1), running(&counted), show),
            true => {
                let keep =
                    |(word, count): (&str, u64), tails: &mut Pane| tails.0.push((word, count));
                let (pane, ()) = job.stage(StageId(1), merge(&counted), keep);
                let span = Span { batches: WINDOW };
                let window = window_reduce_inverse(&keyed([pane]), span, sum, |sum, n| *sum -= n);
                job.stage(StageId(2), window, show)
            }
        };
        job.output(OutputId(0), shown, "memory");
        job.finish()
    }

    /// Opens the source as a master does.
    pub(super) fn open(self) -> (Box<dyn Source>, Option<PushSource>) {
        if !self.is_pushed() {
            return (self.lines(), None);
        }
        let pushed = PushSource::open(self.url(), SourceId(0)).expect("a source that is pushed");
        (Box::new(pushed.clone()), Some(pushed))
    }

    fn lines(self) -> Box<dyn Source> {
        let options = OpenOptions { interval: INTERVAL, ..OpenOptions::default() };
        source::open(self.url(), Format::Text, &options).expect("a generator")
    }
}

type Counts = BTreeMap<String, u64>;

/// The expected output, computed from the lines alone.
pub(super) struct Expected {
    job: Job,
    /// `None` if a client sends the lines, each a unique word.
    source: Option<Box<dyn Source>>,
    /// The counts of each of the last batches.
    panes: VecDeque<Counts>,
    all: Counts,
}

impl Expected {
    pub(super) fn new(job: Job) -> Self {
        let (panes, all) = (VecDeque::new(), Counts::new());
        Self { job, source: (!job.is_pushed()).then(|| job.lines()), panes, all }
    }

    /// The number of a client's words seen.
    pub(super) fn words(&self) -> u64 {
        self.all.len() as u64
    }

    /// Checks the words seen in a batch.
    fn fits(&mut self, seen: &Counts) -> Result<(), String> {
        let silent = self.silent();
        let Some(source) = &mut self.source else {
            for (word, count) in seen {
                if *count != 1 || self.all.insert(word.clone(), 1).is_some() {
                    return Err(format!("`{word}` counts twice"));
                }
            }
            return Ok(());
        };
        if *seen == silent {
            // A missed batch, or the job's last one. If its lines were lost, the next batch fails the check.
            self.push(Counts::new());
            return Ok(());
        }
        let cut = source.cut(1).expect("a generator does not fail");
        let must = self.next(&cut);
        if *seen == must {
            return Ok(());
        }
        let wrong = |(word, n): &(&String, &u64)| seen.get(*word) != Some(*n);
        let lacks = must.iter().find(wrong).map(|(word, n)| (word, n, seen.get(word)));
        Err(format!("there are {} words, and {} must be: {lacks:?}", seen.len(), must.len()))
    }

    /// The counts of the next batch's words.
    fn next(&mut self, cut: &Cut) -> Counts {
        let mut text = Vec::new();
        for input in &cut.inputs {
            let read = input.data.read(&mut |piece| text.extend_from_slice(piece.bytes));
            read.expect("a generator does not fail");
        }
        let mut pane = Counts::new();
        for word in String::from_utf8_lossy(&text).split_whitespace() {
            *pane.entry(word.to_owned()).or_default() += 1;
        }
        if !self.job.has_window {
            for (word, count) in &mut pane {
                let all = self.all.entry(word.clone()).or_default();
                *all += *count;
                *count = *all;
            }
            return pane;
        }
        self.push(pane);
        total(&self.panes)
    }

    fn push(&mut self, pane: Counts) {
        self.panes.push_back(pane);
        if self.panes.len() as u64 > WINDOW {
            self.panes.pop_front();
        }
    }

    /// The same for a batch without lines.
    fn silent(&self) -> Counts {
        let gone = (self.panes.len() + 1).saturating_sub(WINDOW as usize);
        total(self.panes.iter().skip(gone))
    }
}

fn total<'c>(panes: impl IntoIterator<Item = &'c Counts>) -> Counts {
    let mut total = Counts::new();
    for (word, count) in panes.into_iter().flatten() {
        *total.entry(word.clone()).or_default() += count;
    }
    total
}

/// Checks what was published from some batch on; returns the number of batches. Batches are consecutive,
/// except where skipped ones would be empty.
pub(super) fn check(
    published: &Published,
    expected: &mut Expected,
    from: usize,
    partitions: u32,
) -> Result<usize, String> {
    let published = published.lock().expect("no panic while it is locked");
    let mut count = 0;
    let last = from.checked_sub(1).and_then(|last| published.keys().nth(last));
    let mut before = last.map(|(_, time)| time.0);
    for ((_, time), parts) in published.iter().skip(from) {
        let interval = INTERVAL.as_millis() as u64;
        let passed = before.map_or(interval, |before| time.0 - before);
        let may_miss = passed.is_multiple_of(interval) && expected.silent().is_empty();
        if passed != interval && !may_miss {
            return Err(format!("a batch is missing before that of {time}"));
        }
        before = Some(time.0);
        count += 1;
        let mut seen = BTreeMap::new();
        for part in parts {
            if part.partition.0 >= partitions {
                return Err(format!("{time}: there is no {}", part.partition));
            }
            for line in part.bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let line = String::from_utf8_lossy(line);
                let Some((word, n)) = line.split_once('\t') else {
                    return Err(format!("{time}: `{line}` is no word with a count"));
                };
                if seen.insert(word.to_owned(), n.parse().unwrap_or(0)).is_some() {
                    return Err(format!("{time}: `{word}` is there twice"));
                }
            }
        }
        expected.fits(&seen).map_err(|wrong| format!("the batch of {time}: {wrong}"))?;
    }
    Ok(count)
}
