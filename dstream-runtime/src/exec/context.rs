//! What a closure can ask about its batch: the second parameter, `ctx`, of a function of a record.
//!
//! Everything here is a pure function of the task: a task that runs again, anywhere, says the same. A stage whose
//! closures do not ask has none of this: its tails are not [`Scoped`].

use std::cell::RefCell;

use super::event_time::Bounds;
use super::tail::Tails;
use super::task::{TaskContext, TaskError};
use crate::block::BlockDecoder;
use crate::id::Partition;
use crate::mix::{STEP, mix};
use crate::time::BatchTime;

/// The batch, the partition and the operator of a call: what a closure is given as `ctx`.
///
/// `T` is what is known of the record's time: nothing, its event time, or its window.
#[derive(Debug, Clone, Copy)]
pub struct Context<'t, T = ()> {
    scope: &'t Scope,
    /// A hash of the names of job and stream.
    operator: u64,
    time: T,
}

/// A window of event time, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventWindow {
    /// Its first millisecond.
    pub start: i64,
    /// The first one after it.
    pub end: i64,
}

/// The context of an operator.
#[inline(always)]
#[must_use]
pub fn context(scope: &Scope, operator: u64) -> Context<'_> {
    Context { scope, operator, time: () }
}

impl<'t> Context<'t> {
    /// The context of a record with a time or a window.
    #[inline(always)]
    #[must_use]
    pub fn of<T>(self, time: T) -> Context<'t, T> {
        let Self { scope, operator, .. } = self;
        Context { scope, operator, time }
    }
}

impl Context<'_, i64> {
    /// When the record happened, in milliseconds since 1970, as `event_time` has said.
    #[inline]
    #[must_use]
    pub fn event_time(&self) -> i64 {
        self.time
    }
}

impl Context<'_, Bounds> {
    /// The window of event time that the record is a result of.
    #[inline]
    #[must_use]
    pub fn window(&self) -> EventWindow {
        EventWindow { start: self.time.0, end: self.time.1 }
    }
}

impl<T> Context<'_, T> {
    /// The end of the batch in milliseconds since 1970; of a job over history, since zero.
    ///
    /// A record of a live source arrived in the interval that ends then.
    #[inline]
    #[must_use]
    pub fn batch_time(&self) -> u64 {
        self.scope.time.millis()
    }

    /// The end of the batch as a date, for text: `2026-11-30 14:01:09 UTC`.
    #[inline]
    #[must_use]
    pub fn batch_date(&self) -> BatchTime {
        self.scope.time
    }

    /// The partition in which the closure is called.
    #[inline]
    #[must_use]
    pub fn partition(&self) -> u32 {
        self.scope.partition.0
    }

    /// Random numbers that are the same whenever the batch is computed again.
    ///
    /// They depend on the names of job and stream, the batch time, the partition, and how often the operator asked
    /// for them before in that partition of the batch: each call gives other ones.
    #[inline]
    #[must_use]
    pub fn rng(&self) -> Rng {
        let Scope { time, partition, .. } = self.scope;
        let place = mix(mix(self.operator ^ mix(time.0)) ^ u64::from(partition.0));
        Rng(place ^ mix(self.scope.draw(self.operator)))
    }
}

/// Random numbers (SplitMix64): fast, well distributed, and no secret.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A number of 64 random bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number from 0 up to, but not including, `end`; 0 if that is 0.
    #[inline]
    pub fn below(&mut self, end: u64) -> u64 {
        // The high half of the product is uniform up to 1 in 2^64 / end.
        ((u128::from(self.next_u64()) * u128::from(end)) >> 64) as u64
    }

    /// A number from 0 up to, but not including, 1.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// `true` with that probability.
    #[inline]
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }
}

/// What is the same for all calls of a task.
#[derive(Debug)]
pub struct Scope {
    time: BatchTime,
    partition: Partition,
    /// How often each operator has asked for random numbers.
    draws: RefCell<Vec<(u64, u64)>>,
}

impl Scope {
    /// The scope of a task.
    #[must_use]
    pub fn of(cx: &TaskContext<'_>) -> Self {
        Self { time: cx.time, partition: cx.task.partition, draws: RefCell::default() }
    }

    /// How often that operator has asked before.
    fn draw(&self, operator: u64) -> u64 {
        let mut draws = self.draws.borrow_mut();
        match draws.iter_mut().find(|(known, _)| *known == operator) {
            Some((_, draws)) => {
                *draws += 1;
                *draws
            }
            None => {
                draws.push((operator, 0));
                0
            }
        }
    }
}

/// The tails of a stage whose closures ask for their context.
pub struct Scoped<T> {
    /// The tails.
    pub tails: T,
    /// What closures can ask.
    pub scope: Scope,
}

impl<T: Tails> Tails for Scoped<T> {
    type Recipes = T::Recipes;
    type Slots = T::Slots;

    fn slots(recipes: &Self::Recipes) -> Self::Slots {
        T::slots(recipes)
    }

    fn open(recipes: &Self::Recipes, cx: &TaskContext<'_>) -> Self {
        Self { tails: T::open(recipes, cx), scope: Scope::of(cx) }
    }

    fn close(self, cx: &mut TaskContext<'_>) -> Result<(), TaskError> {
        self.tails.close(cx)
    }

    fn door(recipes: &Self::Recipes, index: usize) -> Option<BlockDecoder> {
        T::door(recipes, index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(time: u64, partition: u32) -> Scope {
        let partition = Partition(partition);
        Scope { time: BatchTime(time), partition, draws: RefCell::default() }
    }

    fn first(scope: &Scope, operator: u64) -> u64 {
        context(scope, operator).rng().next_u64()
    }

    #[test]
    fn numbers_are_those_of_the_place_and_of_no_other() {
        let drawn = |time, partition, operator| {
            let scope = scope(time, partition);
            [0; 3].map(|_| first(&scope, operator))
        };
        let mut seen = std::collections::BTreeSet::new();
        for (time, partition, operator) in
            [(1000, 0, 7), (2000, 0, 7), (1000, 1, 7), (1000, 0, 8), (0, 0, 0)]
        {
            let numbers = drawn(time, partition, operator);
            assert_eq!(numbers, drawn(time, partition, operator));
            seen.extend(numbers);
        }
        assert_eq!(seen.len(), 15, "each place and each call has numbers of its own");
    }

    #[test]
    fn operators_of_a_stage_do_not_disturb_each_other() {
        let (alone, together) = (scope(1000, 3), scope(1000, 3));
        let mut numbers = Vec::new();
        for _ in 0..4 {
            let _ = first(&together, 2);
            numbers.push(first(&together, 1));
        }
        assert_eq!(numbers, [0; 4].map(|_| first(&alone, 1)));
    }

    /// Against the reference implementation of SplitMix64 (Vigna), from state 0.
    #[test]
    fn the_generator_is_splitmix64() {
        let mut rng = Rng(0);
        let numbers = [0; 3].map(|_| rng.next_u64());
        assert_eq!(numbers, [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f]);
    }

    #[test]
    fn numbers_are_spread_evenly() {
        let scope = scope(5000, 0);
        let (mut below, mut yes) = ([0u32; 10], 0u32);
        for _ in 0..10_000 {
            let mut rng = context(&scope, 1).rng();
            below[rng.below(10) as usize] += 1;
            yes += u32::from(rng.chance(0.25));
            assert!((0.0..1.0).contains(&rng.unit()));
        }
        assert!(below.iter().all(|n| (850..1150).contains(n)), "{below:?}");
        assert!((2300..2700).contains(&yes), "{yes}");
        assert_eq!(Rng(1).below(0), 0);
    }
}
