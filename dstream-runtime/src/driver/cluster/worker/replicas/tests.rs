//! What becomes of received blocks, step by step.

use super::*;
use crate::block::BufferPool;
use crate::id::{Partition, TaskId};
use crate::sched::message::TaskInput;
use crate::source::receive::received_split;
use crate::store::StoreOptions;

mod model;

const SOURCE: SourceId = SourceId(0);
const ME: WorkerId = WorkerId(1);
const OTHER: WorkerId = WorkerId(2);
const THIRD: WorkerId = WorkerId(3);

fn block() -> Block {
    let mut buffer = BufferPool::new(0).take(2);
    buffer.bytes_mut().extend_from_slice(b"x\n");
    Block::raw(buffer)
}

fn append(number: u64) -> Append {
    let (peer, client) = (PeerId(7), ClientId(9));
    let (source, lines) = (SOURCE, block());
    Append { peer, source, client, number, lines, records: 1, header: None }
}

fn store() -> (tempfile::TempDir, BlockStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = BlockStore::new(StoreOptions::new(1 << 20, dir.path()));
    (dir, store)
}

fn range(receiver: WorkerId, start: u64, end: u64) -> Range {
    Range { split: received_split(receiver, SOURCE), start, end }
}

fn numbers(receiver: WorkerId, from: u64, to: u64) -> BlockRange {
    BlockRange { receiver, source: SOURCE, from, to }
}

fn begin(replicas: &mut ReplicaLog, batch: u64, range: Range) {
    let ranges = vec![range];
    let input = TaskInput { source: SOURCE, partition: Partition(0), ranges };
    replicas.begins(BatchSeq(batch), &[input]);
}

/// Numbers that the master is told of, and who has the copies.
fn reported(replicas: &mut ReplicaLog) -> Vec<(u64, Option<WorkerId>)> {
    let told = replicas.reports().into_iter().map(|note| match note {
        WorkerNote::Received { received_block, .. } => (received_block.number, received_block.copy),
        other => panic!("{other:?}"),
    });
    told.collect()
}

fn told(settled: &Settled) -> Option<u64> {
    settled.append.map(|append| append.number)
}

#[test]
fn a_client_is_told_once_both_have_its_lines() {
    let (_dir, store) = store();
    let mut replicas = ReplicaLog::new(ME);
    let key = replicas.appended(append(5), Some(OTHER), &store);
    assert_eq!(reported(&mut replicas), []);
    // A copy on a worker that was not to have it does not count.
    assert_eq!(told(&replicas.copied(key, Some(THIRD))), None);
    assert_eq!(reported(&mut replicas), []);
    assert_eq!(told(&replicas.copied(key, Some(OTHER))), None);
    assert_eq!(reported(&mut replicas), [(1, Some(OTHER))]);
    assert!(replicas.is_pending(SOURCE));
    assert_eq!(told(&replicas.registered(key, Registered::Taken)), Some(5));
    assert!(!replicas.is_pending(SOURCE) && replicas.waiting == 2);
    begin(&mut replicas, 3, range(ME, 1, 2));
    assert_eq!(replicas.waiting, 0);
    assert!(replicas.release(BatchSeq(3)).drop.is_empty(), "the batch is not over");
    let released = replicas.release(BatchSeq(4));
    assert!(released.safe.is_empty(), "it was told");
    assert_eq!(released.drop, [(OTHER, numbers(ME, 1, 2))]);
    assert!(replicas.lines.is_empty() && replicas.mine.is_empty());
}

#[test]
fn received_blocks_are_reported_in_order_whichever_is_copied_first() {
    let (_dir, store) = store();
    let mut replicas = ReplicaLog::new(ME);
    let first = replicas.appended(append(1), Some(OTHER), &store);
    let second = replicas.appended(append(2), Some(THIRD), &store);
    replicas.copied(second, Some(THIRD));
    assert_eq!(reported(&mut replicas), []);
    // The copy of the first is lost on its way, and another is to have one.
    assert_eq!(replicas.orphaned(OTHER, Some(THIRD)), [first]);
    assert_eq!(reported(&mut replicas), []);
    assert!(!replicas.is_news(first, THIRD), "it will be reported with it");
    replicas.copied(first, Some(THIRD));
    assert_eq!(reported(&mut replicas), [(1, Some(THIRD)), (2, Some(THIRD))]);
}

#[test]
fn without_another_worker_nothing_waits_for_a_copy_and_one_that_comes_gets_it() {
    let (_dir, store) = store();
    let mut replicas = ReplicaLog::new(ME);
    let alone = replicas.appended(append(1), None, &store);
    assert_eq!(reported(&mut replicas), [(1, None)]);
    assert_eq!(told(&replicas.registered(alone, Registered::Taken)), Some(1));
    let pending = replicas.appended(append(2), Some(OTHER), &store);
    assert_eq!(replicas.orphaned(OTHER, None), [pending]);
    assert_eq!(told(&replicas.copied(pending, None)), None);
    assert_eq!(reported(&mut replicas), [(2, None)]);
    assert_eq!(replicas.alone(THIRD), [alone, pending]);
    assert!(replicas.alone(THIRD).is_empty());
    // The master hears of both; the client of the second waits for both.
    assert_eq!(told(&replicas.registered(pending, Registered::Taken)), None);
    assert!(replicas.is_news(alone, THIRD) && replicas.is_news(pending, THIRD));
    assert!(!replicas.is_news(pending, THIRD));
    assert_eq!(told(&replicas.copied(pending, Some(THIRD))), Some(2));
}

#[test]
fn a_worker_that_joins_again_is_not_alone_before_it_is_placed() {
    let (_dir, store) = store();
    let mut replicas = ReplicaLog::new(ME);
    let before = replicas.appended(append(1), Some(OTHER), &store);
    assert_eq!(replicas.orphaned(OTHER, None), [before]);
    replicas.rejoined(THIRD);
    let since = replicas.appended(append(2), None, &store);
    // Others are there that it does not reach yet.
    assert_eq!(replicas.uncopied(), []);
    for key in [before, since] {
        assert_eq!(told(&replicas.copied(key, None)), None);
        assert_eq!(told(&replicas.registered(key, Registered::Taken)), None);
    }
    assert_eq!(reported(&mut replicas), []);
    let mut alone = replicas;
    let mut reached = ReplicaLog::new(ME);
    reached.rejoined(THIRD);
    let key = reached.appended(append(1), None, &store);
    assert_eq!(reached.alone(OTHER), [key]);
    reached.copied(key, Some(OTHER));
    assert_eq!(reported(&mut reached), [(1, Some(OTHER))]);
    // There is no other worker.
    alone.placed();
    assert_eq!(alone.uncopied(), [before, since]);
    assert_eq!(told(&alone.copied(before, None)), Some(1));
    assert_eq!(told(&alone.copied(since, None)), Some(2));
    assert_eq!(reported(&mut alone), [(1, None), (2, None)]);
    assert_eq!(alone.uncopied(), []);
}

#[test]
fn copies_of_a_lost_worker_get_another_holder() {
    let (_dir, store) = store();
    let mut replicas = ReplicaLog::new(ME);
    let entry = |n: u64| {
        let what = Carried::lines(format!("client, append {n}").into(), 0, None, 2);
        Entry { what, records: 1, client: None }
    };
    let keys = [1, 2].map(|n| (OTHER, SOURCE, n));
    for key in keys {
        replicas.keep(key, entry(key.2), block(), Some(OTHER), &store);
    }
    assert!(replicas.is_shared_with(keys[0], OTHER) && !replicas.is_shared_with(keys[0], THIRD));
    assert_eq!(replicas.orphaned(OTHER, Some(THIRD)), keys);
    assert!(replicas.is_news(keys[0], THIRD) && !replicas.is_news(keys[1], OTHER));
    assert_eq!(replicas.copy_of(keys[1]).unwrap().0, entry(2));
    // It reads them as the new owner; when the batch is complete, the remaining holders drop them.
    begin(&mut replicas, 1, range(OTHER, 1, 3));
    assert!(replicas.missing(&[range(OTHER, 1, 3)]).is_empty());
    assert!(replicas.open(&[range(OTHER, 1, 3)]).is_ok());
    assert_eq!(replicas.release(BatchSeq(2)).drop, [(OTHER, numbers(OTHER, 1, 3))]);
    assert!(replicas.lines.is_empty());
}

#[test]
fn what_is_read_by_who_has_the_copy_is_dropped_by_all_others() {
    let (_dir, store) = store();
    let mut replicas = ReplicaLog::new(ME);
    let key = replicas.appended(append(1), Some(OTHER), &store);
    replicas.copied(key, Some(OTHER));
    // The answer of the master is on its way while the batch is over already.
    let released = replicas.drop(numbers(ME, 1, 2), Some(THIRD));
    assert_eq!(released.drop, [(OTHER, numbers(ME, 1, 2))]);
    assert_eq!(released.safe.iter().map(|append| append.number).collect::<Vec<_>>(), [1]);
    assert_eq!(told(&replicas.registered(key, Registered::Taken)), None, "it was told");
    let key = replicas.appended(append(2), Some(OTHER), &store);
    assert!(replicas.drop(BlockRange::one(key), Some(OTHER)).drop.is_empty());
    assert!(
        replicas.lines.is_empty() && replicas.waiting == 0 && reported(&mut replicas).is_empty()
    );
}

#[test]
fn of_a_forgotten_worker_nothing_is_kept() {
    let (_dir, store) = store();
    let mut replicas = ReplicaLog::new(ME);
    let entry = Entry { what: Carried::lines("x".into(), 0, None, 2), records: 1, client: None };
    let keep = |replicas: &mut ReplicaLog, receiver, number| {
        replicas.keep((receiver, SOURCE, number), entry.clone(), block(), Some(THIRD), &store);
    };
    keep(&mut replicas, OTHER, 1);
    keep(&mut replicas, THIRD, 1);
    replicas.forget(OTHER, SOURCE, RangeSet::all());
    keep(&mut replicas, OTHER, 2);
    assert_eq!(replicas.lines.keys().collect::<Vec<_>>(), [&(THIRD, SOURCE, 1)]);
}

#[test]
fn gaps_are_what_is_not_held() {
    let (_dir, store) = store();
    let mut replicas = ReplicaLog::new(ME);
    for number in [2, 3, 6] {
        let entry =
            Entry { what: Carried::lines("x".into(), 0, None, 2), records: 1, client: None };
        replicas.keep((OTHER, SOURCE, number), entry, block(), None, &store);
    }
    let gaps = |from, to| {
        let gaps = replicas.gaps(numbers(OTHER, from, to));
        gaps.into_iter().map(|gap| (gap.from, gap.to)).collect::<Vec<_>>()
    };
    assert_eq!(gaps(1, 9), [(1, 2), (4, 6), (7, 9)]);
    assert_eq!(gaps(2, 4), []);
    assert_eq!(gaps(0, u64::MAX), [(0, 2), (4, 6), (7, u64::MAX)]);
    assert_eq!(gaps(5, 5), []);
    assert_eq!(gaps(7, 3), []);
    let missing = replicas.missing(&[range(OTHER, 5, 8), range(ME, 1, 2)]);
    assert_eq!(missing, [(OTHER, SOURCE, 5), (OTHER, SOURCE, 7), (ME, SOURCE, 1)]);
}

mod asking {
    use std::time::{Duration, Instant};

    use super::super::fetches::{Nowhere, PendingFetches};
    use super::*;
    use crate::id::{Attempt, StageId};
    use crate::sched::worker::RunTask;
    use crate::time::BatchTime;

    fn run(batch: u64) -> RunTask {
        RunTask {
            task: TaskId { batch: BatchSeq(batch), stage: StageId(0), partition: Partition(0) },
            attempt: Attempt(0),
            time: BatchTime(0),
            reach: Vec::new().into(),
            emits: true,
            inputs: Vec::new(),
            ranges: Vec::new(),
        }
    }

    fn key(number: u64) -> Key {
        (OTHER, SOURCE, number)
    }

    #[test]
    fn the_receiver_is_asked_first_and_then_all_workers() {
        let mut fetches = PendingFetches::default();
        let there = [OTHER, THIRD];
        let missing = [key(1), key(2), key(4)];
        let asked = fetches.want(run(1), &missing, &there);
        assert_eq!(asked, [(OTHER, numbers(OTHER, 1, 3)), (OTHER, numbers(OTHER, 4, 5))]);
        assert!(fetches.came(key(1)).is_none() && fetches.came(key(1)).is_none());
        // A worker that comes meanwhile is asked only if the receiver has no more to say.
        assert!(fetches.is_there(WorkerId(4)).is_empty());
        let requests = fetches.gone(OTHER, &[THIRD]);
        assert_eq!(requests, [(THIRD, numbers(OTHER, 2, 3)), (THIRD, numbers(OTHER, 4, 5))]);
        assert_eq!(fetches.is_there(WorkerId(4)).len(), 2);
        assert!(fetches.is_there(WorkerId(4)).is_empty() && fetches.is_there(THIRD).is_empty());
        assert!(fetches.came(key(2)).is_none());
        assert_eq!(fetches.came(key(4)), Some(run(1)));
        assert!(fetches.gone(THIRD, &[]).is_empty());
    }

    #[test]
    fn what_no_worker_has_is_named_once_all_have_answered() {
        let mut fetches = PendingFetches::default();
        let nowhere = |fetches: &PendingFetches| {
            let Nowhere { all, asked } = fetches.nowhere();
            (all, asked.into_iter().collect::<Vec<_>>())
        };
        let missing = [key(1), key(2), key(7)];
        fetches.want(run(1), &missing, &[THIRD, WorkerId(4)]);
        assert!(fetches.not_at(THIRD, numbers(OTHER, 1, 9), &[THIRD]).is_empty());
        assert_eq!(nowhere(&fetches), (vec![], vec![]), "one owes an answer");
        assert!(
            fetches.not_at(WorkerId(4), numbers(OTHER, 2, 8), &[THIRD, WorkerId(4)]).is_empty()
        );
        let asked = vec![THIRD, WorkerId(4)];
        let some = vec![numbers(OTHER, 2, 3), numbers(OTHER, 7, 8)];
        assert_eq!(nowhere(&fetches), (some, asked.clone()));
        // The one that is gone may have given it to the other one, whose answer is from before that.
        let again = fetches.gone(WorkerId(4), &[THIRD]);
        assert_eq!(again, [(THIRD, numbers(OTHER, 1, 3)), (THIRD, numbers(OTHER, 7, 8))]);
        assert_eq!(nowhere(&fetches), (vec![], vec![]));
        assert!(fetches.not_at(THIRD, numbers(OTHER, 1, 9), &[THIRD]).is_empty());
        let all = vec![numbers(OTHER, 1, 3), numbers(OTHER, 7, 8)];
        assert_eq!(nowhere(&fetches), (all, vec![THIRD]));
        // Another one comes, and may have all of it.
        assert_eq!(fetches.is_there(WorkerId(9)).len(), 2);
        assert_eq!(nowhere(&fetches), (vec![], vec![]));
        let mut lost = RangeSet::default();
        [2, 3, 7].into_iter().for_each(|number| assert!(lost.insert(number)));
        assert_eq!(fetches.lost(OTHER, SOURCE, &lost), [key(2), key(7)]);
    }

    #[test]
    fn an_answer_from_before_a_loss_is_stale() {
        let mut fetches = PendingFetches::default();
        fetches.want(run(1), &[key(1)], &[THIRD, WorkerId(4)]);
        // It owes an answer, which may be on its way, and another one after the loss.
        assert_eq!(fetches.gone(WorkerId(4), &[THIRD]), [(THIRD, numbers(OTHER, 1, 2))]);
        fetches.not_at(THIRD, numbers(OTHER, 1, 2), &[THIRD]);
        assert_eq!(fetches.nowhere(), Nowhere::default());
        fetches.not_at(THIRD, numbers(OTHER, 1, 2), &[THIRD]);
        assert_eq!(fetches.nowhere().all, [numbers(OTHER, 1, 2)]);
    }

    #[test]
    fn a_lone_holder_that_comes_again_is_asked() {
        let mut fetches = PendingFetches::default();
        assert!(fetches.want(run(2), &[key(1)], &[]).is_empty());
        let again = WorkerId(9);
        assert_eq!(fetches.is_there(again), [(again, numbers(OTHER, 1, 2))]);
        assert_eq!(fetches.came(key(1)), Some(run(2)));
    }

    #[test]
    fn what_all_have_denied_is_asked_for_again_and_is_nowhere_meanwhile() {
        let (mut fetches, begun) = (PendingFetches::default(), Instant::now());
        let at = |ms| begun + Duration::from_millis(ms);
        let all = [numbers(OTHER, 1, 2)];
        assert_eq!(fetches.again(at(0), &[THIRD]), []);
        fetches.want(run(1), &[key(1)], &[THIRD]);
        assert_eq!(fetches.again(at(1000), &[THIRD]), [], "it owes its first answer");
        fetches.not_at(THIRD, all[0], &[THIRD]);
        assert_eq!(fetches.again(at(1900), &[THIRD]), [], "it is not time");
        assert_eq!(fetches.again(at(2000), &[THIRD]), [(THIRD, all[0])]);
        assert_eq!(fetches.nowhere().all, all);
        assert_eq!(fetches.again(at(3000), &[THIRD]), [], "it owes an answer");
        // Of two answers that it owes after a loss the first one is stale.
        fetches.gone(WorkerId(4), &[THIRD]);
        assert_eq!(fetches.nowhere().all, []);
        fetches.not_at(THIRD, all[0], &[THIRD]);
        assert_eq!(fetches.nowhere().all, []);
        fetches.not_at(THIRD, all[0], &[THIRD]);
        assert_eq!(fetches.nowhere().all, all);
        assert_eq!(fetches.came(key(1)), Some(run(1)));
        assert_eq!(fetches.again(at(9000), &[THIRD]), []);
    }

    #[test]
    fn a_batch_that_is_over_asks_no_more() {
        let mut fetches = PendingFetches::default();
        fetches.want(run(1), &[key(1)], &[THIRD]);
        fetches.want(run(2), &[key(2)], &[THIRD]);
        fetches.forget(BatchSeq(2));
        assert!(fetches.came(key(1)).is_none());
        assert_eq!(fetches.came(key(2)), Some(run(2)));
    }
}
