//! States that are saved in pieces: what is loaded from them is what was saved, and a job goes on from there with
//! the same bytes as one that was never saved. Batches, tasks that fail, saves and losses are random.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;
use crate::exec::catch::catch;
use crate::exec::context::Context;
use crate::exec::flow::track;
use crate::exec::head::{Expiring, Firsts, Remembered};
use crate::exec::keyed::{KeyContext, Out, State as Kept, give};
use crate::record::AsRecord;

/// What happens with a batch.
#[derive(Debug, Clone)]
struct Step {
    /// How many batches before this one have no task.
    skipped: u64,
    /// The keys that it brings, in two blocks.
    keys: (Vec<u8>, Vec<u8>),
    /// Its first run fails.
    fails: bool,
    /// The state is saved: before its task runs again, or has run.
    saved: (bool, bool),
    /// The state is lost after that.
    lost: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let keys = || proptest::collection::vec(0..40u8, 0..12);
    let flag = |chance: f64| proptest::bool::weighted(chance);
    let flags = (flag(0.2), (flag(0.3), flag(0.5)), flag(0.2));
    (0..3u64, (keys(), keys()), flags).prop_map(|(skipped, keys, (fails, saved, lost))| Step {
        skipped,
        keys,
        fails,
        saved,
        lost,
    })
}

/// A pane of a batch: every key stands once.
fn pane<V: Record>(step: &Step, batch: u64, value: impl Fn(u64) -> V) -> Vec<Block> {
    let mut seen = Vec::new();
    let mut blocks = Vec::new();
    for keys in [&step.keys.0, &step.keys.1] {
        let mut rows = KeyedBuilder::<V>::new(&BufferPool::new(0), None, 0);
        for key in keys {
            if !seen.contains(key) {
                seen.push(*key);
                let text = format!("key {key} {}", "of some length ".repeat(usize::from(key % 3)));
                let value = value(batch + u64::from(*key));
                rows.push(text.as_bytes(), hash_key(text.as_bytes()), value.view()).unwrap();
            }
        }
        blocks.extend(rows.finish(keyed_schema::<String, V>()));
    }
    blocks
}

/// What a saved state says.
fn content(saved: &SavedState) -> Vec<(u64, u64)> {
    let sum = |(tag, block): &(u64, KeptBlock)| (*tag, block.get().unwrap().checksum());
    saved.parts.iter().map(sum).collect()
}

/// A stage whose state is saved and lost, beside one whose state is not; how often only changes were saved.
struct Beside<S> {
    stage: S,
    /// The functions of the first one panic.
    fails: Arc<AtomicBool>,
    state: Option<State>,
    /// The last two times that it was marked: what it was saved as.
    marks: VecDeque<Vec<SavedState>>,
    changes: u32,
}

impl<S: RunStage> Beside<S> {
    fn travel(&self, mut saved: SavedState) -> SavedState {
        for (tag, block) in &mut saved.parts {
            let door = self.stage.state_door(*tag).unwrap();
            *block = door(block.get().unwrap().to_bytes().into()).unwrap().into();
        }
        saved
    }

    /// Saves the state as a worker does; `ahead`, if a task has failed that had begun to change what is derived.
    fn save(&mut self, ahead: bool) -> Result<(), TestCaseError> {
        let Some(mut state) = self.state.take() else { return Ok(()) };
        let whole = self.stage.save(&state).unwrap();
        let before = if self.marks.len() == 2 { self.marks.pop_front() } else { None };
        let changes = self.stage.changes(&state).unwrap();
        let chain = match (before, changes) {
            (Some(mut chain), Some(changes)) if chain.len() < 5 => {
                self.changes += 1;
                chain.push(self.travel(changes));
                chain
            }
            _ => vec![self.travel(whole.clone())],
        };
        self.stage.mark(&mut state).unwrap();
        let loaded = self.stage.load(&chain).unwrap().unwrap();
        let again = self.stage.save(&loaded).unwrap();
        if !ahead || chain.len() == 1 {
            prop_assert_eq!(content(&again), content(&whole), "{} objects", chain.len());
        }
        self.marks.push_back(chain);
        self.state = Some(state);
        Ok(())
    }

    /// Another worker goes on from what was saved last.
    fn lose(&mut self) {
        let Some(chain) = self.marks.pop_back() else { return };
        let mut state = self.stage.load(&chain).unwrap();
        state.iter_mut().for_each(|state| self.stage.mark(state).unwrap());
        (self.state, self.marks) = (state, VecDeque::from([chain]));
    }

    /// A run that fails, unless there is nothing at which it could: then it counts.
    fn fail(&mut self, batch: u64, input: Vec<Block>) -> Option<Made> {
        self.fails.store(true, Ordering::Relaxed);
        let made = catch(|| run(&self.stage, batch, input, &mut self.state));
        self.fails.store(false, Ordering::Relaxed);
        made.ok()
    }
}

/// Runs the batches both ways; how often only changes were saved.
fn check<H, R>(
    head: impl Fn() -> H,
    steps: &[Step],
    input: impl Fn(&Step, u64) -> Vec<Block>,
) -> Result<u32, TestCaseError>
where
    H: Head<Record = R>,
    R: Record,
    for<'a> R::View<'a>: AsRecord<Record = R>,
{
    let stage = |fails: Arc<AtomicBool>| {
        let kernel = move |view: R::View<'_>, tails: &mut (Rows<R>, ())| {
            assert!(!fails.load(Ordering::Relaxed), "unlucky");
            tails.0.push(view);
        };
        Stage { name: NAME, head: head(), kernel, recipes: Arc::default() }
    };
    let fails = Arc::new(AtomicBool::new(false));
    let (other, mut untouched) = (stage(Arc::default()), None);
    let stage = stage(fails.clone());
    let mut one = Beside { stage, fails, state: None, marks: VecDeque::new(), changes: 0 };
    let mut batch = 0;
    for step in steps {
        batch += 1 + step.skipped;
        let counts = if step.fails { one.fail(batch, input(step, batch)) } else { None };
        if step.saved.0 {
            one.save(step.fails && counts.is_none())?;
            if step.lost {
                one.lose();
            }
        }
        let again = || run(&one.stage, batch, input(step, batch), &mut one.state);
        let here = counts.unwrap_or_else(again);
        let there = run(&other, batch, input(step, batch), &mut untouched);
        let bytes = |made| blocks(made, 0).iter().map(Block::checksum).collect::<Vec<_>>();
        prop_assert_eq!(bytes(&here), bytes(&there), "batch {}", batch);
        if step.saved.1 {
            one.save(false)?;
            if step.lost {
                one.lose();
            }
        }
    }
    Ok(one.changes)
}

/// A time span of the heads that forget, which is a number of batches here.
const TIMEOUT: u64 = 9;

/// A head whose keys have states, timeouts and timers, which set and remove each other.
fn tracking() -> impl Head<Record = (String, u64)> {
    let record = |key: &str,
                  n: u64,
                  state: &mut Kept<u64>,
                  cx: &mut KeyContext<'_>,
                  out: &mut PairOut<'_>| {
        let sum = *state.or_insert(0) + n;
        state.set(sum);
        if n % 5 < 2 {
            cx.timer(cx.batch_time() + n % 7);
        }
        if n.is_multiple_of(11) {
            state.remove();
        }
        give(out, &(key, sum));
    };
    let timed_out = |key: &str, sum: u64, cx: Context<'_>, out: &mut PairOut<'_>| {
        give(out, &(key, sum * 1000 + cx.batch_time()));
    };
    let timer = |key: &str,
                 at: u64,
                 state: &mut Kept<u64>,
                 cx: &mut KeyContext<'_>,
                 out: &mut PairOut<'_>| {
        match state.get_mut() {
            Some(sum) if *sum % 3 == 0 => cx.timer(at + 4),
            Some(sum) if *sum % 3 == 1 => *sum += 1,
            _ => drop(state.remove()),
        }
        give(out, &(key, at));
    };
    track(&keyed::<String, u64, false, 0>([]), record, timed_out, timer, Some(TIMEOUT), 1)
}

type PairOut<'e> = Out<'e, (String, u64)>;

fn span() -> Span {
    Span { batches: 12 }
}

#[test]
fn what_is_saved_in_pieces_is_what_is_saved_whole() {
    let changes = RefCell::new([0; 10]);
    let steps = proptest::collection::vec(step(), 1..60);
    TestRunner::deterministic()
        .run(&steps, |steps| {
            let texts = |step: &Step, batch| pane(step, batch, |n| n.to_string());
            let numbers = |step: &Step, batch| pane(step, batch, |n| n);
            let floats = |step: &Step, batch| pane(step, batch, |n| n as f64 / 3.0);
            let rows = |step: &Step, batch| {
                let all = step.keys.0.iter().chain(&step.keys.1);
                rows_of(&all.map(|key| (format!("{key}"), batch)).collect::<Vec<_>>())
            };
            let append = |all: &mut String, more: &str| all.push_str(more);
            let reduce = |inverse: Option<Sum>| WindowReduce {
                span: span(),
                merge: Arc::new(SUM),
                inverse,
                types: PhantomData::<fn() -> (String, u64)>,
            };
            let refold = || WindowReduce {
                span: span(),
                merge: Arc::new(|sum: &mut f64, x: f64| *sum += x),
                inverse: None::<fn(&mut f64, f64)>,
                types: PhantomData::<fn() -> (String, f64)>,
            };
            let window = || Window::<Pair> { span: span(), record: PhantomData };
            let running = || Running::<String, u64, Sum>::new(Arc::new(SUM));
            let texts_of = || Running::<String, String, _>::new(Arc::new(append));
            let expiring = || Expiring::<String, u64, Sum>::new(Arc::new(SUM), TIMEOUT);
            let first = |_: &mut u64, _: u64| {};
            let firsts = |remembered| Firsts::<String, u64, _>::new(Arc::new(first), remembered);
            let counts = [
                check(expiring, &steps, numbers)?,
                check(|| firsts(Remembered::FromFirst(TIMEOUT)), &steps, numbers)?,
                check(|| firsts(Remembered::FromLast(TIMEOUT)), &steps, numbers)?,
                check(tracking, &steps, numbers)?,
                check(running, &steps, numbers)?,
                check(texts_of, &steps, texts)?,
                check(window, &steps, rows)?,
                check(|| reduce(None), &steps, numbers)?,
                check(|| reduce(Some(|sum, n| *sum -= n)), &steps, numbers)?,
                check(refold, &steps, floats)?,
            ];
            let mut all = changes.borrow_mut();
            all.iter_mut().zip(counts).for_each(|(all, count)| *all += count);
            Ok(())
        })
        .unwrap();
    let changes = changes.into_inner();
    assert!(changes.iter().all(|count| *count > 100), "{changes:?}");
}
