//! Tables against a list that is searched from the front.

use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::hash::class_of_len;
use super::*;

/// What a table must do.
#[derive(Default)]
struct Model(Vec<(Vec<u8>, u64)>);

impl Model {
    fn upsert(&mut self, key: &[u8], x: u64) -> bool {
        match self.0.iter_mut().find(|(k, _)| k == key) {
            Some((_, value)) => {
                // Not commutative, so that the order of updates shows.
                *value = value.wrapping_mul(3) + x;
                false
            }
            None => {
                self.0.push((key.to_vec(), x));
                true
            }
        }
    }

    fn remove(&mut self, key: &[u8]) -> Option<u64> {
        let at = self.0.iter().position(|(k, _)| k == key)?;
        Some(self.0.remove(at).1)
    }
}

fn update(value: &mut u64, x: u64) {
    *value = value.wrapping_mul(3) + x;
}

fn assert_same(table: &KeyTable<u64>, model: &Model, hash: fn(&[u8]) -> u64) {
    let got: Vec<_> = table.iter().map(|(key, _, value)| (key.to_vec(), *value)).collect();
    assert_eq!(got, model.0);
    assert_eq!(table.len(), model.0.len());
    assert_eq!(table.is_empty(), model.0.is_empty());
    for (key, value) in &model.0 {
        let entry = table.find(key, hash(key)).expect("in the model");
        assert_eq!(table.key(entry), key);
        assert_eq!(table.hash(entry), hash(key));
        assert_eq!(table.value(entry), value);
    }
    assert!(table.iter().all(|(key, h, _)| h == hash(key)));
}

#[derive(Debug, Clone)]
enum Step {
    Upsert(Vec<u8>),
    Gather(Vec<Vec<u8>>),
    Find(Vec<u8>),
    Remove(Vec<u8>),
    RemoveFirst(usize),
    Retain(u64),
    Clear,
    Drain,
}

/// Keys that often differ only in trailing zeros, or after 16 bytes.
fn keys() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(0u8), Just(b'a'), Just(255)];
    prop_oneof![
        4 => vec(byte, 0..4),
        1 => (0usize..40).prop_map(|len| vec![b'a'; len]),
        1 => (0usize..40).prop_map(|len| { let mut k = vec![0; len]; k.iter_mut().take(3).for_each(|b| *b = 1); k }),
        1 => vec(any::<u8>(), 0..40),
        4 => (0u64..200).prop_map(|n| n.to_le_bytes().to_vec()),
        2 => (0u8..50).prop_map(|n| { let mut k = vec![b'x'; 16]; k.push(n); k }),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        20 => keys().prop_map(Step::Upsert),
        6 => vec(keys(), 0..150).prop_map(Step::Gather),
        4 => keys().prop_map(Step::Find),
        8 => keys().prop_map(Step::Remove),
        2 => (1usize..80).prop_map(Step::RemoveFirst),
        2 => (1u64..5).prop_map(Step::Retain),
        1 => Just(Step::Clear),
        1 => Just(Step::Drain),
    ];
    vec(step, 0..60)
}

fn run(steps: Vec<Step>, hash: fn(&[u8]) -> u64) {
    let (mut table, mut model, mut x) = (KeyTable::new(), Model::default(), 0);
    for step in steps {
        x += 1;
        match step {
            Step::Upsert(key) => {
                let (entry, new) = table.upsert_with(&key, hash(&key), x, |x| x, update);
                assert_eq!(new, model.upsert(&key, x));
                assert_eq!(table.key(entry), key);
            }
            Step::Gather(keys) => {
                let mut gather = Gather::new();
                for (key, x) in keys.iter().zip(x..) {
                    model.upsert(key, x);
                    if gather.push(key, x) {
                        gather.drain_by(hash, &mut table, |x| x, update);
                    }
                }
                gather.drain_by(hash, &mut table, |x| x, update);
                assert!(gather.is_empty());
            }
            Step::Find(key) => {
                let found = table.find(&key, hash(&key)).map(|entry| *table.value_mut(entry));
                assert_eq!(found, model.0.iter().find(|(k, _)| *k == key).map(|(_, v)| *v));
            }
            Step::Remove(key) => assert_eq!(table.remove(&key, hash(&key)), model.remove(&key)),
            Step::RemoveFirst(count) => {
                for (key, value) in model.0.drain(..count.min(model.0.len())) {
                    assert_eq!(table.remove(&key, hash(&key)), Some(value));
                }
            }
            Step::Retain(n) => {
                let keep = |key: &[u8], value: u64| (key.len() as u64 + value) % n != 1;
                table.retain(|key, h, value| {
                    assert_eq!(h, hash(key));
                    keep(key, *value)
                });
                model.0.retain(|(key, value)| keep(key, *value));
            }
            Step::Clear => {
                table.clear();
                model.0.clear();
            }
            Step::Drain => {
                let mut got = Vec::new();
                table.drain(|key, h, value| {
                    assert_eq!(h, hash(key));
                    got.push((key.to_vec(), value));
                });
                assert_eq!(got, std::mem::take(&mut model.0));
            }
        }
        assert_same(&table, &model, hash);
    }
}

/// All keys of a class ask for one of two slots, and have one of two tags.
fn colliding(key: &[u8]) -> u64 {
    let hash = hash_key(key);
    1 << 63 | (hash >> 20 & 1) << 32 | (hash >> 21 & 1) << 5 | class_of_len(key.len())
}

/// Long keys are told apart by their bytes alone.
fn same(key: &[u8]) -> u64 {
    1 << 63 | class_of_len(key.len())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 300 }))]

    #[test]
    fn tables_are_lists(steps in steps()) {
        run(steps, hash_key);
    }

    #[test]
    fn collisions_change_nothing(steps in steps()) {
        run(steps.clone(), colliding);
        run(steps, same);
    }
}

#[test]
fn many_keys() {
    let keys = if cfg!(miri) { 500 } else { 50_000u64 };
    let (mut table, mut expected) = (KeyTable::with_capacity(10), HashMap::new());
    let mut gather = Gather::new();
    for n in 0..keys * 4 {
        let key = format!("{}{}", "long ".repeat((n % 5) as usize), n * n % keys);
        *expected.entry(key.clone()).or_insert(0) += n;
        if gather.push(key.as_bytes(), n) {
            gather.drain(&mut table, |n| n, |sum, n| *sum += n);
        }
    }
    gather.drain(&mut table, |n| n, |sum, n| *sum += n);
    assert_eq!(table.len(), expected.len());
    for (key, value) in &expected {
        let entry = table.find(key.as_bytes(), hash_key(key.as_bytes())).expect("was upserted");
        assert_eq!(table.value(entry), value);
    }
    assert!(table.memory() > table.len() * 32);
}

#[test]
fn values_may_own_memory() {
    let mut table = KeyTable::new();
    for word in ["b", "a", "b", "c", "a"] {
        let word = word.as_bytes();
        table.upsert(word, hash_key(word), || vec![1], |all| all.push(1));
    }
    assert_eq!(table.remove(b"a", hash_key(b"a")), Some(vec![1, 1]));
    assert_eq!(table.remove(b"a", hash_key(b"a")), None);
    let left: Vec<_> = table.iter().map(|(key, _, all)| (key.to_vec(), all.len())).collect();
    assert_eq!(left, [(b"b".to_vec(), 2), (b"c".to_vec(), 1)]);
    assert_eq!(table.clone().len(), 2);
}

#[test]
fn a_table_that_is_emptied_keeps_its_memory() {
    let mut table = KeyTable::new();
    for n in 0..1000u64 {
        table.upsert(&n.to_le_bytes(), hash_key(&n.to_le_bytes()), || n, |_| ());
    }
    let memory = table.memory();
    table.clear();
    assert_eq!((table.len(), table.memory()), (0, memory));
    for n in 0..3u64 {
        table.upsert(&n.to_le_bytes(), hash_key(&n.to_le_bytes()), || n, |_| ());
    }
    table.clear();
    assert!(
        (0..1000u64)
            .all(|n| { table.find(&n.to_le_bytes(), hash_key(&n.to_le_bytes())).is_none() })
    );
}

#[test]
fn removal_does_not_pile_up() {
    let mut table = KeyTable::new();
    for n in 0..20_000u64 {
        let key = format!("a key that is long {n}");
        table.upsert(key.as_bytes(), hash_key(key.as_bytes()), || n, |_| ());
        if let Some(old) = n.checked_sub(10) {
            let key = format!("a key that is long {old}");
            assert_eq!(table.remove(key.as_bytes(), hash_key(key.as_bytes())), Some(old));
        }
    }
    assert_eq!(table.len(), 10);
    assert!(table.memory() < 20_000, "{}", table.memory());
}

#[test]
fn a_gather_that_is_fuller_than_full_loses_nothing() {
    let (mut table, mut gather) = (KeyTable::new(), Gather::new());
    for n in 0..1000u64 {
        let _full = gather.push(&n.to_le_bytes(), n);
    }
    gather.drain(&mut table, |n| n, |_, _| unreachable!("keys are distinct"));
    assert!(table.iter().map(|(_, _, n)| *n).eq(0..1000));
}

#[test]
fn rows_in_groups_are_rows_one_by_one() {
    let keys: Vec<String> =
        (0..500u64).map(|n| format!("{}", n * n % 97).repeat(n as usize % 9)).collect();
    let rows = || keys.iter().map(|key| (key.as_bytes(), hash_key(key.as_bytes()), 1u64));
    let (mut grouped, mut single) = (KeyTable::new(), KeyTable::new());
    for _ in 0..2 {
        grouped.upsert_rows(rows(), |n| n, |sum, n| *sum += n);
        rows().for_each(|(key, hash, n)| {
            single.upsert_with(key, hash, n, |n| n, |sum, n| *sum += n);
        });
    }
    assert!(grouped.iter().eq(single.iter()));
    // Entries may go, and move, while a group is looked at.
    grouped.in_groups(rows().chain(rows()), |table, key, hash, _| {
        assert_eq!(table.remove(key, hash).is_some(), single.remove(key, hash).is_some());
    });
    assert!(grouped.is_empty() && single.is_empty());
}
