//! Blocks against the records that went into them, and the decoders against everything else.

use proptest::prelude::*;
use rkyv::util::AlignedVec;
use xxhash_rust::xxh3::xxh3_64;

use super::*;
use crate::record::KeyReader;

type Pair = (String, u64);
type Nested = (u32, Vec<(String, Option<i64>)>, Option<Vec<String>>);

fn pool() -> BufferPool {
    BufferPool::new(1 << 20)
}

fn rows_of<R: Record>(records: &[R]) -> Option<Block> {
    let mut builder = RowsBuilder::<R>::new(&pool(), 0);
    for record in records {
        builder.push(record.view()).unwrap();
    }
    assert_eq!(builder.len(), records.len());
    builder.finish()
}

fn keyed_of<K: Key, V: Record>(records: &[(K, V)]) -> Option<Block> {
    let mut builder = KeyedBuilder::<V>::new(&pool(), K::WIDTH, records.len());
    let mut key = Vec::new();
    for (k, v) in records {
        key.clear();
        K::write(k.view(), &mut key);
        builder.push(&key, xxh3_64(&key), v.view()).unwrap();
    }
    builder.finish(keyed_schema::<K, V>())
}

fn from_file(block: &Block) -> Bytes {
    block.to_bytes().into()
}

fn rows_round_trip<R: Record + PartialEq + std::fmt::Debug>(records: &[R]) {
    let Some(block) = rows_of(records) else {
        return assert!(records.is_empty());
    };
    let back = Block::open_rows::<R>(from_file(&block)).unwrap();
    for block in [&block, &back] {
        assert_eq!(block.records(), records.len() as u64);
        assert_eq!(block.kind(), Kind::Rows);
        let rows = block.rows::<R>().unwrap();
        assert_eq!(rows.iter().map(R::own).collect::<Vec<_>>(), records);
        assert_eq!(rows.iter().len(), records.len());
        assert!(rows.get(records.len()).is_none());
    }
    assert_eq!(&back.to_bytes()[..], &block.to_bytes()[..]);
}

fn keyed_round_trip<K, V>(records: &[(K, V)])
where
    K: Key + PartialEq + std::fmt::Debug,
    V: Record + PartialEq + std::fmt::Debug,
{
    let Some(block) = keyed_of(records) else {
        return assert!(records.is_empty());
    };
    let back = Block::open_keyed::<K, V>(from_file(&block)).unwrap();
    for block in [&block, &back] {
        let rows = block.keyed::<V>().unwrap();
        assert_eq!(rows.len(), records.len());
        let read = |key| K::own(K::read(&mut KeyReader::new(key)));
        for (i, KeyedRow { key, hash, value }) in rows.iter().enumerate() {
            assert_eq!((key, hash), (rows.key(i), rows.hash(i)));
            assert_eq!(hash, xxh3_64(key));
            assert_eq!((&read(key), &V::own(value)), (&records[i].0, &records[i].1));
            assert_eq!(V::own(rows.value(i)), records[i].1);
        }
        assert_eq!(rows.iter().count(), records.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 64 }, failure_persistence: None, ..Default::default() })]

    #[test]
    fn rows_come_back(
        numbers in prop::collection::vec(any::<u64>(), 0..50),
        texts in prop::collection::vec(".{0,20}", 0..50),
        pairs in prop::collection::vec((".{0,12}", any::<u64>()), 0..50),
        inline in prop::collection::vec((any::<bool>(), any::<Option<i32>>(), any::<char>()), 0..50),
    ) {
        rows_round_trip::<u64>(&numbers);
        rows_round_trip::<String>(&texts);
        rows_round_trip::<Pair>(&pairs);
        rows_round_trip::<(bool, Option<i32>, char)>(&inline);
    }

    #[test]
    fn nested_rows_come_back(records in prop::collection::vec(
        (any::<u32>(), prop::collection::vec((".{0,12}", any::<Option<i64>>()), 0..4),
         prop::option::of(prop::collection::vec(".{0,12}", 0..3))), 0..30,
    )) {
        rows_round_trip::<Nested>(&records);
    }

    #[test]
    fn keyed_rows_come_back(
        words in prop::collection::vec((".{0,12}", any::<u64>()), 0..50),
        fixed in prop::collection::vec(((any::<u16>(), any::<bool>()), ".{0,12}"), 0..50),
        mixed in prop::collection::vec(((".{0,5}", any::<Option<u8>>()), (any::<i64>(), ".{0,12}")), 0..50),
    ) {
        keyed_round_trip::<String, u64>(&words);
        keyed_round_trip::<(u16, bool), String>(&fixed);
        keyed_round_trip::<(String, Option<u8>), (i64, String)>(&mixed);
    }

    /// Garbage with a valid header: whatever the decoder accepts can be read completely.
    #[test]
    fn garbage_with_a_valid_checksum_is_refused_or_readable(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let pairs = [("a long text, out of line".to_owned(), 1u64), ("b".into(), 2), (String::new(), 3)];
        let edit = |block: &Block| {
            let mut body = AlignedVec::<BLOCK_ALIGN>::new();
            body.extend_from_slice(block.body());
            for (at, byte) in &edits {
                let at = at.index(body.len());
                body[at] = *byte;
            }
            let header = Header::seal(block.kind(), block.schema(), block.records(), &body);
            let mut bytes = AlignedVec::<BLOCK_ALIGN>::new();
            bytes.extend_from_slice(header.as_bytes());
            bytes.extend_from_slice(&body);
            Bytes::from(bytes)
        };
        if let Ok(block) = Block::open_rows::<Pair>(edit(&rows_of(&pairs).unwrap())) {
            prop_assert_eq!(block.rows::<Pair>().unwrap().iter().map(Pair::own).count(), 3);
        }
        if let Ok(block) = Block::open_keyed::<String, u64>(edit(&keyed_of(&pairs).unwrap())) {
            prop_assert_eq!(block.keyed::<u64>().unwrap().iter().count(), 3);
        }
    }
}

/// Decodes a block with changed bytes.
fn opened(
    block: &Block,
    change: impl FnOnce(&mut AlignedVec<BLOCK_ALIGN>),
) -> Result<Block, DecodeError> {
    let mut bytes = block.to_bytes();
    change(&mut bytes);
    Block::open_keyed::<String, u64>(bytes.into())
}

fn small() -> Block {
    keyed_of(&[("word".to_owned(), 1u64), ("a rather long key".into(), 2)]).unwrap()
}

#[test]
fn every_flipped_bit_is_refused() {
    let block = small();
    for bit in 0..block.byte_len() * 8 {
        let result = opened(&block, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        assert!(result.is_err(), "bit {bit}");
    }
    assert!(opened(&block, |_| ()).is_ok());
}

#[test]
fn every_other_length_is_refused() {
    let block = small();
    for len in 0..block.byte_len() {
        let error = opened(&block, |bytes| bytes.resize(len, 0)).unwrap_err();
        let expected = if len < HEADER_LEN {
            DecodeError::Truncated { has: len }
        } else {
            DecodeError::Length { expected: block.body().len(), found: len - HEADER_LEN }
        };
        assert_eq!(error, expected);
    }
    let longer = opened(&block, |bytes| bytes.push(0)).unwrap_err();
    assert!(matches!(longer, DecodeError::Length { .. }));
}

#[test]
fn what_is_no_block_of_this_version_is_named() {
    let block = small();
    assert_eq!(opened(&block, |b| b[0] = b'x').unwrap_err(), DecodeError::Magic);
    assert_eq!(opened(&block, |b| b[8] = 9).unwrap_err(), DecodeError::Version { found: 9 });
    assert_eq!(opened(&block, |b| b[33] ^= 1).unwrap_err(), DecodeError::HeaderChecksum);
    let sealed = |at: usize, value: u8| {
        opened(&block, |b| {
            b[at] = value;
            let checksum = xxh3_64(&b[..56]);
            b[56..64].copy_from_slice(&checksum.to_le_bytes());
        })
        .unwrap_err()
    };
    assert_eq!(sealed(10, 7), DecodeError::UnknownKind { found: 7 });
    assert_eq!(sealed(11, 1), DecodeError::Flags);
    assert_eq!(sealed(48, 1), DecodeError::Flags);
    assert!(matches!(sealed(31, 1), DecodeError::TooLong { .. }));
    assert_eq!(sealed(32, 3), DecodeError::Records { expected: 3, found: 2 });
    let last = block.byte_len() - 1;
    let damaged = opened(&block, |b| b[last] ^= 1).unwrap_err();
    assert!(matches!(damaged, DecodeError::BodyChecksum { .. }));
}

/// Miri has no file maps.
#[cfg(not(miri))]
#[test]
fn misaligned_bytes_are_refused() {
    // Only a mapped file can place a block at a misaligned address.
    let mut map = memmap2::MmapMut::map_anon(4096).unwrap();
    let block = small();
    map[8..8 + block.byte_len()].copy_from_slice(&block.to_bytes());
    map[1024..1024 + block.byte_len()].copy_from_slice(&block.to_bytes());
    let map = Arc::new(map.make_read_only().unwrap());
    let at = |start, len| {
        Block::open_keyed::<String, u64>(Bytes::Mapped { map: map.clone(), start, len })
    };
    assert_eq!(at(8, block.byte_len()).unwrap_err(), DecodeError::Misaligned);
    assert_eq!(at(4095, 64).unwrap_err(), DecodeError::Truncated { has: 0 });
    assert_eq!(at(usize::MAX, 64).unwrap_err(), DecodeError::Truncated { has: 0 });
    let good = at(1024, block.byte_len()).unwrap();
    assert_eq!(good.keyed::<u64>().unwrap().iter().map(|row| row.value).sum::<u64>(), 3);
}

#[test]
fn another_type_is_refused() {
    let keyed = small();
    let rows = rows_of(&[("word".to_owned(), 1u64)]).unwrap();
    let schema = Block::open_keyed::<String, u32>(from_file(&keyed)).unwrap_err();
    assert!(matches!(schema, DecodeError::Schema { .. }));
    let kind = Block::open_rows::<Pair>(from_file(&keyed)).unwrap_err();
    assert_eq!(kind, DecodeError::Kind { expected: Kind::Rows, found: Kind::Keyed });
    let kind = Block::open_keyed::<String, u64>(from_file(&rows)).unwrap_err();
    assert_eq!(kind, DecodeError::Kind { expected: Kind::Keyed, found: Kind::Rows });
    assert!(matches!(keyed.keyed::<String>(), Err(DecodeError::Type { .. })));
    assert!(matches!(rows.rows::<String>(), Err(DecodeError::Type { .. })));
    assert!(matches!(rows.keyed::<Pair>(), Err(DecodeError::Kind { .. })));
}

#[test]
fn keys_that_no_type_has_are_refused() {
    let build = |width, records: &[&[u8]], schema| {
        let mut builder = KeyedBuilder::<u64>::new(&pool(), width, 0);
        for key in records {
            builder.push(key, 0, 1).unwrap();
        }
        builder.finish(schema).unwrap()
    };
    let text = keyed_schema::<String, u64>();
    let bad = build(None, &[b"good", b"\xff"], text);
    let error = Block::open_keyed::<String, u64>(from_file(&bad)).unwrap_err();
    assert_eq!(error, DecodeError::Key { index: 1 });
    // Keys of one width for a type without one, and the reverse.
    let bad = build(Some(4), &[b"four"], text);
    let error = Block::open_keyed::<String, u64>(from_file(&bad)).unwrap_err();
    assert_eq!(error, DecodeError::KeyColumn);
    let bad = build(None, &[b"eight by", b"tes here"], keyed_schema::<u64, u64>());
    let error = Block::open_keyed::<u64, u64>(from_file(&bad)).unwrap_err();
    assert_eq!(error, DecodeError::KeyColumn);
}

#[test]
fn nothing_makes_no_block() {
    assert!(rows_of::<u64>(&[]).is_none());
    assert!(keyed_of::<String, u64>(&[]).is_none());
}

#[test]
fn a_full_builder_refuses_and_stays_as_it_was() {
    let text = "a text of thirty-two characters!".to_owned();
    let mut rows = RowsBuilder::<String>::with_limit(&pool(), 0, 1024);
    let mut keyed = KeyedBuilder::<String>::with_limit(&pool(), Some(8), 4, 1024);
    let long = "x".repeat(2000);
    assert!(matches!(rows.push(&long), Err(PushError::TooLarge { bytes }) if bytes >= 2000));
    assert!(matches!(keyed.push(&[0; 8], 0, &long), Err(PushError::TooLarge { .. })));
    while rows.push(&text).is_ok() {}
    while keyed.push(&[1; 8], 7, &text).is_ok() {}
    assert_eq!(rows.push(&text), Err(PushError::Full));
    assert_eq!(keyed.push(&[1; 8], 7, &text), Err(PushError::Full));
    assert!(rows.len() > 10 && keyed.len() > 10);
    let (rows, keyed) = (rows.finish().unwrap(), keyed.finish(3).unwrap());
    assert!(rows.body().len() <= 1024 && keyed.body().len() <= 1024);
    assert!(rows.rows::<String>().unwrap().iter().all(|row| row == text));
    assert!(
        keyed
            .keyed::<String>()
            .unwrap()
            .iter()
            .all(|row| (row.key, row.hash, row.value) == (&[1; 8], 7, &text))
    );
}

#[test]
fn equal_records_give_equal_bytes() {
    let records: Vec<Pair> = (0..100).map(|i| (format!("key number {i}"), i)).collect();
    let (a, b) = (rows_of(&records).unwrap(), rows_of(&records).unwrap());
    assert_eq!(&a.to_bytes()[..], &b.to_bytes()[..]);
    assert_eq!(a.checksum(), b.checksum());
    let mut written = Vec::new();
    a.write_to(&mut written).unwrap();
    assert_eq!(written, &a.to_bytes()[..]);
}

#[test]
fn the_last_clone_returns_the_buffer() {
    let pool = pool();
    let mut builder = RowsBuilder::<u64>::new(&pool, 4096);
    (0..500).for_each(|i| builder.push(i).unwrap());
    let block = builder.finish().unwrap();
    let clone = block.clone();
    drop(block);
    assert_eq!(pool.kept(), 0);
    drop(clone);
    assert!(pool.kept() >= 4000);
}

#[test]
fn raw_bytes_are_decoded_and_are_no_rows() {
    let mut buffer = BufferPool::new(0).take(16);
    buffer.bytes_mut().extend_from_slice(b"a line\n");
    let block = Block::raw(buffer);
    assert_eq!(block.raw_bytes().unwrap(), b"a line\n");
    assert!(block.rows::<u64>().is_err());
    let back = Block::open_raw(block.to_bytes().into()).unwrap();
    assert_eq!(back.raw_bytes().unwrap(), b"a line\n");
    assert!(Block::open_rows::<u64>(block.to_bytes().into()).is_err());
    let mut damaged = block.to_bytes();
    damaged[HEADER_LEN] ^= 1;
    assert!(matches!(Block::open_raw(damaged.into()), Err(DecodeError::BodyChecksum { .. })));
}

#[test]
fn keys_longer_than_expected_go_into_a_used_buffer() {
    let pool = pool();
    // Large enough for the block, but too large for the builder's first request.
    let used = pool.take(32_768);
    let at = used.as_slice().as_ptr();
    drop(used);
    let mut builder = KeyedBuilder::<u64>::new(&pool, None, 100);
    let keys: Vec<_> = (0..100u64).map(|n| format!("{n:0300}").into_bytes()).collect();
    for (key, n) in keys.iter().zip(0..) {
        builder.push(key, xxh3_64(key), n).unwrap();
    }
    let block = builder.finish(keyed_schema::<String, u64>()).unwrap();
    assert_eq!(block.body().as_ptr(), at);
    let rows = block.keyed::<u64>().unwrap();
    assert!(rows.iter().map(|row| (row.key, row.value)).eq(keys.iter().map(|k| &**k).zip(0..)));
}
