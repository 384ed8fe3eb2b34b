//! What a batch takes of received blocks, against the blocks that were reported.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::id::{BatchSeq, SourceId, WorkerId};
use crate::source::Source;
use crate::source::receive::{
    ClientBatch, PushSource, RangeSet, ReceivedBlock, Refusal, Registered, received_split,
    receiver_of,
};

fn source() -> PushSource {
    PushSource::open("tcp://0.0.0.0:1", SourceId(3)).unwrap()
}

fn received_block(receiver: u32, number: u64, copy: Option<u32>) -> ReceivedBlock {
    let (receiver, copy) = (WorkerId(receiver), copy.map(WorkerId));
    ReceivedBlock { receiver, number, copy, bytes: 100 << 10, client: None }
}

fn workers(ids: &[u32]) -> Vec<WorkerId> {
    ids.iter().copied().map(WorkerId).collect()
}

/// Per input, its received blocks: receiver, first and last number.
fn cut(source: &mut PushSource, partitions: usize) -> Vec<Vec<(u32, u64, u64)>> {
    let inputs = source.cut(partitions).unwrap().inputs;
    assert!(inputs.len() <= partitions);
    let show = |range: &crate::source::Range| {
        let (receiver, source) = receiver_of(&range.split).unwrap();
        assert_eq!(source, SourceId(3));
        (receiver.0, range.start, range.end - 1)
    };
    inputs.iter().map(|input| input.ranges.iter().map(show).collect()).collect()
}

#[test]
fn inputs_are_made_of_what_their_owners_hold() {
    let mut source = source();
    assert!(source.immediate() && !source.bounded());
    source.placed(&workers(&[1, 2, 1, 2, 1]));
    for number in 1..=6 {
        assert_eq!(source.register(received_block(2, number, Some(1)), 1), Ok(Registered::Taken));
    }
    source.register(received_block(1, 9, None), 1).unwrap();
    assert_eq!(source.waiting(), 700 << 10);
    // Three inputs' worth for those who hold them, in their order.
    let inputs = cut(&mut source, 5);
    let expected = [vec![(1, 9, 9), (2, 1, 2)], vec![(2, 3, 4)], vec![(2, 5, 6)]];
    assert_eq!(inputs, expected);
    assert!(cut(&mut source, 5).is_empty());
    assert_eq!(source.register(received_block(2, 6, None), 1), Ok(Registered::Again));
    source.register(received_block(2, 7, None), 1).unwrap();
    source.register(received_block(2, 9, None), 1).unwrap();
    assert_eq!(cut(&mut source, 5), [vec![], vec![(2, 7, 7), (2, 9, 9)]]);
}

#[test]
fn a_slow_worker_reads_little_of_what_it_has_received() {
    let mut source = source();
    let placement = [1, 2, 3, 1, 2, 3, 1, 2];
    source.placed(&workers(&placement));
    // Per worker, how many blocks it reads; 1 has received all of them, and 2 has copies.
    let mut next = 0;
    let mut read = |source: &mut PushSource, blocks: u64| {
        for _ in 0..blocks {
            next += 1;
            source.register(received_block(1, next, Some(2)), 1).unwrap();
        }
        let mut read = [0; 4];
        for (place, ranges) in cut(source, 8).into_iter().enumerate() {
            let numbers = ranges.iter().map(|(_, first, last)| last - first + 1);
            read[placement[place] as usize] += numbers.sum::<u64>();
        }
        read
    };
    // Those who hold them take turns.
    let turns = [1, 1, 6].map(|blocks| read(&mut source, blocks));
    assert_eq!(turns, [[0, 0, 1, 0], [0, 1, 0, 0], [0, 2, 4, 0]]);
    source.weigh(&[(WorkerId(1), 150)]);
    // It reads its share, in whole blocks, however few or many there are.
    for (blocks, slow) in [(1, 0), (1, 0), (3, 0), (6, 0), (8, 1), (60, 7)] {
        assert_eq!(read(&mut source, blocks), [0, slow, blocks - slow, 0]);
    }
    source.weigh(&[(WorkerId(1), 150), (WorkerId(2), 100)]);
    assert_eq!(read(&mut source, 1), [0, 1, 0, 0], "the one that is less slow");
    source.weigh(&[]);
    assert_eq!(read(&mut source, 2).iter().sum::<u64>(), 2);
}

#[test]
fn a_batch_takes_in_what_it_may_and_from_each_worker_its_share() {
    let mut source = source();
    source.placed(&workers(&[1, 2]));
    for number in 1..=6 {
        source.register(received_block(2, number, None), 1).unwrap();
    }
    source.register(received_block(1, 1, None), 1).unwrap();
    source.limit(300 << 10);
    assert_eq!(cut(&mut source, 2), [vec![(1, 1, 1)], vec![(2, 1, 2)]]);
    // However little it may be: something.
    source.limit(0);
    assert_eq!(cut(&mut source, 2), [vec![], vec![(2, 3, 3)]]);
    source.stop();
    source.limit(100 << 10);
    assert!(!source.cut(2).unwrap().ended, "two wait");
    assert_eq!(source.waiting(), 200 << 10);
    assert_eq!(cut(&mut source, 2), [vec![], vec![(2, 5, 6)]], "a limit holds for one cut");
}

#[test]
fn blocks_wait_until_a_worker_owns_something_and_then_go_to_a_holder_if_one_does() {
    let mut source = source();
    source.register(received_block(5, 1, Some(6)), 1).unwrap();
    source.register(received_block(5, 2, Some(7)), 1).unwrap();
    assert!(cut(&mut source, 2).is_empty());
    source.stop();
    assert!(!source.cut(2).unwrap().ended);
    source.placed(&workers(&[6, 8]));
    // None of those who hold the second owns anything: 8 has to ask for it.
    let last = source.cut(2).unwrap();
    let of = |input: usize| (last.inputs[input].ranges[0].start, last.inputs[input].ranges.len());
    assert_eq!((of(0), of(1)), ((1, 1), (2, 1)));
    assert!(last.ended);
    assert_eq!(source.register(received_block(5, 3, Some(6)), 1), Ok(Registered::Late));
}

#[test]
fn a_copy_that_is_made_later_counts_like_one_that_was_reported() {
    let mut source = source();
    source.register(received_block(1, 1, None), 1).unwrap();
    source.register(received_block(1, 2, Some(2)), 1).unwrap();
    source.copied(WorkerId(1), 1, WorkerId(3));
    source.gone(WorkerId(2));
    source.copied(WorkerId(1), 2, WorkerId(3));
    // Of workers that are unknown nothing is kept, and of what a batch has taken.
    source.copied(WorkerId(7), 1, WorkerId(3));
    source.copied(WorkerId(1), 3, WorkerId(3));
    source.gone(WorkerId(1));
    source.placed(&workers(&[3, 9]));
    assert_eq!(cut(&mut source, 2), [[(1, 1, 2)]]);
    source.copied(WorkerId(1), 1, WorkerId(4));
    assert!(cut(&mut source, 2).is_empty());
}

#[test]
fn a_leaving_worker_reports_other_holders_of_what_waits() {
    let mut source = source();
    (1..=4).for_each(|number| drop(source.register(received_block(1, number, None), 1)));
    source.held_by(WorkerId(1), 2..4, WorkerId(3));
    // A wrong report changes nothing.
    source.held_by(WorkerId(1), 9..u64::MAX, WorkerId(3));
    #[expect(clippy::reversed_empty_ranges, reason = "it is a wrong report")]
    source.held_by(WorkerId(1), 4..2, WorkerId(3));
    source.gone(WorkerId(1));
    source.placed(&workers(&[3]));
    assert_eq!(cut(&mut source, 1), [[(1, 2, 3)]]);
}

#[test]
fn it_ends_when_all_receivers_have() {
    let mut source = source();
    source.placed(&workers(&[1]));
    source.opened(WorkerId(1));
    source.opened(WorkerId(2));
    source.opened(WorkerId(3));
    assert!(!source.cut(1).unwrap().ended);
    source.stop();
    source.closed(WorkerId(1));
    source.gone(WorkerId(3));
    assert!(!source.cut(1).unwrap().ended);
    source.register(received_block(2, 1, Some(1)), 1).unwrap();
    source.closed(WorkerId(2));
    let last = source.cut(1).unwrap();
    assert!(last.ended && last.inputs.len() == 1);
    let unread = last.inputs[0].data.read(&mut |_| ()).unwrap_err().to_string();
    assert!(unread.starts_with("received:2:3: can be read by the workers alone"), "{unread}");
}

#[test]
fn a_batch_that_is_sent_again_counts_once() {
    let mut source = source();
    source.placed(&workers(&[1, 2]));
    let of = |receiver, number, batch| {
        let client = Some(ClientBatch::named("client", batch));
        source.register(ReceivedBlock { client, ..received_block(receiver, number, None) }, 1)
    };
    assert_eq!(of(1, 1, 1), Ok(Registered::Taken));
    assert_eq!(of(1, 2, 2), Ok(Registered::Taken));
    // The client has connected to another worker and does not know that 2 was taken.
    assert_eq!(of(2, 1, 2), Ok(Registered::Known));
    assert_eq!(of(2, 2, 4), Err(Refusal::Gap { number: 4, expected: 3 }));
    assert_eq!(of(2, 3, 3), Ok(Registered::Taken));
    assert_eq!(cut(&mut source, 2), [[(1, 1, 2)], [(2, 3, 3)]]);
}

#[test]
fn what_no_worker_holds_is_named_and_waits_for_no_batch_once_it_is_given_up() {
    let mut source = source();
    source.placed(&workers(&[1, 2]));
    source.register(received_block(1, 1, Some(2)), 1).unwrap();
    source.gone(WorkerId(1));
    assert_eq!(cut(&mut source, 2), [vec![], vec![(1, 1, 1)]]);
    source.register(received_block(2, 2, None), 1).unwrap();
    source.gone(WorkerId(2));
    assert_eq!(cut(&mut source, 2), Vec::<Vec<(u32, u64, u64)>>::new(), "it may come again");
    let unheld = source.unheld();
    let [one] = &unheld[..] else { panic!("{unheld:?}") };
    assert_eq!((one.receiver, one.blocks.count(), one.records), (WorkerId(2), 1, 1));
    assert_eq!((one.exact, one.first, one.last), (true, BatchSeq(2), BatchSeq(2)));
    source.stop();
    assert!(!source.cut(2).unwrap().ended, "it waits");
    source.give_up(WorkerId(2), &one.blocks);
    assert!(source.unheld().is_empty() && source.cut(2).unwrap().ended);
    // What the first batch has taken, another master knows, but not how much each has.
    let taken = |source: &PushSource| source.taken(&[(BatchSeq(1), WorkerId(1), 1)]);
    let position = source.cut(2).unwrap().position.unwrap();
    assert!(taken(&source)[0].exact);
    let mut next = self::source();
    next.resume(&position).unwrap();
    let taken = taken(&next);
    assert_eq!((taken[0].records, taken[0].exact, taken[0].first), (1, false, BatchSeq(1)));
}

#[test]
fn blocks_of_a_lost_worker_that_are_not_needed_are_named_once() {
    let mut source = source();
    source.placed(&workers(&[2]));
    source.opened(WorkerId(1));
    source.opened(WorkerId(3));
    source.register(received_block(1, 1, Some(2)), 1).unwrap();
    assert_eq!(cut(&mut source, 1), [[(1, 1, 1)]]);
    source.register(received_block(1, 2, Some(4)), 1).unwrap();
    source.gone(WorkerId(1));
    source.gone(WorkerId(3));
    assert_eq!(source.over(BatchSeq(1)), [], "they may come again");
    source.complete();
    // Nothing was received by 3; something of 1 waits, and batch 1 has something.
    assert_eq!(source.over(BatchSeq(1)), [(WorkerId(3), RangeSet::all())]);
    assert_eq!(source.over(BatchSeq(2)), []);
    source.copied(WorkerId(1), 2, WorkerId(2));
    source.gone(WorkerId(4));
    source.complete();
    assert_eq!(cut(&mut source, 1), [[(1, 2, 2)]]);
    assert_eq!(source.over(BatchSeq(2)), []);
    assert_eq!(source.over(BatchSeq(3)), [(WorkerId(1), RangeSet::all())]);
    assert_eq!(source.over(BatchSeq(4)), []);
}

#[test]
fn what_one_has_read_that_is_gone_is_named_when_its_batch_is_over() {
    let mut source = source();
    source.goes_on(BatchSeq(7));
    source.placed(&workers(&[1, 2]));
    for number in 1..=3 {
        source.register(received_block(1, number, Some(2)), 1).unwrap();
    }
    source.register(received_block(3, 1, Some(2)), 1).unwrap();
    assert_eq!(cut(&mut source, 2), [vec![(1, 1, 2)], vec![(1, 3, 3), (3, 1, 1)]]);
    // It is 2 that would have said it of what 3 has received; and 1 is there still.
    source.gone(WorkerId(2));
    assert_eq!(source.over(BatchSeq(7)), []);
    let spans = |number| {
        let mut spans = RangeSet::default();
        spans.insert(number);
        spans
    };
    let over = [(WorkerId(1), spans(3)), (WorkerId(3), spans(1))];
    assert_eq!(source.over(BatchSeq(8)), over);
    assert_eq!(source.over(BatchSeq(9)), []);
}

#[test]
fn a_stopped_source_is_asked_until_its_receivers_have_ended() {
    let mut source = source();
    source.placed(&workers(&[1]));
    source.opened(WorkerId(1));
    assert!(source.cut(1).unwrap().inputs.is_empty());
    source.stop();
    // A source that brings nothing while it is drained is not asked again.
    let cut = source.cut(1).unwrap();
    assert!(!cut.ended && cut.inputs.len() == 1 && cut.inputs[0].ranges.is_empty());
    source.closed(WorkerId(1));
    let cut = source.cut(1).unwrap();
    assert!(cut.ended && cut.inputs.is_empty());
}

#[test]
fn another_master_goes_on_with_what_workers_hold() {
    let mut first = source();
    first.placed(&workers(&[1]));
    let of = |receiver, number, batch, copy| {
        let client = Some(ClientBatch::named("client", batch));
        ReceivedBlock { client, ..received_block(receiver, number, copy) }
    };
    assert_eq!(first.register(of(1, 1, 1, Some(2)), 1), Ok(Registered::Taken));
    assert_eq!(first.register(of(3, 1, 2, Some(2)), 1), Ok(Registered::Taken));
    // The second waits, since those who hold it are away.
    [2, 3].into_iter().for_each(|worker| first.gone(WorkerId(worker)));
    let cut_first = first.cut(1).unwrap();
    assert_eq!(first.register(of(1, 2, 3, Some(2)), 1), Ok(Registered::Taken));
    let mut next = source();
    assert!(next.resume(b"what is this").is_err());
    next.resume(&cut_first.position.unwrap()).unwrap();
    assert_eq!(next.input(&cut_first.inputs[0].ranges).unwrap().ranges, cut_first.inputs[0].ranges);
    let (a, b) = (WorkerId(1 << 16), WorkerId(2 << 16));
    next.placed(&[a]);
    assert!(cut(&mut next, 1).is_empty());
    // What was cut is not cut again; the others are, whichever worker reports them first, and once.
    for by in [a, b] {
        assert_eq!(next.reclaim(of(1, 1, 1, None), 1, by), Registered::Again);
    }
    assert_eq!(next.reclaim(of(3, 1, 2, None), 1, b), Registered::Again);
    assert_eq!(next.reclaim(of(1, 2, 3, None), 1, a), Registered::Taken);
    assert_eq!(next.reclaim(of(1, 2, 3, None), 1, b), Registered::Again);
    assert_eq!(next.register(of(a.0, 1, 3, None), 1), Ok(Registered::Known));
    assert_eq!(next.register(of(a.0, 2, 4, None), 1), Ok(Registered::Taken));
    assert_eq!(cut(&mut next, 1), [[(1, 2, 2), (3, 1, 1), (a.0, 2, 2)]]);
}

#[test]
fn what_waited_for_a_batch_and_is_brought_by_no_worker_is_named_to_another_master() {
    let mut first = source();
    first.register(received_block(1, 1, None), 1).unwrap();
    let position = first.cut(1).unwrap().position.unwrap();
    let mut next = source();
    next.resume(&position).unwrap();
    next.placed(&workers(&[9]));
    next.gone(WorkerId(1));
    assert!(cut(&mut next, 1).is_empty());
    let unheld = next.unheld();
    assert_eq!((unheld.len(), unheld[0].receiver, unheld[0].records), (1, WorkerId(1), 1));
    assert!(unheld[0].exact);
}

#[test]
fn splits_name_the_receiver_of_their_blocks() {
    let split = received_split(WorkerId(7), SourceId(2));
    assert_eq!(receiver_of(&split), Some((WorkerId(7), SourceId(2))));
    for other in ["received:7", "received:x:2", "/received:1:2", "received:1:99999999"] {
        assert_eq!(receiver_of(other), None, "{other}");
    }
    assert!(PushSource::open("file:///x", SourceId(0)).is_err());
}

#[derive(Debug, Clone)]
enum Step {
    Register { receiver: u32, skip: u64, copy: Option<u32> },
    Place(Vec<u32>),
    Cut(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let worker = 0..5_u32;
    let step = prop_oneof![
        5 => (worker.clone(), 1..3_u64, proptest::option::of(worker.clone()))
            .prop_map(|(receiver, skip, copy)| Step::Register { receiver, skip, copy }),
        1 => proptest::collection::vec(worker, 1..12).prop_map(Step::Place),
        2 => (1..12_usize).prop_map(Step::Cut),
    ];
    proptest::collection::vec(step, 0..80)
}

proptest! {
    #[test]
    fn each_block_is_cut_once_where_it_is_held(steps in steps()) {
        let mut source = source();
        let mut placement = Vec::new();
        let mut next: BTreeMap<u32, u64> = BTreeMap::new();
        let mut waiting: BTreeMap<(u32, u64), Option<u32>> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Register { receiver, skip, copy } => {
                    let number = next.entry(receiver).or_default();
                    *number += skip;
                    source.register(received_block(receiver, *number, copy), 1).unwrap();
                    waiting.insert((receiver, *number), copy);
                }
                Step::Place(owners) => {
                    source.placed(&workers(&owners));
                    placement = owners;
                }
                Step::Cut(partitions) => {
                    let partitions = partitions.min(placement.len());
                    let owns = |worker: u32| placement[..partitions].contains(&worker);
                    for (place, ranges) in cut(&mut source, partitions).into_iter().enumerate() {
                        for (receiver, first, last) in ranges {
                            for number in first..=last {
                                let copy = waiting.remove(&(receiver, number));
                                prop_assert!(copy.is_some(), "unknown or cut twice");
                                let holders = [Some(receiver), copy.flatten()];
                                let able = holders.iter().flatten().any(|holder| owns(*holder));
                                let holds = holders.contains(&Some(placement[place]));
                                prop_assert!(holds || !able, "not where it is held");
                            }
                        }
                    }
                    prop_assert!(waiting.is_empty() || partitions == 0, "left behind");
                }
            }
        }
    }
}

#[test]
fn what_was_refused_is_not_taken_for_registered_when_it_is_reported_again() {
    let mut source = source();
    source.placed(&workers(&[2]));
    let client = Some(ClientBatch::named("client", 2));
    let gap = ReceivedBlock { client, ..received_block(1, 1, Some(2)) };
    assert_eq!(source.register(gap, 1), Err(Refusal::Gap { number: 2, expected: 1 }));
    // The worker has not heard of it, and comes again under another number.
    source.gone(WorkerId(1));
    assert_eq!(source.reclaim(gap, 1, WorkerId(2)), Registered::Taken);
    assert_eq!(cut(&mut source, 1), [[(1, 1, 1)]]);
}
