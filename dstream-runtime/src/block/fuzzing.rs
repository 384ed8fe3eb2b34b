//! Fuzz target: decoders of blocks of every kind.

use std::fmt;

use rkyv::util::AlignedVec;
use xxhash_rust::xxh3::xxh3_64;

use super::header::Header;
use super::{
    Block, BlockDecoder, BufferPool, Bytes, KeyedBuilder, Kind, RowsBuilder, keyed_schema,
};
use crate::fuzzing::{Target, chosen};
use crate::record::{BLOCK_ALIGN, Key, KeyReader, Record};

pub(crate) const TARGETS: &[Target] = &[Target::new("blocks", blocks, seeds)];

type Nested = (u32, Vec<(String, Option<i64>)>, Option<Vec<String>>);
type Compound = (String, Option<u8>, (bool, char));

/// A shape of block: its decoder, its header's type, and how to read it completely.
struct Shape {
    door: BlockDecoder,
    kind: Kind,
    schema: fn() -> u64,
    read: fn(&Block),
}

const SHAPES: [Shape; 9] = [
    rows::<u64>(),
    rows::<String>(),
    rows::<(bool, Option<i32>, char)>(),
    rows::<Nested>(),
    keyed::<String, u64>(),
    keyed::<u64, (String, f64)>(),
    keyed::<Compound, Nested>(),
    keyed::<(i16, bool, char), Option<u8>>(),
    Shape { door: Block::open_raw, kind: Kind::Raw, schema: || 0, read: |_| {} },
];

const fn rows<R: Record>() -> Shape {
    let (door, schema) =
        (Block::open_rows::<R> as BlockDecoder, (|| R::SCHEMA.hash()) as fn() -> u64);
    Shape { door, kind: Kind::Rows, schema, read: read_rows::<R> }
}

const fn keyed<K: Key, V: Record>() -> Shape {
    let (door, schema) =
        (Block::open_keyed::<K, V> as BlockDecoder, keyed_schema::<K, V> as fn() -> u64);
    Shape { door, kind: Kind::Keyed, schema, read: read_keyed::<K, V> }
}

/// Reads every record, owns it, and writes it into an equal block.
fn read_rows<R: Record>(block: &Block) {
    let rows = block.rows::<R>().expect("it is of that type");
    let mut builder = RowsBuilder::<R>::new(&BufferPool::new(0), 0);
    for row in rows {
        builder.push(R::own(row).view()).expect("it was in a block");
    }
    let again = builder.finish().expect("no block is empty");
    let copies = again.rows::<R>().expect("it is of that type");
    assert_eq!(rows.len(), copies.len());
    assert!(rows.iter().zip(copies).all(|(a, b)| R::compare(a, b).is_eq()));
}

/// The same for keyed records; also, every key is the encoding of some key.
fn read_keyed<K: Key, V: Record>(block: &Block) {
    let rows = block.keyed::<V>().expect("it is of that type");
    let mut written = Vec::new();
    let mut count = 0;
    for row in rows {
        written.clear();
        K::write(K::read(&mut KeyReader::new(row.key)), &mut written);
        assert_eq!(written, row.key);
        drop(V::own(row.value));
        count += 1;
    }
    assert_eq!(count, rows.len());
}

/// The first byte selects the shape; the rest is decoded as a whole block and as a body.
fn blocks(bytes: &[u8]) {
    let [choice, bytes @ ..] = bytes else { return };
    let Some(shape) = SHAPES.get(usize::from(*choice)) else { return };
    open(shape, &[], bytes);
    if let [r0, r1, body @ ..] = bytes {
        let records = u64::from(u16::from_le_bytes([*r0, *r1]));
        let header = Header::seal(shape.kind, (shape.schema)(), records, body);
        open(shape, header.as_bytes(), body);
    }
}

fn open(shape: &Shape, header: &[u8], body: &[u8]) {
    let mut bytes = AlignedVec::<BLOCK_ALIGN>::with_capacity(header.len() + body.len());
    bytes.extend_from_slice(header);
    bytes.extend_from_slice(body);
    let Ok(block) = (shape.door)(Bytes::from(bytes)) else { return };
    assert_eq!(block.checksum(), xxh3_64(block.body()));
    assert_eq!(block.to_bytes().as_slice(), [header, body].concat());
    (shape.read)(&block);
}

fn rows_of<R: Record>(records: &[R]) -> Block {
    let mut builder = RowsBuilder::<R>::new(&BufferPool::new(0), 0);
    for record in records {
        builder.push(record.view()).expect("it is small");
    }
    builder.finish().expect("there is one")
}

fn keyed_of<K: Key, V: Record>(records: &[(K, V)]) -> Block {
    let mut builder = KeyedBuilder::<V>::new(&BufferPool::new(0), K::WIDTH, records.len());
    for (key, value) in records {
        let mut bytes = Vec::new();
        K::write(key.view(), &mut bytes);
        builder.push(&bytes, xxh3_64(&bytes), value.view()).expect("it is small");
    }
    builder.finish(keyed_schema::<K, V>()).expect("there is one")
}

fn seeds() -> Vec<Vec<u8>> {
    let text = |text: &str| text.to_owned();
    let long = "a text that is not inline".to_owned();
    let nested: Nested =
        (7, vec![(long.clone(), Some(-1)), (text("b"), None)], Some(vec![text("c"), long.clone()]));
    let blocks = [
        rows_of(&[1u64, 2, u64::MAX]),
        rows_of(&[text("a"), long.clone(), text("")]),
        rows_of(&[(true, Some(-5), 'x'), (false, None, 'ü')]),
        rows_of(&[nested.clone(), (0, vec![], None)]),
        keyed_of(&[(text("a"), 1u64), (long.clone(), 2), (text(""), 3)]),
        keyed_of(&[(7u64, (text("x"), 1.5)), (8, (long, f64::NAN))]),
        keyed_of(&[((text("k"), Some(1), (true, 'c')), nested)]),
        keyed_of(&[((-1i16, true, 'z'), Some(1u8)), ((5, false, 'ß'), None)]),
        Block::raw(super::Buffer::unpooled({
            let mut bytes = AlignedVec::new();
            bytes.extend_from_slice(b"some\nlines\n");
            bytes
        })),
    ];
    let mut seeds = Vec::new();
    for (choice, block) in (0..).zip(&blocks) {
        let records = (block.records() as u16).to_le_bytes();
        let body = [&records, block.body()].concat();
        seeds.extend(chosen(choice, vec![block.to_bytes().to_vec(), body]));
    }
    seeds
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shape({})", self.kind)
    }
}
