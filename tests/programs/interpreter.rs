//! What a program means: every stream, batch by batch, from whole lists. It knows no partitions, panes, blocks or saved
//! states, and shares no code with the engine.

#![allow(dead_code, reason = "each target uses a part")]

use std::collections::{BTreeMap, BTreeSet};

use super::functions::{key, mixed};
use super::language::{Join, Merge, Op, Over, Program, Reduced, Side, Span};
use super::mistakes::Mistake;

/// A record, and when it happened.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Record {
    pub(crate) key: String,
    pub(crate) value: i64,
    pub(crate) at: i64,
}

type Batch = Vec<Record>;

/// The batches of both sources.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub(crate) left: Vec<Batch>,
    pub(crate) right: Vec<Batch>,
    /// How many of them, which are empty, come after the sources have ended.
    pub(crate) after: usize,
}

/// The streams of a program, and how many records were late.
pub(crate) struct Meaning {
    pub(crate) streams: Vec<Vec<Batch>>,
    pub(crate) late: u64,
}

/// The meaning of a program on some input, with one mistake or none.
pub(crate) fn meaning(program: &Program, input: &Input, mistake: Option<Mistake>) -> Meaning {
    let mut run = Run { program, input, mistake, streams: Vec::new(), late: 0 };
    for index in 0..program.nodes.len() {
        let stream = run.stream(index);
        run.streams.push(stream);
    }
    Meaning { streams: run.streams, late: run.late }
}

struct Run<'p> {
    program: &'p Program,
    input: &'p Input,
    mistake: Option<Mistake>,
    streams: Vec<Vec<Batch>>,
    late: u64,
}

fn record(key: &str, value: i64) -> Record {
    Record { key: key.to_owned(), value, at: 0 }
}

fn with(of: &Record, value: i64) -> Record {
    Record { value, ..of.clone() }
}

fn merged(merge: Merge, a: i64, b: i64) -> i64 {
    match merge {
        Merge::Add => a + b,
        Merge::Max => a.max(b),
        Merge::Min => a.min(b),
    }
}

/// The values of each key, in their order.
fn grouped(records: &[Record]) -> BTreeMap<&str, Vec<i64>> {
    let mut groups: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for record in records {
        groups.entry(&record.key).or_default().push(record.value);
    }
    groups
}

fn reduced(merge: Merge, values: &[i64]) -> Option<i64> {
    values.iter().copied().reduce(|a, b| merged(merge, a, b))
}

/// How often each pair of key and value by 3 is there.
fn counted(records: &[Record]) -> Batch {
    let mut counts: BTreeMap<(&str, i64), i64> = BTreeMap::new();
    for record in records {
        *counts.entry((&record.key, record.value % 3)).or_default() += 1;
    }
    counts.into_iter().map(|((key, value), n)| record(key, value * 100 + n)).collect()
}

impl Run<'_> {
    fn is(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    fn batches(&self) -> usize {
        self.input.left.len().max(self.input.right.len())
    }

    fn stream(&mut self, index: usize) -> Vec<Batch> {
        let node = &self.program.nodes[index];
        let parents = node.parents.clone();
        match node.op {
            Op::Timed { side, .. } => self.source(side).to_vec(),
            Op::Source(side) => {
                let timeless =
                    |batch: &Batch| batch.iter().map(|of| record(&of.key, of.value)).collect();
                self.source(side).iter().map(timeless).collect()
            }
            Op::EventReduce { over, reduced } => self.event_windows(parents[0], over, reduced),
            op if op.is_over_time() => self.over_time(op, parents[0]),
            op => {
                // Between two times to emit a slow stream is nothing, not an empty batch.
                let slide = self.program.nodes[parents[0]].facts.slide as usize;
                let of = |n: usize| {
                    let from = &self.streams[parents[0]][n - 1];
                    let other = parents.get(1).map(|other| &self.streams[*other][n - 1]);
                    let emits = n.is_multiple_of(slide);
                    if emits {
                        self.batch(op, from, other.map_or(&[], Vec::as_slice))
                    } else {
                        Vec::new()
                    }
                };
                (1..=self.batches()).map(of).collect()
            }
        }
    }

    fn source(&self, side: Side) -> &[Batch] {
        match side {
            Side::Left => &self.input.left,
            Side::Right => &self.input.right,
        }
    }

    /// An operator that sees one batch only.
    fn batch(&self, op: Op, from: &[Record], other: &[Record]) -> Batch {
        match op {
            Op::Union | Op::Join(_) | Op::Cogroup | Op::Subtract => self.two(op, from, other),
            Op::ReduceByKey(_)
            | Op::FoldByKey
            | Op::AggregateByKey
            | Op::GroupByKey { .. }
            | Op::CountByValue => self.by_key(op, from),
            Op::Distinct => from.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect(),
            Op::TopK(_) | Op::Sort | Op::Index | Op::Count | Op::Aggregate | Op::Reduce(_) => {
                self.of_all(op, from)
            }
            _ => from.iter().flat_map(|record| of_record(op, record)).collect(),
        }
    }

    fn by_key(&self, op: Op, from: &[Record]) -> Batch {
        if op == Op::CountByValue {
            return counted(from);
        }
        let groups = grouped(from).into_iter();
        let of = |(key, values): (&str, Vec<i64>)| {
            let value = match op {
                Op::ReduceByKey(merge) => reduced(merge, &values)?,
                Op::FoldByKey => {
                    let n = values.len() as i64 + i64::from(self.is(Mistake::FoldCountsInitTwice));
                    values.iter().sum::<i64>() * 7 + n
                }
                Op::AggregateByKey => self.aggregated(&values)?,
                Op::GroupByKey { ordered } => self.folded(ordered, &values),
                _ => return None,
            };
            Some(record(key, value))
        };
        groups.filter_map(of).collect()
    }

    /// A list of values as one value.
    fn folded(&self, ordered: bool, values: &[i64]) -> i64 {
        let fold = |all: i64, v: &i64| (all * 31 + v) % 1009;
        match ordered {
            true if self.is(Mistake::GroupInReverse) => values.iter().rev().fold(7, fold),
            true => values.iter().fold(7, fold),
            false => values.iter().sum::<i64>() * 10 + values.len() as i64,
        }
    }

    /// Several aggregates of some values, as one value; nothing of none.
    fn aggregated(&self, values: &[i64]) -> Option<i64> {
        let mut sorted = values.to_vec();
        sorted.sort_unstable();
        let sum: i64 = values.iter().sum();
        let by = values.iter().copied().max_by_key(|v| (v % 5, *v))?;
        let rests: BTreeSet<i64> = values.iter().map(|v| v % 7).collect();
        let top: i64 = sorted.iter().rev().take(2).sum();
        let mut n = values.len() as u64;
        if self.is(Mistake::AggregateMissesOne) && n > 2 {
            n -= 1;
        }
        let mean = sum as f64 / values.len() as f64;
        Some(mixed(n, sum, sorted[0], by, rests.len() as u64, top, mean))
    }

    fn of_all(&self, op: Op, from: &[Record]) -> Batch {
        let mut records = from.to_vec();
        let ties = |a: &Record, b: &Record| {
            let order = (&a.key, a.value).cmp(&(&b.key, b.value));
            if self.is(Mistake::TiesInReverse) { order.reverse() } else { order }
        };
        match op {
            Op::TopK(k) => {
                records.sort_by(|a, b| b.value.cmp(&a.value).then_with(|| ties(a, b)));
                records.truncate(k);
                records
            }
            Op::Sort => {
                records.sort_by(|a, b| (a.value % 5).cmp(&(b.value % 5)).then_with(|| ties(a, b)));
                records
            }
            Op::Index => {
                let numbered = (0i64..).zip(from);
                numbered.map(|(n, record)| with(record, record.value * 100 + n)).collect()
            }
            Op::Count if from.is_empty() && self.is(Mistake::EmptyBatchIsNotCounted) => Vec::new(),
            Op::Count => vec![record("count", from.len() as i64)],
            Op::Aggregate => {
                let values: Vec<i64> = from.iter().map(|record| record.value).collect();
                self.aggregated(&values).map(|v| record("all", v)).into_iter().collect()
            }
            Op::Reduce(merge) => {
                let values: Vec<i64> = from.iter().map(|record| record.value).collect();
                let nothing = self.is(Mistake::ReduceOfNothingEmits).then_some(0);
                reduced(merge, &values).or(nothing).map(|v| record("all", v)).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn two(&self, op: Op, from: &[Record], other: &[Record]) -> Batch {
        match op {
            Op::Union if self.is(Mistake::UnionDropsDuplicates) => {
                from.iter().chain(other).cloned().collect::<BTreeSet<_>>().into_iter().collect()
            }
            Op::Union => from.iter().chain(other).cloned().collect(),
            Op::Subtract => {
                let whole = self.is(Mistake::SubtractsRecords);
                let there = |a: &&Record| {
                    other.iter().any(|b| a.key == b.key && (!whole || a.value == b.value))
                };
                from.iter().filter(|a| !there(a)).cloned().collect()
            }
            Op::Cogroup => {
                let (left, right) = (grouped(from), grouped(other));
                let keys: BTreeSet<&str> = left.keys().chain(right.keys()).copied().collect();
                let inner = self.is(Mistake::CogroupIsInner);
                let of = |key: &str| {
                    let lists = [&left, &right].map(|side| side.get(key).cloned());
                    if inner && lists.iter().any(Option::is_none) {
                        return None;
                    }
                    let [a, b] = lists.map(Option::unwrap_or_default);
                    let sums = a.iter().sum::<i64>() * 3 + b.iter().sum::<i64>();
                    Some(record(key, sums + 100 * a.len() as i64 + 1000 * b.len() as i64))
                };
                keys.into_iter().filter_map(of).collect()
            }
            Op::Join(join) => self.joined(join, from, other),
            _ => Vec::new(),
        }
    }

    fn joined(&self, join: Join, from: &[Record], other: &[Record]) -> Batch {
        let mut pairs: Vec<(&str, Option<i64>, Option<i64>)> = Vec::new();
        for a in from {
            let mut partners: Vec<i64> =
                other.iter().filter(|b| a.key == b.key).map(|b| b.value).collect();
            if join == Join::Left && self.is(Mistake::LeftJoinDropsDuplicates) {
                partners.truncate(1);
            }
            let keeps = matches!(join, Join::Left | Join::Full);
            if partners.is_empty() && keeps && !self.is(Mistake::LeftJoinDropsUnmatched) {
                pairs.push((&a.key, Some(a.value), None));
            }
            pairs.extend(partners.into_iter().map(|b| (a.key.as_str(), Some(a.value), Some(b))));
        }
        if matches!(join, Join::Right | Join::Full) && !self.is(Mistake::FullJoinDropsRight) {
            let alone = other.iter().filter(|b| !from.iter().any(|a| a.key == b.key));
            pairs.extend(alone.map(|b| (b.key.as_str(), None, Some(b.value))));
        }
        let value = |a: Option<i64>, b: Option<i64>| {
            let lacking = if join == Join::Full { 60 } else { 50 };
            (a.unwrap_or(50) * 5 + b.unwrap_or(lacking)) % 97
        };
        pairs.into_iter().map(|(key, a, b)| record(key, value(a, b))).collect()
    }

    /// An operator that sees earlier batches too.
    fn over_time(&self, op: Op, parent: usize) -> Vec<Batch> {
        let slide = self.program.nodes[parent].facts.slide;
        let from = &self.streams[parent];
        if let Some(span) = op.span() {
            let of = |n: usize| {
                let emits = n.is_multiple_of(span.slide as usize)
                    || self.is(Mistake::WindowEmitsInEveryBatch);
                if emits {
                    self.window(op, &self.spanned(from, n, span, slide))
                } else {
                    Vec::new()
                }
            };
            return (1..=from.len()).map(of).collect();
        }
        let mut keys = Keys::default();
        let emits = |n: usize| n.is_multiple_of(slide as usize);
        let state = |n: usize| match emits(n) {
            true => self.state(op, n as u32, &from[n - 1], &mut keys),
            false => Vec::new(),
        };
        (1..=from.len()).map(state).collect()
    }

    /// The records of a window that ends with batch n.
    fn spanned(&self, from: &[Batch], n: usize, span: Span, slide: u32) -> Batch {
        let mut length = span.length as usize;
        if self.is(Mistake::WindowOnePaneLonger) {
            length += slide as usize;
        }
        if self.is(Mistake::WindowOnePaneShorter) {
            length -= slide as usize;
        }
        from[n.saturating_sub(length)..n].concat()
    }

    fn window(&self, op: Op, records: &[Record]) -> Batch {
        match op {
            Op::ReduceByKeyAndWindow { merge, inverse, .. } => {
                let mut batch = self.by_key(Op::ReduceByKey(merge), records);
                if inverse && self.is(Mistake::InverseForgetsZero) {
                    batch.retain(|record| record.value != 0);
                }
                batch
            }
            Op::GroupByKeyAndWindow { ordered, .. } => {
                self.by_key(Op::GroupByKey { ordered }, records)
            }
            Op::ReduceByWindow { merge, .. } => self.of_all(Op::Reduce(merge), records),
            Op::CountByWindow(_) => {
                let skipped = records.is_empty() && self.is(Mistake::EmptyWindowIsNotCounted);
                if skipped { Vec::new() } else { vec![record("count", records.len() as i64)] }
            }
            Op::CountByValueAndWindow(_) => counted(records),
            _ => records.to_vec(),
        }
    }

    /// Whether something last seen in a batch is forgotten in another, if it is kept for `kept`.
    fn forgotten(&self, kept: Option<u32>, seen: u32, now: u32) -> bool {
        let Some(mut kept) = kept else { return false };
        if self.is(Mistake::ExpiresOneBatchEarly) {
            kept -= 1;
        }
        if self.is(Mistake::ExpiresOneBatchLate) {
            kept += 1;
        }
        now - seen > kept
    }

    fn state(&self, op: Op, now: u32, records: &[Record], keys: &mut Keys) -> Batch {
        match op {
            Op::RunningReduce { merge, expire } => {
                self.forget(keys, expire, now);
                for record in records {
                    let kept = keys.get(&record.key);
                    let value = kept.map_or(record.value, |kept| merged(merge, kept, record.value));
                    keys.0.insert(record.key.clone(), (value, now));
                }
                let all = self.is(Mistake::RunningEmitsEveryKey);
                keys.records(|seen| all || seen == now)
            }
            Op::Latest { expire } => {
                self.forget(keys, expire, now);
                for record in records {
                    let here = keys.0.get(&record.key).is_some_and(|(_, seen)| *seen == now);
                    if !(here && self.is(Mistake::LatestIsFirst)) {
                        keys.0.insert(record.key.clone(), (record.value, now));
                    }
                }
                keys.records(|seen| seen == now)
            }
            Op::DistinctBy { expire } => {
                self.forget(keys, expire, now);
                let mut first = Vec::new();
                for record in records {
                    if keys.0.insert(record.key.clone(), (0, now)).is_none() {
                        first.push(record.clone());
                    }
                }
                first
            }
            Op::DistinctWithin(kept) => self.distinct_within(kept, now, records, keys),
            Op::RunningAggregate => {
                for record in records {
                    keys.1.entry(record.key.clone()).or_default().push(record.value);
                    keys.0.insert(record.key.clone(), (0, now));
                }
                let touched = keys.0.iter().filter(|(_, (_, seen))| *seen == now);
                let of = |(key, _): (&String, _)| Some(record(key, self.aggregated(&keys.1[key])?));
                touched.filter_map(of).collect()
            }
            Op::UpdateState => self.update(now, records, keys),
            Op::Track { timeout } => self.track(timeout, now, records, keys),
            _ => Vec::new(),
        }
    }

    fn forget(&self, keys: &mut Keys, kept: Option<u32>, now: u32) {
        keys.0.retain(|_, (_, seen)| !self.forgotten(kept, *seen, now));
    }

    fn distinct_within(&self, kept: u32, now: u32, records: &[Record], keys: &mut Keys) -> Batch {
        let mut first = Vec::new();
        self.forget(keys, Some(kept), now);
        for record in records {
            let whole = format!("{} {}", record.key, record.value);
            let known = keys.0.contains_key(&whole);
            if !known {
                first.push(record.clone());
            }
            if !known || self.is(Mistake::RepetitionProlongsDistinct) {
                keys.0.insert(whole, (0, now));
            }
        }
        first
    }

    fn update(&self, now: u32, records: &[Record], keys: &mut Keys) -> Batch {
        let mut values: BTreeMap<&str, i64> = BTreeMap::new();
        for record in records {
            *values.entry(&record.key).or_default() += record.value;
        }
        let absent: Vec<String> = keys.0.keys().cloned().collect();
        if !self.is(Mistake::UpdateSkipsAbsentKeys) {
            for key in &absent {
                values.entry(key).or_default();
            }
        }
        for (key, sum) in values {
            let next = keys.get(key).unwrap_or(0) + sum + 1;
            keys.0.remove(key);
            if next < 60 {
                keys.0.insert(key.to_owned(), (next, now));
            }
        }
        keys.records(|seen| seen == now)
    }

    fn track(&self, timeout: u32, now: u32, records: &[Record], keys: &mut Keys) -> Batch {
        let mut batch = Vec::new();
        let due = |seen: u32| match self.is(Mistake::TimeoutIsNotStrict) {
            true => now - seen >= timeout,
            false => self.forgotten(Some(timeout), seen, now),
        };
        for (key, (sum, seen)) in std::mem::take(&mut keys.0) {
            if !due(seen) {
                keys.0.insert(key, (sum, seen));
            } else if !self.is(Mistake::TimeoutStaysMute) {
                batch.push(record(&key, sum + 1000));
            }
        }
        for of in records {
            let sum = keys.get(&of.key).unwrap_or(0) + of.value;
            batch.push(record(&of.key, sum));
            keys.0.insert(of.key.clone(), (sum, now));
            if sum > 60 && !self.is(Mistake::RemovalKeepsTimeout) {
                keys.0.remove(&of.key);
            }
        }
        batch
    }

    /// The watermark of a stream after batch n, in milliseconds; nothing before there is one.
    fn watermark(&self, stream: usize, n: usize) -> Option<i64> {
        if n == 0 {
            return None;
        }
        if n >= self.batches() - self.input.after {
            // All sources have ended.
            return Some(i64::MAX);
        }
        let sources = self.timed_sources(stream);
        let of = |(side, slack): (Side, u32)| -> Option<i64> {
            let seen = self.source(side)[..n].iter().flatten().map(|record| record.at).max()?;
            let slack = if self.is(Mistake::WatermarkWithoutSlack) { 0 } else { slack };
            Some(seen - i64::from(slack) * 1000)
        };
        let marks: Vec<Option<i64>> = sources.into_iter().map(of).collect();
        if self.is(Mistake::WatermarkOfTheFastest) {
            return marks.into_iter().max().flatten();
        }
        marks.into_iter().min().flatten()
    }

    fn timed_sources(&self, stream: usize) -> Vec<(Side, u32)> {
        let node = &self.program.nodes[stream];
        match node.op {
            Op::Timed { side, slack } => vec![(side, slack)],
            _ => node.parents.iter().flat_map(|parent| self.timed_sources(*parent)).collect(),
        }
    }

    /// Every window over every record of the batches so far.
    fn event_windows(&mut self, parent: usize, over: Over, reduced: Reduced) -> Vec<Batch> {
        let marks: Vec<Option<i64>> =
            (0..=self.batches()).map(|n| self.watermark(parent, n)).collect();
        let wait = i64::from(self.is(Mistake::WindowClosesOneMillisecondLate));
        let closed =
            |end: i64, n: usize| marks[n].is_some_and(|mark| end.saturating_add(wait) <= mark);
        let (windows, late) = match over {
            Over::Windows { span, .. } => self.spans(parent, span, &closed),
            Over::Sessions { gap } => self.sessions(parent, gap, reduced, &closed),
        };
        self.late += late as u64;
        let mut stream = vec![Vec::new(); self.batches()];
        for Closed { n, start, end, records } in windows {
            let results = self.reduced(reduced, records).into_iter();
            stream[n - 1].extend(results.map(|(key, value)| Record {
                key,
                value: value + start + 2 * end,
                at: end - 1,
            }));
        }
        stream
    }

    /// Windows of a length, with the records that are in time, and how many records are late.
    fn spans(
        &self,
        parent: usize,
        span: Span,
        closed: &dyn Fn(i64, usize) -> bool,
    ) -> (Vec<Closed>, usize) {
        let (length, slide) = (i64::from(span.length) * 1000, i64::from(span.slide) * 1000);
        let inclusive = i64::from(self.is(Mistake::EventWindowIncludesItsEnd));
        let (mut windows, mut late) = (BTreeMap::<(usize, i64), Batch>::new(), 0);
        for n in 1..=self.batches() {
            for of in &self.streams[parent][n - 1] {
                let last = of.at.div_euclid(slide) * slide;
                let starts = (0..).map(|back| last - back * slide);
                let starts: Vec<i64> =
                    starts.take_while(|start| start + length + inclusive > of.at).collect();
                let gone = |start: &&i64| closed(**start + length, n - 1);
                let missed = starts.iter().filter(gone).count();
                if !starts.is_empty() && missed == starts.len() {
                    late += if self.is(Mistake::LateIsCountedPerWindow) { missed } else { 1 };
                }
                if missed > 0 && self.is(Mistake::LateRecordLeavesAllWindows) {
                    continue;
                }
                for start in &starts {
                    if !gone(&start) {
                        let closes = (n..=self.batches()).find(|n| closed(start + length, *n));
                        let window = (closes.unwrap_or(n), *start);
                        windows.entry(window).or_default().push(of.clone());
                    } else if self.is(Mistake::LateRecordCounts) {
                        windows.entry((n, *start)).or_default().push(of.clone());
                    }
                }
            }
        }
        let window = |((n, start), records)| Closed { n, start, end: start + length, records };
        (windows.into_iter().map(window).collect(), late)
    }

    /// Sessions: in each batch, what is open and what comes, sorted by time and cut where a gap is.
    fn sessions(
        &self,
        parent: usize,
        gap: u32,
        reduced: Reduced,
        closed: &dyn Fn(i64, usize) -> bool,
    ) -> (Vec<Closed>, usize) {
        let mut gap = i64::from(gap) * 1000;
        if self.is(Mistake::SessionsThatTouchAreOne) {
            gap += 1;
        }
        let (mut sessions, mut late) = (Vec::new(), 0);
        let mut open: BTreeMap<String, Batch> = BTreeMap::new();
        for n in 1..=self.batches() {
            let mut pools: BTreeMap<String, Vec<(bool, Record)>> = BTreeMap::new();
            for (key, records) in std::mem::take(&mut open) {
                pools.insert(key, records.into_iter().map(|record| (true, record)).collect());
            }
            for of in &self.streams[parent][n - 1] {
                let key = match reduced {
                    Reduced::All(_) | Reduced::Count => String::new(),
                    Reduced::CountByValue => format!("{} {}", of.key, of.value % 3),
                    Reduced::Distinct => format!("{} {}", of.key, of.value),
                    Reduced::ByKey(_) | Reduced::Fold | Reduced::Group | Reduced::Aggregate => {
                        of.key.clone()
                    }
                };
                pools.entry(key).or_default().push((false, of.clone()));
            }
            for (key, mut pool) in pools {
                pool.sort_by_key(|(_, record)| record.at);
                for cluster in pool.chunk_by(|a, b| b.1.at < a.1.at + gap) {
                    let (start, end) = (cluster[0].1.at, cluster[cluster.len() - 1].1.at + gap);
                    let was_open = cluster.iter().any(|(open, _)| *open);
                    let records: Batch = cluster.iter().map(|(_, record)| record.clone()).collect();
                    if closed(end, n - 1) && !was_open && !self.is(Mistake::LateSessionCounts) {
                        late += records.len();
                    } else if closed(end, n) {
                        sessions.push(Closed { n, start, end, records });
                    } else {
                        open.entry(key.clone()).or_default().extend(records);
                    }
                }
            }
        }
        (sessions, late)
    }

    /// What the records of a window become.
    fn reduced(&self, reduced: Reduced, mut records: Batch) -> Vec<(String, i64)> {
        if !self.is(Mistake::ListsInOrderOfArrival) {
            records.sort_by_key(|of| (of.at, of.value));
        }
        let of = |op: Op, batch: Batch| {
            self.batch(op, &batch, &[]).into_iter().map(|of| (of.key, of.value)).collect()
        };
        match reduced {
            Reduced::ByKey(merge) => of(Op::ReduceByKey(merge), records),
            Reduced::Fold => of(Op::FoldByKey, records),
            Reduced::Group => of(Op::GroupByKey { ordered: true }, records),
            Reduced::Aggregate => of(Op::AggregateByKey, records),
            Reduced::All(merge) => of(Op::Reduce(merge), records),
            Reduced::Count => of(Op::Count, records),
            Reduced::CountByValue => of(Op::CountByValue, records),
            Reduced::Distinct => {
                of(Op::Distinct, records.iter().map(|of| record(&of.key, of.value)).collect())
            }
        }
    }
}

/// A window that closes in batch n, and its records.
struct Closed {
    n: usize,
    start: i64,
    end: i64,
    records: Batch,
}

/// What is kept of keys: a value, and the batch that touched it last; all values.
#[derive(Default)]
struct Keys(BTreeMap<String, (i64, u32)>, BTreeMap<String, Vec<i64>>);

impl Keys {
    fn get(&self, key: &str) -> Option<i64> {
        self.0.get(key).map(|(value, _)| *value)
    }

    fn records(&self, which: impl Fn(u32) -> bool) -> Batch {
        let kept = self.0.iter().filter(|(_, (_, seen))| which(*seen));
        kept.map(|(key, (value, _))| record(key, *value)).collect()
    }
}

/// An operator that sees one record only.
fn of_record(op: Op, of: &Record) -> Vec<Record> {
    let v = of.value;
    match op {
        Op::Map(c) => vec![with(of, (v * 3 + c) % 97)],
        Op::Rekey(c) => {
            let value = v + of.key.len() as i64;
            vec![Record { key: key(v, c).to_owned(), value, at: of.at }]
        }
        Op::Filter { modulus, rest } if v.rem_euclid(modulus) == rest => Vec::new(),
        Op::FilterMap if v % 2 != 0 => Vec::new(),
        Op::FilterMap => vec![with(of, v / 2)],
        Op::FlatMap(c) => vec![of.clone(), with(of, (v + c) % 97)],
        Op::MapValues(c) => vec![with(of, (v * 5 - c) % 97)],
        Op::FlatMapValues(c) => vec![of.clone(), with(of, v - c)],
        Op::KeyBy(c) => vec![record(key(v.rem_euclid(c), 9), v + v.rem_euclid(c))],
        Op::MapPartitions(c) => vec![with(of, v + c)],
        _ => vec![of.clone()],
    }
}

impl Op {
    /// It sees earlier batches.
    fn is_over_time(self) -> bool {
        self.span().is_some()
            || matches!(
                self,
                Self::RunningReduce { .. }
                    | Self::RunningAggregate
                    | Self::Latest { .. }
                    | Self::UpdateState
                    | Self::Track { .. }
                    | Self::DistinctWithin(_)
                    | Self::DistinctBy { .. }
            )
    }

    fn span(self) -> Option<Span> {
        match self {
            Self::Window(span)
            | Self::WindowBatches(span)
            | Self::CountByWindow(span)
            | Self::CountByValueAndWindow(span)
            | Self::ReduceByKeyAndWindow { span, .. }
            | Self::GroupByKeyAndWindow { span, .. }
            | Self::ReduceByWindow { span, .. } => Some(span),
            _ => None,
        }
    }
}
