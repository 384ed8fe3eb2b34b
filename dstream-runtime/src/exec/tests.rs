//! What a stage makes, and the state it keeps, can be opened by another process.

mod chains;

use std::marker::PhantomData;
use std::sync::Arc;

use super::flow::{combined, count, keyed, reduce, top_k};
use super::head::{RowsOf, Running, Span, Window, WindowReduce};
use super::poison::Poisoned;
use super::stage::{Head, RunStage, Stage};
use super::state::{StageName, State};
use super::tail::{Combine, Fold, Output, Rows, Spread, Tails, Tally, Top};
use super::task::{Made, SavedState, TailMade, TaskContext, TaskError};
use crate::block::{Block, BufferPool, DecodeError, KeyedBuilder, RowsBuilder, keyed_schema};
use crate::exec::table::hash_key;
use crate::id::{BatchSeq, Partition, StageId, TailId, TaskId};
use crate::record::Record;
use crate::store::KeptBlock;
use crate::time::BatchTime;

/// What errors call the stages of these tests.
const NAME: StageName = StageName { id: StageId(4), stream: "counts" };

type Pair = (String, u64);
type Sum = fn(&mut u64, u64);

const SUM: Sum = |sum, n| *sum += n;

fn names(batch: u64) -> Vec<Pair> {
    (0..9).map(|i| (format!("a name of some length {}", i * batch % 7), i)).collect()
}

fn rows_of(pairs: &[Pair]) -> Vec<Block> {
    let mut rows = RowsBuilder::<Pair>::new(&BufferPool::new(0), 0);
    pairs.iter().for_each(|pair| rows.push(pair.view()).unwrap());
    rows.finish().into_iter().collect()
}

fn keyed_of<V: Record>(pairs: &[Pair], value: impl Fn(u64) -> V) -> Vec<Block> {
    let mut rows = KeyedBuilder::<V>::new(&BufferPool::new(0), None, 0);
    for (key, n) in pairs {
        // Windows take panes in which every key stands once.
        if pairs.iter().position(|(other, _)| other == key) == Some(*n as usize) {
            rows.push(key.as_bytes(), hash_key(key.as_bytes()), value(*n).view()).unwrap();
        }
    }
    rows.finish(keyed_schema::<String, V>()).into_iter().collect()
}

fn run(stage: &dyn RunStage, batch: u64, inputs: Vec<Block>, state: &mut Option<State>) -> Made {
    try_run(stage, batch, inputs, state).unwrap()
}

fn try_run(
    stage: &dyn RunStage,
    batch: u64,
    inputs: Vec<Block>,
    state: &mut Option<State>,
) -> Result<Made, TaskError> {
    let task = TaskId { batch: BatchSeq(batch), stage: StageId(0), partition: Partition(0) };
    let mut context = TaskContext {
        task,
        time: BatchTime(batch),
        partitions: 3,
        emits: true,
        inputs: &[inputs.into_iter().map(KeptBlock::from).collect()],
        source: None,
        reading: Default::default(),
        reach: &[],
        buffers: &BufferPool::new(0),
        outputs: &[],
        poisoned: Poisoned::default(),
        made: Made::default(),
    };
    stage.run(&mut context, state)
}

fn blocks(made: &Made, tail: usize) -> Vec<Block> {
    match &made.tails[tail] {
        TailMade::Blocks(blocks) => blocks.iter().map(|(_, block)| block.clone()).collect(),
        TailMade::Part { .. } => Vec::new(),
    }
}

type AllTails = (
    Combine<String, u64, Sum>,
    (
        Spread<String, u64, false>,
        (Spread<String, u64, true>, (Rows<Pair>, (Fold<u64, Sum>, (Tally, More)))),
    ),
);
type More = (Top<u64, String>, (Output<String>, ()));

#[test]
fn every_tail_has_the_door_of_its_own_blocks() {
    let recipes = Arc::<<AllTails as Tails>::Recipes>::default();
    let (combine, (spread, (own, (_, (fold, (tally, (top, _))))))) = AllTails::slots(&recipes);
    combined([combine], SUM);
    keyed([spread]);
    keyed([own]);
    let (_, _, _) = (reduce([fold], SUM), count([tally]), top_k([top], 2));
    let kernel = |(name, n): (&str, u64), tails: &mut AllTails| {
        let (combine, (spread, (own, (rows, (fold, (tally, (top, (output, ())))))))) = tails;
        combine.push((name, n));
        spread.push((name, n));
        own.push((name, n));
        rows.push((name, n));
        fold.push(n);
        tally.push(n);
        top.push(n, name);
        output.push(name);
    };
    let stage = Stage { name: NAME, head: RowsOf::<Pair>(PhantomData), kernel, recipes };
    let made = run(&stage, 1, rows_of(&names(1)), &mut None);
    // Tails of one number have blocks of one type.
    let types = [0, 0, 0, 1, 2, 2, 3];
    let doors = [0, 1, 2, 3, 4, 5, 6].map(|tail| stage.door(TailId(tail)).unwrap());
    for (tail, of) in types.iter().enumerate() {
        let blocks = blocks(&made, tail);
        assert!(!blocks.is_empty(), "tail {tail}");
        for block in blocks {
            for (door, lets_in) in doors.iter().zip(types) {
                match door(block.to_bytes().into()) {
                    Ok(same) => {
                        assert_eq!(lets_in, *of);
                        assert_eq!(same.to_bytes()[..], block.to_bytes()[..]);
                    }
                    Err(DecodeError::Kind { .. } | DecodeError::Schema { .. }) => {
                        assert_ne!(lets_in, *of);
                    }
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }
    assert!(stage.door(TailId(7)).is_none(), "an output makes no blocks");
    assert!(stage.door(TailId(8)).is_none(), "there is no such tail");
}

/// Moves the state after every batch; what comes out is what comes out where it stays.
fn moves<H, R>(head: impl Fn() -> H, input: impl Fn(u64) -> Vec<Block>, foreign: &Block)
where
    H: Head<Record = R>,
    R: Record,
    for<'a> R::View<'a>: crate::record::AsRecord<Record = R>,
{
    let stage = || {
        let kernel = |view: R::View<'_>, tails: &mut (Rows<R>, ())| tails.0.push(view);
        Stage { name: NAME, head: head(), kernel, recipes: Arc::default() }
    };
    let (stays, mut state) = (stage(), None);
    let mut moved: Option<SavedState> = None;
    let mut parts = 0;
    for batch in 1..=7 {
        let here = run(&stays, batch, input(batch), &mut state);
        let new_owner = stage();
        let mut there =
            moved.as_ref().and_then(|saved| new_owner.load(std::slice::from_ref(saved)).unwrap());
        let made = run(&new_owner, batch, input(batch), &mut there);
        let bytes = |made| blocks(made, 0).iter().map(Block::to_bytes).collect::<Vec<_>>();
        let same =
            bytes(&here).iter().map(|b| b.to_vec()).eq(bytes(&made).iter().map(|b| b.to_vec()));
        assert!(same, "batch {batch}");
        let mut saved = new_owner.save(&there.unwrap()).unwrap();
        for (tag, block) in &mut saved.parts {
            let door = stays.state_door(*tag).unwrap();
            *block = door(block.get().unwrap().to_bytes().into()).unwrap().into();
            assert!(door(foreign.to_bytes().into()).is_err());
            parts += 1;
        }
        moved = Some(saved);
    }
    assert!(parts >= 7);
}

#[test]
fn state_moves_through_the_doors_of_its_stage() {
    let foreign = &keyed_of(&names(1), |n| n.to_string())[0];
    let span = Span { batches: 3 };
    let sums = |batch| keyed_of(&names(batch), |n| n);
    moves(|| Window::<Pair> { span, record: PhantomData }, |n| rows_of(&names(n)), foreign);
    moves(|| Running::<String, u64, Sum>::new(Arc::new(SUM)), sums, foreign);
    let reduce = |inverse: Option<Sum>| WindowReduce {
        span,
        merge: Arc::new(SUM),
        inverse,
        types: PhantomData::<fn() -> (String, u64)>,
    };
    moves(|| reduce(None), sums, foreign);
    moves(|| reduce(Some(|sum, n| *sum -= n)), sums, foreign);
    let floats = |batch| keyed_of(&names(batch), |n| n as f64 / 3.0);
    let merge = |sum: &mut f64, x: f64| *sum += x;
    let types = PhantomData::<fn() -> (String, f64)>;
    let refold = || WindowReduce { span, merge: Arc::new(merge), inverse: Some(merge), types };
    moves(refold, floats, foreign);
}

#[test]
fn a_stage_without_state_has_no_door_for_it() {
    let kernel = |view: (&str, u64), tails: &mut (Rows<Pair>, ())| tails.0.push(view);
    let stage =
        Stage { name: NAME, head: RowsOf::<Pair>(PhantomData), kernel, recipes: Arc::default() };
    assert!(stage.state_door(0).is_none());
}

/// A stage of rows that are passed on.
fn passing<H, R>(head: H) -> impl RunStage
where
    H: Head<Record = R>,
    R: Record,
    for<'a> R::View<'a>: crate::record::AsRecord<Record = R>,
{
    let kernel = |view: R::View<'_>, tails: &mut (Rows<R>, ())| tails.0.push(view);
    Stage { name: NAME, head, kernel, recipes: Arc::default() }
}

#[test]
fn a_state_of_another_type_is_an_error() {
    let span = Span { batches: 3 };
    let types = PhantomData::<fn() -> (String, u64)>;
    let reduce = |inverse: Option<Sum>| WindowReduce { span, merge: Arc::new(SUM), inverse, types };
    let sums = || keyed_of(&names(1), |n| n);
    let rows = || rows_of(&names(1));
    let stages: [(Box<dyn RunStage>, Vec<Block>); 5] = [
        (Box::new(passing(Window::<Pair> { span, record: PhantomData })), rows()),
        (Box::new(passing(Running::<String, u64, Sum>::new(Arc::new(SUM)))), sums()),
        (Box::new(passing(reduce(None))), sums()),
        (Box::new(passing(reduce(Some(|sum, n| *sum -= n)))), sums()),
        (Box::new(passing(RowsOf::<Pair>(PhantomData))), rows()),
    ];
    let refused = |what: &str, result: Result<(), TaskError>| {
        let text = result.expect_err(what).to_string();
        assert!(text.starts_with("stage 4 (`counts`) was given a state of type `"), "{text}");
    };
    for (stage, input) in &stages {
        // A number is no stage's state; nor is that of a stage of the same kind with other records.
        for mut foreign in [State::new(7u64), state_of_floats()] {
            refused("save", stage.save(&foreign).map(drop));
            refused("changes", stage.changes(&foreign).map(drop));
            refused("mark", stage.mark(&mut foreign));
            let mut foreign = Some(foreign);
            refused("run", try_run(&**stage, 2, input.clone(), &mut foreign).map(drop));
            assert!(foreign.is_some(), "the state is as it was");
        }
    }
}

/// The state of a `running_reduce` over floats.
fn state_of_floats() -> State {
    let merge: fn(&mut f64, f64) = |sum, x| *sum += x;
    let stage = passing(Running::<String, f64, fn(&mut f64, f64)>::new(Arc::new(merge)));
    let mut state = None;
    run(&stage, 1, keyed_of(&names(1), |n| n as f64), &mut state);
    state.expect("it keeps a state")
}
