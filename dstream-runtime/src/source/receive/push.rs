//! The master's side of a source that is pushed: what workers have received, and which batch gets it.
//!
//! The master never sees the lines. It registers *receipts* (a worker, a number, who has a copy), and
//! cuts a batch so that the input of each partition is made of receipts that the partition's owner
//! holds. Invariants: a receipt is part of one batch at most; the receipts of a worker are cut in
//! order; one that nobody who owns partitions holds waits until somebody does; one that nobody holds
//! any more fails the next cut, loudly.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::clients::{ClientBatch, Clients, Refusal};
use crate::id::{BatchSeq, SourceId, WorkerId};
use crate::source::tcp::SPLIT;
use crate::source::url::{SourceUrl, unknown};
use crate::source::{Cut, Input, OnError, Piece, Range, ReadRange, Source, SourceError};

/// The split of what a worker has received for a source; its positions are numbers of receipts.
#[must_use]
pub fn receipt_split(taker: WorkerId, source: SourceId) -> Arc<str> {
    format!("receipt:{}:{}", taker.0, source.0).into()
}

/// Whose receipts a split is made of, if it is of that kind.
#[must_use]
pub fn taker_of(split: &str) -> Option<(WorkerId, SourceId)> {
    let (taker, source) = split.strip_prefix("receipt:")?.split_once(':')?;
    Some((WorkerId(taker.parse().ok()?), SourceId(source.parse().ok()?)))
}

/// What a worker reports of lines that it has received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The worker that received them.
    pub taker: WorkerId,
    /// Its number for them: they grow.
    pub number: u64,
    /// The worker that has a copy.
    pub copy: Option<WorkerId>,
    /// How many bytes they are.
    pub bytes: u64,
    /// What the client calls them, if it numbers what it sends.
    pub client: Option<ClientBatch>,
}

/// What became of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Registered {
    /// It will be part of a batch.
    Taken,
    /// Its lines had been registered before, with another receipt: those who hold it drop it, and the
    /// client is told that the lines are safe.
    Known,
    /// A receipt of this number has been reported before: nothing is to be done.
    Again,
}

/// A source whose records workers receive; a clone is the same one.
#[derive(Clone)]
pub struct PushSource {
    source: SourceId,
    on_error: OnError,
    book: Arc<Mutex<Book>>,
}

/// What is known of receipts.
#[derive(Default)]
struct Book {
    takers: BTreeMap<WorkerId, Taker>,
    clients: Clients,
    /// The partitions of each worker that has any.
    owned: BTreeMap<WorkerId, Vec<usize>>,
    /// How many batches have been cut: the number of the last.
    cut: u64,
    stopping: bool,
    /// What is lost for ever.
    lost: Option<SourceError>,
}

/// A worker that receives.
#[derive(Default)]
struct Taker {
    /// Its highest number.
    highest: u64,
    /// Its receiver is open.
    open: bool,
    /// The worker is not there any more.
    gone: bool,
    /// The last batch that has something of it.
    last_cut: u64,
    /// In order of their numbers.
    waiting: VecDeque<Waiting>,
}

/// A receipt that no batch has taken.
struct Waiting {
    number: u64,
    bytes: u64,
    /// Who has it; who received it comes first, if it is there.
    holders: Vec<WorkerId>,
}

impl PushSource {
    /// The master's side of the source that `url` names.
    ///
    /// # Errors
    /// When the URL is malformed, or records of its scheme are not pushed.
    pub fn open(url: &str, source: SourceId) -> Result<Self, SourceError> {
        let url = SourceUrl::parse(url)?;
        if !super::SCHEMES.contains(&url.scheme()) {
            return Err(url.fail(unknown("scheme of a receiver", url.scheme(), super::SCHEMES)));
        }
        Ok(Self { source, on_error: url.on_error()?, book: Arc::default() })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Each call leaves it consistent, and none can panic halfway.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker's receiver is open: the source does not end before [`Self::closed`].
    pub fn opened(&self, worker: WorkerId) {
        self.book().takers.entry(worker).or_default().open = true;
    }

    /// A worker's receiver has said that it has ended.
    pub fn closed(&self, worker: WorkerId) {
        if let Some(taker) = self.book().takers.get_mut(&worker) {
            taker.open = false;
        }
    }

    /// A worker has received something. Each receipt is reported once.
    ///
    /// # Errors
    /// When the client has left out a batch: the receipt is to be dropped and the client told why.
    pub fn register(&self, receipt: Receipt) -> Result<Registered, Refusal> {
        let Book { takers, clients, .. } = &mut *self.book();
        let taker = takers.entry(receipt.taker).or_default();
        if receipt.number <= taker.highest {
            return Ok(Registered::Again);
        }
        taker.highest = receipt.number;
        if let Some(batch) = receipt.client
            && !clients.take(batch)?
        {
            return Ok(Registered::Known);
        }
        taker.waiting.push_back(Waiting {
            number: receipt.number,
            bytes: receipt.bytes,
            holders: [receipt.taker].into_iter().chain(receipt.copy).collect(),
        });
        Ok(Registered::Taken)
    }

    /// Another worker has a copy of what a worker has received: of what had none, or one that is lost.
    pub fn copied(&self, taker: WorkerId, number: u64, by: WorkerId) {
        let book = &mut *self.book();
        let waiting = book.takers.get_mut(&taker).map(|taker| taker.waiting.iter_mut());
        // What a batch has taken is read by whoever that batch has found.
        let waiting = waiting.and_then(|mut all| all.find(|waiting| waiting.number == number));
        if let Some(waiting) = waiting.filter(|waiting| !waiting.holders.contains(&by)) {
            waiting.holders.push(by);
        }
    }

    /// From the next cut on, this is who owns which partition.
    pub fn placed(&self, placement: &[WorkerId]) {
        let owned = &mut self.book().owned;
        owned.clear();
        for (partition, owner) in placement.iter().enumerate() {
            owned.entry(*owner).or_default().push(partition);
        }
    }

    /// A worker is gone, and what it held with it.
    pub fn gone(&self, worker: WorkerId) {
        let book = &mut *self.book();
        if let Some(taker) = book.takers.get_mut(&worker) {
            (taker.open, taker.gone) = (false, true);
        }
        let mut lost = 0;
        for taker in book.takers.values_mut() {
            for waiting in &mut taker.waiting {
                let held = waiting.holders.contains(&worker);
                waiting.holders.retain(|holder| *holder != worker);
                lost += u64::from(held && waiting.holders.is_empty());
            }
        }
        if lost > 0 && book.lost.is_none() {
            book.lost = Some(SourceError::Data {
                what: receipt_split(worker, self.source).to_string(),
                why: format!(
                    "{lost} blocks of lines that clients had sent are lost: every worker that held \
                     them is gone"
                ),
            });
        }
    }

    /// Batches before this one are over: the workers that are gone of whose receipts no batch needs any,
    /// and whose copies can be dropped. Each is named once.
    #[must_use]
    pub fn over(&self, oldest: BatchSeq) -> Vec<WorkerId> {
        let takers = &mut self.book().takers;
        let is_over =
            |taker: &Taker| taker.gone && taker.waiting.is_empty() && taker.last_cut < oldest.0;
        let over: Vec<_> = takers.iter().filter(|(_, t)| is_over(t)).map(|(id, _)| *id).collect();
        over.iter().for_each(|taker| drop(takers.remove(taker)));
        over
    }

    /// Whether a worker holds something that no batch has taken.
    #[must_use]
    pub fn holds(&self, worker: WorkerId) -> bool {
        let holds = |waiting: &Waiting| waiting.holders.contains(&worker);
        self.book().takers.values().any(|taker| taker.waiting.iter().any(holds))
    }

    /// Bytes that were registered and that no batch has taken.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        let book = self.book();
        book.takers.values().flat_map(|taker| &taker.waiting).map(|waiting| waiting.bytes).sum()
    }
}

/// Receipts that one worker will read.
#[derive(Default)]
struct Share {
    receipts: Vec<(WorkerId, u64, u64)>,
    bytes: u64,
}

impl Book {
    /// Takes what owners of these partitions hold, by who will read it.
    fn take(&mut self, partitions: usize) -> BTreeMap<WorkerId, Share> {
        let Self { takers, owned, cut, .. } = self;
        let mut shares: BTreeMap<WorkerId, Share> = BTreeMap::new();
        for (taker, state) in takers {
            let Taker { waiting, last_cut, .. } = state;
            waiting.retain(|waiting| {
                // Nobody is listed who owns nothing.
                let owns = |worker: &&WorkerId| {
                    owned.get(*worker).is_some_and(|places| places[0] < partitions)
                };
                let Some(reader) = waiting.holders.iter().find(owns) else {
                    return true;
                };
                let share = shares.entry(*reader).or_default();
                share.receipts.push((*taker, waiting.number, waiting.bytes));
                share.bytes += waiting.bytes;
                *last_cut = *cut;
                false
            });
        }
        shares
    }
}

impl Source for PushSource {
    fn bounded(&self) -> bool {
        false
    }

    fn immediate(&self) -> bool {
        true
    }

    fn cut(&mut self, partitions: usize) -> Result<Cut, SourceError> {
        let mut book = self.book();
        if let Some(lost) = &book.lost {
            return Err(lost.clone());
        }
        book.cut += 1;
        let mut ranges: Vec<Vec<Range>> = Vec::new();
        for (reader, share) in book.take(partitions) {
            // Whoever reads something owns something.
            let owned = book.owned.get(&reader).map_or(&[][..], Vec::as_slice);
            let places = &owned[..owned.partition_point(|place| *place < partitions)];
            let wanted = share.bytes.div_ceil(SPLIT).clamp(1, places.len() as u64);
            let mut done = 0;
            for (taker, number, bytes) in share.receipts {
                let group = done * wanted / share.bytes.max(1);
                let place =
                    places[usize::try_from(group).unwrap_or(usize::MAX).min(places.len() - 1)];
                done += bytes;
                if ranges.len() <= place {
                    ranges.resize(place + 1, Vec::new());
                }
                add(&mut ranges[place], taker, self.source, number);
            }
        }
        let open = book.takers.values().any(|taker| taker.open || !taker.waiting.is_empty());
        let ended = book.stopping && !open;
        if book.stopping && !ended && ranges.is_empty() {
            // A stopped source that brings nothing is asked no more, and something may still come.
            ranges.push(Vec::new());
        }
        Ok(Cut { inputs: ranges.into_iter().map(input).collect(), ended, position: None })
    }

    /// Takes in nothing from receivers that open from now on; those that are open are to be stopped
    /// by whoever runs them.
    fn stop(&mut self) {
        self.book().stopping = true;
    }

    fn on_error(&self) -> OnError {
        self.on_error
    }
}

/// Adds a receipt to the ranges of an input.
fn add(ranges: &mut Vec<Range>, taker: WorkerId, source: SourceId, number: u64) {
    if let Some(last) = ranges.last_mut()
        && last.end == number
        && taker_of(&last.split) == Some((taker, source))
    {
        last.end += 1;
        return;
    }
    ranges.push(Range { split: receipt_split(taker, source), start: number, end: number + 1 });
}

fn input(ranges: Vec<Range>) -> Input {
    let data = Arc::new(OnWorkers(ranges.first().map(|range| range.split.clone())));
    Input { ranges, data }
}

/// Lines that workers hold.
struct OnWorkers(Option<Arc<str>>);

impl ReadRange for OnWorkers {
    fn read(&self, _: &mut dyn FnMut(Piece<'_>)) -> Result<(), SourceError> {
        match &self.0 {
            None => Ok(()),
            Some(split) => Err(SourceError::Data {
                what: split.to_string(),
                why: "can be read by the workers alone that have received it".to_owned(),
            }),
        }
    }
}
