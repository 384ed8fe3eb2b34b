use super::*;
use crate::block::BufferPool;
use crate::store::StoreOptions;

const ME: WorkerId = WorkerId(3);
const SOURCE: SourceId = SourceId(0);

fn key(number: u64) -> Key {
    (WorkerId(9), SOURCE, number)
}

fn numbers(from: u64, to: u64) -> BlockRange {
    BlockRange { receiver: WorkerId(9), source: SOURCE, from, to }
}

fn workers<const N: usize>(ids: [u32; N]) -> BTreeSet<WorkerId> {
    ids.map(WorkerId).into()
}

/// A worker that holds this many lines of another one.
fn holding(lines: u64) -> ReplicaLog {
    let store = BlockStore::new(StoreOptions::new(1 << 20, std::path::Path::new("unused")));
    let mut replicas = ReplicaLog::new(ME);
    for number in 1..=lines {
        take(&mut replicas, number, &store);
    }
    replicas
}

fn take(replicas: &mut ReplicaLog, number: u64, store: &BlockStore) {
    let mut buffer = BufferPool::new(0).take(2);
    buffer.bytes_mut().extend_from_slice(b"x\n");
    let what = Carried::lines("a client".into(), 0, None, 2);
    let entry = Entry { what, records: 1, client: None };
    replicas.keep(key(number), entry, Block::raw(buffer), Some(WorkerId(9)), store);
}

fn asks(steps: &[Step]) -> Vec<(u32, u64)> {
    let ask = |step: &Step| match step {
        Step::Ask(worker, round, _) => Some((worker.0, *round)),
        _ => None,
    };
    steps.iter().filter_map(ask).collect()
}

fn copies(steps: &[Step]) -> Vec<(u32, u64)> {
    let copy = |step: &Step| match step {
        Step::Copy(worker, (.., number)) => Some((worker.0, *number)),
        _ => None,
    };
    steps.iter().filter_map(copy).collect()
}

fn over(steps: Vec<Step>) -> Option<HandedOver> {
    steps.into_iter().find_map(|step| match step {
        Step::Over(over) => Some(over),
        _ => None,
    })
}

#[test]
fn a_worker_that_holds_nothing_goes_at_once() {
    let steps = holding(0).hand_over(workers([1, 2]));
    assert_eq!(steps, [Step::Over(HandedOver::default())]);
    let steps = holding(0).hand_over(workers([]));
    assert_eq!(steps, [Step::Over(HandedOver::default())]);
}

#[test]
fn what_too_few_hold_is_copied_and_acknowledged_first() {
    let mut replicas = holding(3);
    let steps = replicas.hand_over(workers([1, 5, 9]));
    assert_eq!(asks(&steps), [(1, 1), (5, 1), (9, 1)]);
    let Step::Ask(_, _, all) = &steps[0] else { panic!("{steps:?}") };
    assert_eq!(*all, [numbers(1, 4)]);
    // The one that had received them says so; another one has one of them.
    assert_eq!(replicas.held_by(WorkerId(9), 1, &[numbers(1, 4)]), []);
    assert_eq!(replicas.held_by(WorkerId(1), 1, &[numbers(2, 3)]), []);
    let steps = replicas.held_by(WorkerId(5), 1, &[]);
    assert_eq!(copies(&steps), [(5, 1), (5, 3)]);
    assert!(over(steps).is_none());
    assert_eq!(replicas.handed_to(WorkerId(5), key(1)), []);
    assert!(!replicas.has_handed_over());
    let done = over(replicas.handed_to(WorkerId(5), key(3))).expect("two others hold each");
    assert!(replicas.has_handed_over());
    let of = |worker: u32, from, to| (WorkerId(worker), numbers(from, to));
    assert_eq!(done.to, workers([1, 5, 9]).into_iter().collect::<Vec<_>>());
    assert_eq!(done.holders, [of(1, 2, 3), of(5, 1, 2), of(5, 3, 4), of(9, 1, 4)]);
    let instead = |to: u32, from, end, by: u32| (WorkerId(to), numbers(from, end), WorkerId(by));
    let expected = [
        instead(1, 2, 3, 9),
        instead(5, 1, 2, 9),
        instead(5, 3, 4, 9),
        instead(9, 2, 3, 1),
        instead(9, 1, 2, 5),
        instead(9, 3, 4, 5),
    ];
    assert_eq!(done.instead, expected);
}

#[test]
fn answers_from_before_a_worker_went_do_not_count() {
    let mut replicas = holding(1);
    replicas.hand_over(workers([1, 9]));
    assert_eq!(replicas.held_by(WorkerId(9), 1, &[numbers(1, 2)]), []);
    assert_eq!(replicas.hand_over(workers([1, 9])), [], "that is under way");
    // It was dead when it seemed to hold them.
    assert_eq!(asks(&replicas.hand_over(workers([1]))), [(1, 2)]);
    assert_eq!(replicas.held_by(WorkerId(1), 1, &[numbers(1, 2)]), [], "of the round before");
    let steps = replicas.held_by(WorkerId(1), 2, &[]);
    assert_eq!(copies(&steps), [(1, 1)]);
    // No other worker is left: it stays until there is one.
    assert_eq!(replicas.hand_over(workers([])), []);
    assert_eq!(replicas.handed_to(WorkerId(1), key(1)), []);
    assert_eq!(asks(&replicas.hand_over(workers([4]))), [(4, 4)]);
    assert_eq!(replicas.handed_to(WorkerId(4), key(1)), [], "nothing was sent in this round");
    assert_eq!(copies(&replicas.held_by(WorkerId(4), 4, &[])), [(4, 1)]);
    let done = over(replicas.handed_to(WorkerId(4), key(1))).expect("all others hold it");
    assert_eq!((done.to, done.instead), (vec![WorkerId(4)], Vec::new()));
}

#[test]
fn what_comes_meanwhile_is_handed_over_too_and_what_is_over_is_not() {
    let store = BlockStore::new(StoreOptions::new(1 << 20, std::path::Path::new("unused")));
    let mut replicas = holding(2);
    replicas.hand_over(workers([9]));
    assert_eq!(replicas.held_by(WorkerId(9), 1, &[numbers(1, 2)]).len(), 1);
    take(&mut replicas, 3, &store);
    assert_eq!(copies(&replicas.go_on_handing_over()), [(9, 3)]);
    assert_eq!(replicas.handed_to(WorkerId(9), key(2)), []);
    replicas.drop(numbers(3, 4), None);
    let done = over(replicas.go_on_handing_over()).expect("all that is left is held");
    assert_eq!(done.holders, [(WorkerId(9), numbers(1, 3))]);
}

#[test]
fn another_holder_counts_in_place_of_the_one_that_leaves() {
    let mut replicas = holding(2);
    replicas.keep_other(key(2), WorkerId(5));
    let settled = replicas.instead(numbers(1, 3), WorkerId(9), WorkerId(4));
    assert_eq!(settled.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [key(1)]);
    assert!(replicas.is_shared_with(key(1), WorkerId(4)));
    assert!(replicas.is_shared_with(key(2), WorkerId(5)));
}

impl ReplicaLog {
    fn keep_other(&mut self, key: Key, other: WorkerId) {
        self.lines.get_mut(&key).expect("it is here").other = Some(other);
    }
}
