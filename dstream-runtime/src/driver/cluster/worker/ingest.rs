//! The ingest log (`--ingest durable`): a received block is acknowledged once it is in the durable store.
//!
//! A thread writes blocks in groups: all that has come while the group before was written is one object
//! (group commit). A worker that is started again by its name holds what its log has, as if it had run on: it tells
//! the master, which registers what no batch has. An object is removed when no block of it is needed any more.
//!
//! An object `ingest/NAME/NUMBER` is `magic · xxh3 · postcard`: of each block its key, what is known of it, and the block with
//! its header. Numbers only grow. Invariants: a block is reported as stored only after its object is
//! durable; an object that is not whole is an error, because what it held was acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use xxhash_rust::xxh3::xxh3_64;

use super::replicas::{Entry, Key};
use crate::block::{Block, BufferPool, Bytes};
use crate::driver::Event;
use crate::driver::cluster::{ClusterError, IngestStore};
use crate::driver::error::JobError;
use crate::durable::{Durable, DurableError};
use crate::host::{self, JobReceiver, JobSender};
use crate::net::trust::random_id;
use crate::store::KeptBlock;

const MAGIC: &[u8; 8] = b"dstreamI";
/// An object takes no more blocks once it has this many bytes.
const GROUP: usize = 8 << 20;
/// The pause after an object could not be written.
const PAUSE: Duration = Duration::from_secs(1);

/// What the thread tells the engine.
pub(in crate::driver) enum IngestEvent {
    /// These blocks are durable, in that object.
    Stored(u64, Vec<Key>),
    /// An object cannot be written so far, and why; it is tried again.
    Retrying(DurableError),
    /// Nothing can be written any more.
    Failed(DurableError),
}

enum Job {
    Write(Key, Entry, KeptBlock),
    Remove(u64),
}

/// A block in an object.
#[derive(Serialize, Deserialize)]
struct Record {
    key: Key,
    entry: Entry,
    block: ByteBuf,
}

/// A block that a log has.
pub(super) struct Logged {
    pub(super) key: Key,
    pub(super) entry: Entry,
    pub(super) block: Block,
}

/// The engine's end of a log.
pub(super) struct IngestLog {
    jobs: JobSender<Job>,
    /// By object, how many of its blocks are needed.
    objects: BTreeMap<u64, usize>,
    /// In which object a block is.
    of: BTreeMap<Key, u64>,
    /// It was reported that objects cannot be written.
    is_retrying: bool,
}

/// The object beside the logs that says which store it is.
const MARK: &str = "store";

/// Marks a job's store as that of the workers' logs, once.
///
/// # Errors
/// When it cannot be read or written.
pub(in crate::driver::cluster) fn mark(store: &Durable) -> Result<IngestStore, ClusterError> {
    let logs = store.within("ingest")?;
    logs.make()?;
    logs.put_if_absent(MARK, &[&random_id()?])?;
    let url = logs.url();
    let mark = <[u8; 16]>::try_from(logs.get(MARK)?);
    let id = mark.map_err(|_| {
        let object = logs.url_of(MARK);
        ClusterError::IngestMark { object }
    })?;
    Ok(IngestStore { url, id })
}

/// Opens the store of the logs on the host of the worker `name`, where another directory may be in its place.
///
/// # Errors
/// When that is not the store which the master has marked, or the worker's log would not be found again by its name.
pub(super) fn open_store(
    of: &IngestStore,
    name: &str,
    keeps_name: bool,
) -> Result<Durable, ClusterError> {
    if !keeps_name {
        return Err(ClusterError::IngestName { name: name.to_owned() });
    }
    let store = Durable::existing(&of.url)?;
    if !store.exists(MARK)? || store.get(MARK)? != of.id {
        return Err(ClusterError::IngestStore { url: of.url.clone() });
    }
    Ok(store)
}

/// The names of the workers whose logs in a job's store have something.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn logs(store: &Durable) -> Result<Vec<String>, DurableError> {
    let objects = store.list("ingest/")?;
    let name =
        |object: &String| Some(object.strip_prefix("ingest/")?.split_once('/')?.0.to_owned());
    let mut names: Vec<String> = objects.iter().filter_map(name).collect();
    names.dedup();
    Ok(names)
}

impl IngestLog {
    /// Opens the log of the worker `name`, and reads what it has.
    ///
    /// # Errors
    /// When the store cannot be read, or an object is damaged; when there is no thread to be had.
    pub(super) fn open(
        store: Durable,
        name: &str,
        events: Sender<Event>,
    ) -> Result<(Self, Vec<Logged>), JobError> {
        let prefix = format!("{name}/");
        let (mut blocks, mut objects, mut of, mut next) =
            (Vec::new(), BTreeMap::new(), BTreeMap::new(), 0);
        for object in store.list(&prefix).map_err(ClusterError::from)? {
            let Some(number) = object.strip_prefix(&prefix).and_then(|n| n.parse::<u64>().ok())
            else {
                continue;
            };
            let bytes = store.get(&object).map_err(ClusterError::from)?;
            let records = decode(&bytes).map_err(|why| {
                let object = store.url_of(&object);
                ClusterError::IngestLog { object, why }
            })?;
            objects.insert(number, records.len());
            of.extend(records.iter().map(|logged| (logged.key, number)));
            blocks.extend(records);
            next = number + 1;
        }
        let (jobs, waiting) = host::channel();
        let serve = move || serve(&store, &prefix, next, waiting, &events);
        let thread = std::thread::Builder::new().name("dstream-ingest".to_owned());
        thread.spawn(serve).map_err(|error| JobError::Thread {
            what: "the ingest log".to_owned(),
            error: Arc::new(error),
        })?;
        Ok((Self { jobs, objects, of, is_retrying: false }, blocks))
    }

    /// Has a block written.
    pub(super) fn append(&self, key: Key, entry: Entry, block: KeptBlock) {
        // The thread ends only when this end of the channel is gone, or after it has said that it cannot go on.
        let _ = self.jobs.send(Job::Write(key, entry, block));
    }

    /// Blocks are durable.
    pub(super) fn stored(&mut self, object: u64, keys: &[Key]) {
        self.is_retrying = false;
        self.objects.insert(object, keys.len());
        self.of.extend(keys.iter().map(|key| (*key, object)));
    }

    /// Whether it has a block that is needed.
    pub(super) fn has(&self, key: &Key) -> bool {
        self.of.contains_key(key)
    }

    /// Whether it is news that objects cannot be written.
    pub(super) fn retries(&mut self) -> bool {
        !std::mem::replace(&mut self.is_retrying, true)
    }

    /// A block is not needed any more.
    pub(super) fn release(&mut self, key: Key) {
        let Some(object) = self.of.remove(&key) else { return };
        if let Some(left) = self.objects.get_mut(&object) {
            *left -= 1;
            if *left == 0 {
                self.objects.remove(&object);
                let _ = self.jobs.send(Job::Remove(object));
            }
        }
    }
}

fn serve(
    store: &Durable,
    prefix: &str,
    mut next: u64,
    mut waiting: JobReceiver<Job>,
    events: &Sender<Event>,
) {
    let name = |number: u64| format!("{prefix}{number:016}");
    let mut after = None;
    while let Some(job) = after.take().or_else(|| waiting.next()) {
        let mut group = match job {
            Job::Write(key, entry, block) => vec![(key, entry, block)],
            Job::Remove(object) => {
                // One that stays is told to the master again after a restart, and dropped then.
                let _ = store.remove(&name(object));
                continue;
            }
        };
        let mut bytes = group[0].2.byte_len();
        while bytes < GROUP {
            match waiting.ready() {
                Some(Job::Write(key, entry, block)) => {
                    bytes += block.byte_len();
                    group.push((key, entry, block));
                }
                other => {
                    after = other;
                    break;
                }
            }
        }
        let (keys, object) = encode(group);
        if keys.is_empty() {
            continue;
        }
        let event = loop {
            match store.put_own(&name(next), &[&object]) {
                Ok(true) => break IngestEvent::Stored(next, keys.clone()),
                // Left by another process of that name: numbers only grow.
                Ok(false) => next += 1,
                Err(error) if error.is_final() => break IngestEvent::Failed(error),
                Err(error) => {
                    if events.send(Event::Ingest(IngestEvent::Retrying(error))).is_err() {
                        return;
                    }
                    std::thread::sleep(PAUSE);
                }
            }
        };
        next += 1;
        let ends = matches!(event, IngestEvent::Failed(_));
        if events.send(Event::Ingest(event)).is_err() || ends {
            return;
        }
    }
}

/// An object, and the blocks in it. One that cannot be read back is left out, and so never acknowledged: the task that
/// reads it finds that.
fn encode(group: Vec<(Key, Entry, KeptBlock)>) -> (Vec<Key>, Vec<u8>) {
    let record = |(key, entry, block): (Key, Entry, KeptBlock)| {
        let block = ByteBuf::from(block.get().ok()?.to_bytes().to_vec());
        Some(Record { key, entry, block })
    };
    let records: Vec<Record> = group.into_iter().filter_map(record).collect();
    // What is encoded here are numbers, texts and bytes, which always can be.
    let body = postcard::to_allocvec(&records).unwrap_or_default();
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&xxh3_64(&body).to_le_bytes());
    bytes.extend_from_slice(&body);
    (records.iter().map(|record| record.key).collect(), bytes)
}

fn decode(bytes: &[u8]) -> Result<Vec<Logged>, &'static str> {
    let (magic, rest) = bytes.split_at_checked(8).ok_or("it is torn")?;
    let (sum, body) = rest.split_at_checked(8).ok_or("it is torn")?;
    if magic != MAGIC {
        return Err("it does not begin like a part of an ingest log");
    }
    if sum != xxh3_64(body).to_le_bytes() {
        return Err("its checksum differs");
    }
    let records: Vec<Record> = postcard::from_bytes(body).map_err(|_| "it cannot be read")?;
    let logged = |Record { key, entry, block }| {
        let mut buffer = BufferPool::new(0).take(block.len());
        buffer.bytes_mut().extend_from_slice(&block);
        let block =
            Block::open_raw(Bytes::Buffer(buffer)).map_err(|_| "a block of it is damaged")?;
        Ok(Logged { key, entry, block })
    };
    records.into_iter().map(logged).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use crossbeam_channel::{Receiver, unbounded};

    use super::*;
    use crate::id::{SourceId, WorkerId};
    use crate::source::Carried;

    fn raw(text: &str) -> Block {
        let mut buffer = BufferPool::new(0).take(text.len());
        buffer.bytes_mut().extend_from_slice(text.as_bytes());
        Block::raw(buffer)
    }

    fn key(number: u64) -> Key {
        (WorkerId(7), SourceId(0), number)
    }

    fn entry(bytes: u64) -> Entry {
        let what = Carried::lines("client 1, append 1".into(), 0, None, bytes);
        Entry { what, records: 1, client: None }
    }

    fn next(events: &Receiver<Event>) -> IngestEvent {
        match events.recv_timeout(Duration::from_secs(20)) {
            Ok(Event::Ingest(event)) => event,
            _ => panic!("the log says something"),
        }
    }

    #[test]
    fn what_is_stored_is_there_again_until_it_is_released() {
        let dir = tempfile::tempdir().unwrap();
        let store = Durable::open(dir.path().to_str().unwrap()).unwrap();
        let (sender, events) = unbounded();
        let (mut log, has) = IngestLog::open(store.clone(), "w1", sender.clone()).unwrap();
        assert!(has.is_empty());
        for number in 1..=3 {
            log.append(key(number), entry(2), raw(&format!("{number}\n")).into());
        }
        let mut stored = 0;
        while stored < 3 {
            let IngestEvent::Stored(object, keys) = next(&events) else {
                panic!("it can be written")
            };
            log.stored(object, &keys);
            stored += keys.len();
        }
        drop(log);
        // Another worker's log is another one.
        assert!(IngestLog::open(store.clone(), "w2", sender.clone()).unwrap().1.is_empty());
        let (mut log, has) = IngestLog::open(store.clone(), "w1", sender).unwrap();
        let found = has.iter().map(|logged| {
            (logged.key, logged.entry.clone(), logged.block.raw_bytes().unwrap().to_vec())
        });
        let all = (1..=3).map(|n| (key(n), entry(2), format!("{n}\n").into_bytes()));
        assert_eq!(found.collect::<Vec<_>>(), all.collect::<Vec<_>>());
        (1..=3).for_each(|number| log.release(key(number)));
        let until = Instant::now() + Duration::from_secs(20);
        while !store.list("w1/").unwrap().is_empty() {
            assert!(Instant::now() < until, "objects are removed with the last of their blocks");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_worker_writes_only_into_the_store_of_its_master() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let open = |dir: &tempfile::TempDir| Durable::open(dir.path().to_str().unwrap()).unwrap();
        let marked = mark(&open(&dir)).unwrap();
        assert_eq!(mark(&open(&dir)).unwrap(), marked, "it is marked once");
        assert!(logs(&open(&dir)).unwrap().is_empty(), "the mark is no log");
        assert!(open_store(&marked, "w1", true).is_ok());
        let error = open_store(&marked, "host-17", false).map(drop).unwrap_err();
        assert!(
            matches!(&error, ClusterError::IngestName { name } if name == "host-17"),
            "{error}"
        );
        // Another job's store is in its place, and then nothing.
        let elsewhere = IngestStore { url: mark(&open(&other)).unwrap().url, id: marked.id };
        let error = open_store(&elsewhere, "w1", true).map(drop).unwrap_err();
        assert!(matches!(error, ClusterError::IngestStore { .. }), "{error}");
        drop(other);
        let error = open_store(&elsewhere, "w1", true).map(drop).unwrap_err();
        assert!(matches!(error, ClusterError::IngestStore { .. }), "{error}");
    }

    #[test]
    fn a_damaged_object_is_an_error() {
        let (_, whole) = encode(vec![(key(1), entry(2), raw("a\n").into())]);
        assert_eq!(decode(&whole).map(|all| all.len()), Ok(1));
        for length in 0..whole.len() {
            assert!(decode(&whole[..length]).is_err(), "{length}");
        }
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            assert!(decode(&flipped).is_err(), "{at}");
        }
    }
}
