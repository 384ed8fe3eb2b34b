//! Random programs: what they are made of, and how one is drawn from a seed.
//!
//! Every stream carries records of one type, `(String, i64)`, so that each operator can follow each other. What makes records of
//! another type is mapped back at once. Shared by the build script, which writes the programs as Rust, and the tests.

#![allow(dead_code, reason = "each target uses a part")]

use super::random::Random;

/// How two values become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Merge {
    Add,
    Max,
    Min,
}

/// Which of the two sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

impl Side {
    /// The source's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
        }
    }
}

/// How a join treats keys that one side lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Join {
    Inner,
    Left,
    Right,
    Full,
}

/// Length and slide, in batches; for event time in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) length: u32,
    pub(crate) slide: u32,
}

/// Windows of event time, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// Written in one call with the reduction, or in two.
    Windows {
        span: Span,
        one_call: bool,
    },
    Sessions {
        gap: u32,
    },
}

/// What a window's records become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reduced {
    ByKey(Merge),
    Fold,
    Group,
    Aggregate,
    All(Merge),
    Count,
    CountByValue,
    Distinct,
}

/// An operator, with what is mapped before and after it, and its constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Source(Side),
    Timed { side: Side, slack: u32 },
    Map(i64),
    Rekey(i64),
    Filter { modulus: i64, rest: i64 },
    FilterMap,
    FlatMap(i64),
    MapValues(i64),
    FlatMapValues(i64),
    KeyBy(i64),
    Inspect,
    MapPartitions(i64),
    Union,
    ReduceByKey(Merge),
    FoldByKey,
    GroupByKey { ordered: bool },
    AggregateByKey,
    Aggregate,
    RunningAggregate,
    CountByValue,
    Distinct,
    TopK(usize),
    Sort,
    Index,
    Count,
    Reduce(Merge),
    Join(Join),
    Cogroup,
    Subtract,
    Window(Span),
    WindowBatches(Span),
    ReduceByKeyAndWindow { merge: Merge, inverse: bool, span: Span },
    GroupByKeyAndWindow { ordered: bool, span: Span },
    ReduceByWindow { merge: Merge, inverse: bool, span: Span },
    CountByWindow(Span),
    CountByValueAndWindow(Span),
    RunningReduce { merge: Merge, expire: Option<u32> },
    Latest { expire: Option<u32> },
    UpdateState,
    Track { timeout: u32 },
    DistinctWithin(u32),
    DistinctBy { expire: Option<u32> },
    EventReduce { over: Over, reduced: Reduced },
}

/// Whether the records of a stream have times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Times {
    None,
    Records,
    Windows,
}

/// What is known of a stream before it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The number of batches from one emission to the next.
    pub(crate) slide: u32,
    /// The order of its records is defined.
    pub(crate) ordered: bool,
    /// The order in which it is published is defined as well.
    pub(crate) sorted: bool,
    /// A batch has one record per key at most.
    pub(crate) unique: bool,
    /// Its records have event times.
    pub(crate) times: Times,
    /// About how many times the records of a source it may have.
    pub(crate) weight: u32,
}

/// A stream: an operator on earlier streams.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) op: Op,
    pub(crate) parents: Vec<usize>,
    pub(crate) facts: Facts,
    /// It is an output.
    pub(crate) saved: bool,
}

/// A program: streams in the order of their definition.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) nodes: Vec<Node>,
}

/// More records than this many times those of a source are not made.
const WEIGHT: u32 = 40;

impl Program {
    /// Draws a program.
    pub(crate) fn draw(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut program = Self { nodes: Vec::new() };
        let sources = [Op::Source(Side::Left), Op::Source(Side::Right)];
        let slack = 1 + random.below(3) as u32;
        let timed = [Side::Left, Side::Right].map(|side| Op::Timed { side, slack });
        match random.below(4) {
            0 => program.add_all(&timed),
            1 => program.add_all(&[sources[0], timed[1], timed[0]]),
            _ => program.add_all(&sources),
        }
        let size = program.nodes.len() + 4 + random.below(9) as usize;
        // Each operator over time and of batches in turn, so that few programs have all of them.
        program.begin(&mut random, seed);
        while program.nodes.len() < size {
            program.grow(&mut random);
        }
        program.choose_outputs(&mut random);
        program
    }

    /// The sides that it reads.
    pub(crate) fn sides(&self) -> Vec<Side> {
        let reads = |side: &Side| {
            self.nodes.iter().any(|node| match node.op {
                Op::Source(of) | Op::Timed { side: of, .. } => of == *side,
                _ => false,
            })
        };
        [Side::Left, Side::Right].into_iter().filter(reads).collect()
    }

    /// Whether it reads the source of that name.
    pub(crate) fn reads(&self, name: &str) -> bool {
        self.sides().iter().any(|side| side.name() == name)
    }

    fn add_all(&mut self, ops: &[Op]) {
        for op in ops {
            let timed = matches!(op, Op::Timed { .. });
            let times = if timed { Times::Records } else { Times::None };
            let facts =
                Facts { slide: 1, ordered: !timed, sorted: false, unique: false, times, weight: 1 };
            self.nodes.push(Node { op: *op, parents: Vec::new(), facts, saved: false });
        }
    }

    /// Adds an operator over time and one of batches to the first source.
    fn begin(&mut self, random: &mut Random, turn: u64) {
        let facts = self.nodes[0].facts;
        if facts.times == Times::None {
            let op = over_time(random, facts, turn % OVER_TIME);
            self.add(op, 0, 1);
            self.add(of_batches(random, facts, turn % OF_BATCHES), 0, 1);
        }
    }

    /// Adds a random operator on random streams, if they fit.
    fn grow(&mut self, random: &mut Random) {
        // A later stream more often than an earlier one: chains.
        let count = self.nodes.len() as u64;
        let parent = random.below(count).max(random.below(count)) as usize;
        let other = random.below(count) as usize;
        let facts = self.nodes[parent].facts;
        let op = if facts.times != Times::None { timed(random) } else { draw(random, facts) };
        self.add(op, parent, other);
    }

    /// Adds an operator if it fits the streams.
    fn add(&mut self, op: Op, parent: usize, other: usize) {
        let facts = self.nodes[parent].facts;
        let both = op.has_two().then(|| self.nodes[other].facts);
        let Some(facts) = op.facts(facts, both) else { return };
        let parents = if both.is_some() { vec![parent, other] } else { vec![parent] };
        // The compiler computes equal streams once, and so counts what is late once.
        let repeated = self.nodes.iter().any(|node| node.op == op && node.parents == parents);
        if facts.weight <= WEIGHT && !repeated {
            self.nodes.push(Node { op, parents, facts, saved: false });
        }
    }

    fn choose_outputs(&mut self, random: &mut Random) {
        for index in 0..self.nodes.len() {
            let read = self.nodes.iter().any(|node| node.parents.contains(&index));
            self.nodes[index].saved = !read || random.below(5) == 0;
        }
    }
}

fn merge(random: &mut Random) -> Merge {
    [Merge::Add, Merge::Max, Merge::Min][random.below(3) as usize]
}

fn constant(random: &mut Random) -> i64 {
    1 + random.below(9) as i64
}

/// Length and slide that a stream of this slide can have.
fn span(random: &mut Random, slide: u32) -> Span {
    let length = slide * (1 + random.below(5) as u32);
    Span { length, slide: slide * (1 + random.below(3) as u32) }
}

fn expire(random: &mut Random) -> Option<u32> {
    (random.below(2) == 0).then(|| 1 + random.below(4) as u32)
}

/// An operator that keeps or reads event times.
fn timed(random: &mut Random) -> Op {
    match random.below(10) {
        0 => Op::Map(constant(random)),
        1 => Op::Rekey(2 + random.below(4) as i64),
        2 => Op::Filter { modulus: 2 + random.below(3) as i64, rest: random.below(2) as i64 },
        3 => Op::FlatMap(constant(random)),
        4 => Op::MapValues(constant(random)),
        5 => Op::Union,
        _ => event_reduce(random),
    }
}

fn event_reduce(random: &mut Random) -> Op {
    let span = Span { length: 1 + random.below(6) as u32, slide: 1 + random.below(4) as u32 };
    let mut one_call = random.below(2) == 0;
    let reduced = match random.below(10) {
        0..=2 => Reduced::ByKey(merge(random)),
        3 => Reduced::Fold,
        4 => Reduced::Group,
        5 => Reduced::All(merge(random)),
        6 => Reduced::Count,
        7 => Reduced::CountByValue,
        8 => Reduced::Aggregate,
        _ => Reduced::Distinct,
    };
    one_call &= !matches!(reduced, Reduced::Fold | Reduced::Aggregate | Reduced::Distinct);
    let over = match random.below(3) {
        0 => Over::Sessions { gap: 1 + random.below(3) as u32 },
        _ => Over::Windows { span, one_call },
    };
    Op::EventReduce { over, reduced }
}

/// An operator of batches or over time.
fn draw(random: &mut Random, parent: Facts) -> Op {
    match random.below(3) {
        0 => of_records(random),
        1 => {
            let which = random.below(OF_BATCHES);
            of_batches(random, parent, which)
        }
        _ => {
            let which = random.below(OVER_TIME);
            over_time(random, parent, which)
        }
    }
}

fn of_records(random: &mut Random) -> Op {
    match random.below(10) {
        0 => Op::Map(constant(random)),
        1 => Op::Rekey(2 + random.below(4) as i64),
        2 => Op::Filter { modulus: 2 + random.below(3) as i64, rest: random.below(2) as i64 },
        3 => Op::FilterMap,
        4 => Op::FlatMap(constant(random)),
        5 => Op::MapValues(constant(random)),
        6 => Op::FlatMapValues(constant(random)),
        7 => Op::KeyBy(2 + random.below(4) as i64),
        8 => Op::Inspect,
        _ => Op::MapPartitions(constant(random)),
    }
}

/// How many there are of `of_batches`.
const OF_BATCHES: u64 = 18;

fn of_batches(random: &mut Random, parent: Facts, which: u64) -> Op {
    match which {
        0 | 1 => Op::Union,
        2 => Op::ReduceByKey(merge(random)),
        3 => Op::FoldByKey,
        4 => Op::GroupByKey { ordered: parent.ordered },
        5 => Op::CountByValue,
        6 => Op::Distinct,
        7 => Op::TopK(1 + random.below(3) as usize),
        8 => Op::Sort,
        9 => Op::Index,
        10 => Op::Count,
        11 => Op::Reduce(merge(random)),
        12 => Op::Join([Join::Inner, Join::Left][random.below(2) as usize]),
        13 => Op::Join([Join::Right, Join::Full][random.below(2) as usize]),
        14 => Op::Cogroup,
        15 => Op::AggregateByKey,
        16 => Op::Aggregate,
        _ => Op::Subtract,
    }
}

/// How many there are of `over_time`.
const OVER_TIME: u64 = 15;

fn over_time(random: &mut Random, parent: Facts, which: u64) -> Op {
    let span = span(random, parent.slide);
    let inverse = random.below(2) == 0;
    match which {
        0 => Op::Window(span),
        1 => Op::WindowBatches(span),
        2 => Op::ReduceByKeyAndWindow { merge: Merge::Add, inverse: true, span },
        3 => Op::ReduceByKeyAndWindow { merge: merge(random), inverse, span }.plain(),
        4 => Op::GroupByKeyAndWindow { ordered: parent.ordered, span },
        5 => Op::ReduceByWindow { merge: merge(random), inverse, span }.plain(),
        6 => Op::CountByWindow(span),
        7 => Op::CountByValueAndWindow(span),
        8 => Op::RunningReduce { merge: merge(random), expire: expire(random) },
        9 => Op::Latest { expire: expire(random) },
        10 => Op::UpdateState,
        11 => Op::Track { timeout: 1 + random.below(4) as u32 },
        13 => Op::RunningAggregate,
        12 => Op::DistinctWithin(1 + random.below(4) as u32),
        _ => Op::DistinctBy { expire: expire(random) },
    }
}

impl Op {
    /// Only sums have an inverse.
    fn plain(mut self) -> Self {
        if let Self::ReduceByKeyAndWindow { merge, inverse, .. }
        | Self::ReduceByWindow { merge, inverse, .. } = &mut self
        {
            *inverse &= *merge == Merge::Add;
        }
        self
    }

    /// It reads two streams.
    pub(crate) fn has_two(self) -> bool {
        matches!(self, Self::Union | Self::Join(_) | Self::Cogroup | Self::Subtract)
    }

    /// What it makes of such streams; nothing if they do not fit.
    fn facts(self, from: Facts, other: Option<Facts>) -> Option<Facts> {
        if let Some(other) = other
            && (other.slide, other.times) != (from.slide, from.times)
        {
            return None;
        }
        let grouped = Facts { ordered: false, sorted: false, unique: true, ..from };
        let any = Facts { unique: false, ..grouped };
        let defined = from.ordered || from.unique;
        Some(match self {
            Self::Source(_) | Self::Timed { .. } => return None,
            Self::Filter { .. } | Self::Inspect | Self::MapValues(_) | Self::FilterMap => from,
            Self::Map(_) => from,
            Self::Rekey(_) | Self::KeyBy(_) => Facts { unique: false, ..from },
            Self::FlatMap(_) | Self::FlatMapValues(_) => {
                Facts { unique: false, weight: from.weight * 2, ..from }
            }
            Self::MapPartitions(_) => Facts { sorted: false, ..from },
            Self::Union => Facts { weight: from.weight + other?.weight, ..any },
            Self::ReduceByKey(_)
            | Self::FoldByKey
            | Self::GroupByKey { .. }
            | Self::AggregateByKey
            | Self::Cogroup => Facts { weight: 1, ..grouped },
            Self::Count | Self::Reduce(_) | Self::Aggregate => {
                Facts { weight: 1, ordered: true, ..grouped }
            }
            Self::CountByValue | Self::Distinct => any,
            Self::TopK(_) | Self::Sort => Facts { ordered: true, sorted: true, ..from },
            Self::Index => {
                if !from.ordered || !from.sorted {
                    return None;
                }
                from
            }
            Self::Join(_) => Facts { weight: from.weight * other?.weight, ..any },
            Self::Subtract => Facts { ordered: false, sorted: false, ..from },
            // A window is in the order of its batches within a partition only.
            Self::Window(span) | Self::WindowBatches(span) => Facts {
                slide: span.slide,
                ordered: false,
                weight: from.weight * (span.length / from.slide),
                sorted: false,
                unique: false,
                ..from
            },
            Self::ReduceByKeyAndWindow { span, .. } | Self::GroupByKeyAndWindow { span, .. } => {
                Facts { slide: span.slide, weight: 1, ..grouped }
            }
            Self::ReduceByWindow { span, .. } | Self::CountByWindow(span) => {
                Facts { slide: span.slide, weight: 1, ordered: true, ..grouped }
            }
            Self::CountByValueAndWindow(span) => Facts { slide: span.slide, weight: 2, ..any },
            Self::RunningReduce { .. } | Self::RunningAggregate | Self::UpdateState => {
                Facts { weight: 1, ..grouped }
            }
            Self::Latest { .. } if defined => Facts { weight: 1, ..grouped },
            Self::Track { .. } if defined && from.slide == 1 => {
                Facts { weight: from.weight + 1, ..any }
            }
            Self::DistinctBy { .. } if defined => grouped,
            Self::DistinctWithin(_) => any,
            Self::Latest { .. } | Self::Track { .. } | Self::DistinctBy { .. } => return None,
            Self::EventReduce { .. } => {
                Facts { weight: from.weight + 1, times: Times::Windows, ..any }
            }
        })
    }
}
