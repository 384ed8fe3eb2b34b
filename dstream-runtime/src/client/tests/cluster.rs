//! A master that names receivers, and receivers with a chosen behaviour.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Sender, unbounded};
use tempfile::TempDir;

use crate::block::{Block, BufferPool};
use crate::client::*;
use crate::driver::cluster::{Question, ReceiverStatus, Reply};
use crate::id::SourceId;
use crate::net::trust::{Authority, Grant, Identity};
use crate::net::{BindOptions, Delivery, Endpoint, Net, NetEvent, PeerId};
use crate::record::Format;
use crate::wire::{BlockKind, Role};

pub(super) const DEADLINE: Duration = Duration::from_secs(20);

pub(super) fn offers() -> Vec<Offer> {
    let offer = |stream: &str, source, format, header| Offer {
        stream: stream.to_owned(),
        source: SourceId(source),
        format,
        header,
    };
    vec![offer("views", 0, Format::Json, false), offer("table", 1, Format::Csv, true)]
}

/// Registered appends, by client, in order, without duplicates.
#[derive(Default)]
pub(super) struct Registry {
    pub(super) lines: BTreeMap<ClientId, Vec<u8>>,
    pub(super) headers: BTreeMap<ClientId, Option<String>>,
    taken: BTreeMap<ClientId, u64>,
    /// Duplicates received.
    pub(super) again: u64,
    /// Names of the receivers that took something in.
    pub(super) through: Vec<String>,
}

impl Registry {
    fn register(&mut self, name: &str, append: &Append) -> Result<(), String> {
        let taken = self.taken.entry(append.client).or_default();
        if append.number <= *taken {
            self.again += 1;
            return Ok(());
        }
        if append.number != *taken + 1 {
            return Err(format!("{} comes next, not {}", *taken + 1, append.number));
        }
        *taken = append.number;
        self.lines.entry(append.client).or_default().extend_from_slice(append.lines.body());
        self.headers.insert(append.client, append.header.as_deref().map(str::to_owned));
        if self.through.last().is_none_or(|last| last != name) {
            self.through.push(name.to_owned());
        }
        Ok(())
    }
}

/// The behaviour of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behaviour {
    /// Registers and acknowledges.
    Take,
    /// Registers without answering.
    Silent,
    /// Neither.
    Hold,
}

struct Inside {
    registry: Registry,
    receivers: BTreeMap<SocketAddr, String>,
    /// Appends held until they are released.
    held: Vec<(String, Append)>,
    asked: u64,
}

/// A cluster's authority, its master, and the state shared by its receivers.
pub(super) struct Cluster {
    pub(super) dir: TempDir,
    authority: Arc<Authority>,
    inside: Arc<(Mutex<Inside>, Condvar)>,
    pub(super) master: SocketAddr,
    _master: Served,
}

/// An endpoint and the thread that serves it.
struct Served {
    tell: Sender<Event>,
    endpoint: Option<Endpoint>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    fn addr(&self) -> SocketAddr {
        self.endpoint.as_ref().unwrap().local_addr()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.endpoint.take());
        let _ = self.tell.send(Event::End);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn lock(inside: &(Mutex<Inside>, Condvar)) -> MutexGuard<'_, Inside> {
    // A failed test reports itself.
    inside.0.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// Binds, and calls `act` with every event.
fn serve(options: BindOptions, mut act: impl FnMut(&Net, Event) + Send + 'static) -> Served {
    let (tell, events) = unbounded();
    let deliver = {
        let tell = tell.clone();
        move |delivery: Delivery| drop(tell.send(Event::Net(Box::new(delivery.take()))))
    };
    let endpoint = Endpoint::bind(options, deliver).unwrap();
    let net = endpoint.net().clone();
    let thread = std::thread::spawn(move || {
        for event in events {
            if matches!(event, Event::End) {
                return;
            }
            act(&net, event);
        }
    });
    Served { tell, endpoint: Some(endpoint), thread: Some(thread) }
}

pub(super) enum Event {
    Net(Box<NetEvent>),
    Behaviour(Behaviour),
    Leave,
    End,
}

impl Cluster {
    pub(super) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let authority =
            Arc::new(Authority::open(&dir.path().join("authority"), "job", now()).unwrap());
        let grant = Grant { role: Role::Client, uses: 100, life: Duration::from_secs(600) };
        authority.token(grant, now()).unwrap().write(&dir.path().join("token")).unwrap();
        let inside = Inside {
            registry: Registry::default(),
            receivers: BTreeMap::new(),
            held: Vec::new(),
            asked: 0,
        };
        let inside = Arc::new((Mutex::new(inside), Condvar::new()));
        let identity = authority.identity(Role::Master, "m", now()).unwrap();
        let options = BindOptions::new(identity, 7).with_authority(authority.clone());
        let shared = inside.clone();
        let served = serve(options, move |net, event| {
            let Event::Net(event) = event else { return };
            let NetEvent::Message { peer, message } = *event else { return };
            let Question::Receivers { stream } = message.read().unwrap() else { panic!() };
            let mut inside = lock(&shared);
            inside.asked += 1;
            let receivers = inside.receivers.iter().map(|(addr, name)| ReceiverStatus {
                stream: stream.clone(),
                worker: name.clone(),
                url: format!("dstream://{addr}"),
                records: 0,
                waiting: 0,
                turned_away: 0,
                error: None,
            });
            let _ = net.send(peer, &Reply::Receivers(receivers.collect()));
            shared.1.notify_all();
        });
        Self { dir, authority, inside, master: served.addr(), _master: served }
    }

    pub(super) fn options(&self) -> ClientOptions {
        ClientOptions::new("job", self.master, self.dir.path().join("token"))
    }

    pub(super) fn client(&self, name: &str) -> Identity {
        self.authority.identity(Role::Client, name, now()).unwrap()
    }

    pub(super) fn receiver(&self, name: &str, behaviour: Behaviour) -> Worker {
        self.limited(name, behaviour, SessionLimits::default())
    }

    /// Starts a receiving worker, which the master names from now on.
    pub(super) fn limited(
        &self,
        name: &str,
        behaviour: Behaviour,
        limits: SessionLimits,
    ) -> Worker {
        let identity = self.authority.identity(Role::Worker, name, now()).unwrap();
        let (shared, name_inside) = (self.inside.clone(), name.to_owned());
        let mut receiver = Receiver {
            name: name_inside,
            behaviour,
            sessions: Sessions::new(offers(), limits),
            pool: BufferPool::new(1 << 20),
            shared,
        };
        let act = move |net: &Net, event| receiver.happened(net, event);
        let served = serve(BindOptions::new(identity, 7), act);
        lock(&self.inside).receivers.insert(served.addr(), name.to_owned());
        Worker { name: name.to_owned(), inside: self.inside.clone(), served }
    }

    /// Waits until `is` holds.
    fn wait(&self, what: &str, is: impl Fn(&Inside) -> bool) {
        let (lock, changed) = &*self.inside;
        let (inside, waited) =
            changed.wait_timeout_while(lock.lock().unwrap(), DEADLINE, |i| !is(i)).unwrap();
        drop(inside);
        assert!(!waited.timed_out(), "{what}");
    }

    /// Waits until that many appends are held.
    pub(super) fn wait_held(&self, appends: usize) {
        self.wait("appends held", |inside| inside.held.len() >= appends);
    }

    pub(super) fn wait_registered(&self, client: ClientId, bytes: usize) {
        self.wait("lines registered", |inside| {
            inside.registry.lines.get(&client).is_some_and(|lines| lines.len() >= bytes)
        });
    }

    pub(super) fn wait_asked(&self, times: u64) {
        self.wait("the master asked", |inside| inside.asked >= times);
    }

    pub(super) fn held_bytes(&self) -> usize {
        let inside = lock(&self.inside);
        inside.held.iter().map(|(_, append)| append.lines.body().len()).sum()
    }

    pub(super) fn registry<T>(&self, look: impl FnOnce(&Registry) -> T) -> T {
        look(&lock(&self.inside).registry)
    }

    /// The registered lines of a client.
    pub(super) fn lines(&self, client: ClientId) -> String {
        let lines = self.registry(|registry| registry.lines.get(&client).cloned());
        String::from_utf8(lines.unwrap_or_default()).unwrap()
    }
}

/// A receiver's process.
pub(super) struct Worker {
    name: String,
    inside: Arc<(Mutex<Inside>, Condvar)>,
    served: Served,
}

impl Worker {
    pub(super) fn addr(&self) -> SocketAddr {
        self.served.addr()
    }

    pub(super) fn set(&self, behaviour: Behaviour) {
        self.served.tell.send(Event::Behaviour(behaviour)).unwrap();
    }

    /// The master stops naming it; its connections stay.
    pub(super) fn lost(&self) {
        lock(&self.inside).receivers.remove(&self.addr());
    }

    /// It drains, and the master stops naming it.
    pub(super) fn leave(&self) {
        lock(&self.inside).receivers.remove(&self.addr());
        self.served.tell.send(Event::Leave).unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let mut inside = lock(&self.inside);
        inside.receivers.remove(&self.addr());
        inside.held.retain(|(name, _)| *name != self.name);
    }
}

struct Receiver {
    name: String,
    behaviour: Behaviour,
    sessions: Sessions,
    pool: BufferPool,
    shared: Arc<(Mutex<Inside>, Condvar)>,
}

impl Receiver {
    fn happened(&mut self, net: &Net, event: Event) {
        let asks = match event {
            Event::Net(event) => self.heard(net, *event),
            Event::Behaviour(behaviour) => {
                self.behaviour = behaviour;
                self.take_held()
            }
            Event::Leave => self.sessions.leave(),
            Event::End => Vec::new(),
        };
        self.act(net, asks);
        self.shared.1.notify_all();
    }

    fn heard(&mut self, net: &Net, event: NetEvent) -> Vec<SessionEffect> {
        match event {
            NetEvent::Message { peer, message } => match message.read() {
                Ok(said) => self.sessions.said(peer, said, &self.pool),
                Err(error) => {
                    net.accuse(peer, &error.to_string());
                    Vec::new()
                }
            },
            NetEvent::Block { peer, header, bytes, .. } => {
                let BlockKind::Append { number } = header.kind else { panic!("{header:?}") };
                match Block::open_raw(bytes) {
                    Ok(lines) => self.sessions.block(peer, number, lines),
                    Err(error) => {
                        net.accuse(peer, &error.to_string());
                        Vec::new()
                    }
                }
            }
            NetEvent::Closed { peer, .. } => {
                self.sessions.gone(peer);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn act(&mut self, net: &Net, asks: Vec<SessionEffect>) {
        for ask in asks {
            match ask {
                SessionEffect::Tell(peer, message) => drop(net.send(peer, &message)),
                SessionEffect::Accuse(peer, why) => net.accuse(peer, &why),
                SessionEffect::Take(append) => {
                    let asks = self.take(append);
                    self.act(net, asks);
                }
            }
        }
    }

    fn take(&mut self, append: Append) -> Vec<SessionEffect> {
        let mut inside = lock(&self.shared);
        let (peer, client, number): (PeerId, _, _) = (append.peer, append.client, append.number);
        if self.behaviour == Behaviour::Hold {
            inside.held.push((self.name.clone(), append));
            return Vec::new();
        }
        let registered = inside.registry.register(&self.name, &append);
        drop(inside);
        match registered {
            Err(why) => self.sessions.refused(peer, client, number, &why),
            Ok(()) if self.behaviour == Behaviour::Take => self.sessions.safe(peer, client, number),
            Ok(()) => Vec::new(),
        }
    }

    fn take_held(&mut self) -> Vec<SessionEffect> {
        let mut inside = lock(&self.shared);
        let name = &self.name;
        let held: Vec<_> = inside.held.extract_if(.., |(of, _)| of == name).collect();
        drop(inside);
        held.into_iter().flat_map(|(_, append)| self.take(append)).collect()
    }
}

/// Raw lines as a block.
pub(super) fn raw(lines: &[u8]) -> Block {
    let mut buffer = BufferPool::new(0).take(lines.len());
    buffer.bytes_mut().extend_from_slice(lines);
    Block::raw(buffer)
}

/// Runs on its own runtime, under the deadline.
pub(super) fn run<T>(what: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let in_time = runtime.block_on(async { tokio::time::timeout(DEADLINE, what).await });
    in_time.expect("in time")
}
