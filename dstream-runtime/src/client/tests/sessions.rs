//! The receiver's side, stepped by hand.

use super::cluster::{offers, raw};
use crate::block::BufferPool;
use crate::client::*;
use crate::id::SourceId;
use crate::net::PeerId;
use crate::record::Format;
use crate::wire::{ToClient, ToReceiver};

const PEER: PeerId = PeerId(1);
const CLIENT: ClientId = ClientId(9);

struct Hands {
    sessions: Sessions,
    pool: BufferPool,
}

impl Hands {
    fn new(limits: SessionLimits) -> Self {
        Self { sessions: Sessions::new(offers(), limits), pool: BufferPool::new(0) }
    }

    fn open(&mut self, peer: PeerId, stream: &str, first: u64) -> Vec<SessionEffect> {
        let (stream, header) = (stream.to_owned(), None);
        let open = ToReceiver::Open { stream, client: CLIENT, first, header };
        self.sessions.said(peer, open, &self.pool)
    }

    fn append(&mut self, number: u64, lines: &str) -> Vec<SessionEffect> {
        let append = ToReceiver::Append { number, lines: lines.as_bytes().to_vec() };
        self.sessions.said(PEER, append, &self.pool)
    }
}

fn opened() -> Hands {
    let mut hands = Hands::new(SessionLimits { memory: 4000, window: 100, longest: 50 });
    let asks = hands.open(PEER, "views", 5);
    let [SessionEffect::Tell(PEER, ToClient::Opened { format, wants_header, window, longest })] =
        asks[..]
    else {
        panic!("{asks:?}")
    };
    assert_eq!((format, wants_header, window, longest), (Format::Json, false, 100, 50));
    hands
}

fn taken(asks: Vec<SessionEffect>) -> Vec<(u64, String)> {
    let take = |ask| match ask {
        SessionEffect::Take(append) => {
            assert_eq!((append.client, append.source), (CLIENT, SourceId(0)));
            let lines = String::from_utf8(append.lines.body().to_vec()).unwrap();
            assert_eq!(append.records as usize, lines.lines().count());
            (append.number, lines)
        }
        other => panic!("{other:?}"),
    };
    asks.into_iter().map(take).collect()
}

fn acknowledged(asks: &[SessionEffect]) -> Option<u64> {
    match asks {
        [] => None,
        [SessionEffect::Tell(PEER, ToClient::Acknowledged { through })] => Some(*through),
        other => panic!("{other:?}"),
    }
}

fn accused(asks: &[SessionEffect]) -> &str {
    match asks {
        [SessionEffect::Accuse(_, why)] => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn appends_are_taken_in_order_whatever_order_they_come_in() {
    let mut hands = opened();
    assert_eq!(taken(hands.sessions.block(PEER, 6, raw(b"c\n"))), []);
    assert_eq!(taken(hands.sessions.block(PEER, 7, raw(b"d\n"))), []);
    let all = taken(hands.append(5, "a\nb\n"));
    let expected = [(5, "a\nb\n"), (6, "c\n"), (7, "d\n")];
    assert_eq!(all, expected.map(|(number, lines)| (number, lines.to_owned())));
    assert_eq!(hands.sessions.unacknowledged(), 8);
    assert_eq!(hands.sessions.unacknowledged_of(SourceId(1)), 0);
    // Acknowledgements stop at the first append that is not safe.
    assert_eq!(acknowledged(&hands.sessions.safe(PEER, CLIENT, 6)), None);
    assert_eq!(acknowledged(&hands.sessions.safe(PEER, CLIENT, 5)), Some(6));
    assert_eq!(acknowledged(&hands.sessions.safe(PEER, CLIENT, 5)), None);
    assert_eq!(acknowledged(&hands.sessions.safe(PEER, ClientId(1), 7)), None);
    assert_eq!(acknowledged(&hands.sessions.safe(PEER, CLIENT, 7)), Some(7));
    assert_eq!(hands.sessions.unacknowledged(), 0);
}

#[test]
fn violations_are_accused() {
    let twice = |hands: &mut Hands| {
        hands.append(5, "a\n");
        accused(&hands.append(5, "a\n")).to_owned()
    };
    assert!(twice(&mut opened()).contains("twice"));
    let wrong = |number, lines: &str| accused(&opened().append(number, lines)).to_owned();
    assert!(wrong(4, "a\n").contains("twice"));
    assert!(wrong(5 + (1 << 14), "a\n").contains("while 5 is missing"));
    assert!(wrong(u64::MAX, "a\n").contains("missing"));
    assert!(wrong(5, "a\nb").contains("line break"));
    assert!(wrong(5, "").contains("line break"));
    assert!(wrong(5, &"x\n".repeat(26)).contains("an append of 52 bytes"));
    let mut hands = opened();
    assert_eq!(hands.append(5, &"x\n".repeat(25)).len(), 1);
    assert_eq!(hands.append(6, &"x\n".repeat(25)).len(), 1);
    assert!(accused(&hands.append(7, "x\n")).contains("it may send 100"));
    // Safe appends free their room.
    hands.sessions.safe(PEER, CLIENT, 5);
    assert_eq!(hands.append(7, "x\n").len(), 1);
    let mut hands = opened();
    hands.append(5, "a\n");
    assert!(accused(&hands.open(PEER, "views", 6)).contains("has one"));
    let mut hands = Hands::new(SessionLimits::default());
    assert!(accused(&hands.append(1, "a\n")).contains("is not open"));
    assert!(accused(&hands.open(PEER, "views", 0)).contains("number 0"));
}

#[test]
fn csv_is_opened_again_with_its_header() {
    let mut hands = Hands::new(SessionLimits::default());
    let asks = hands.open(PEER, "table", 1);
    assert!(matches!(
        asks[..],
        [SessionEffect::Tell(_, ToClient::Opened { wants_header: true, .. })]
    ));
    let (stream, header) = ("table".to_owned(), Some("a,b".to_owned()));
    let open = ToReceiver::Open { stream, client: CLIENT, first: 1, header };
    let asks = hands.sessions.said(PEER, open, &hands.pool);
    assert!(matches!(
        asks[..],
        [SessionEffect::Tell(_, ToClient::Opened { wants_header: false, .. })]
    ));
    let asks = hands.append(1, "1,2\n");
    let [SessionEffect::Take(append)] = &asks[..] else { panic!("{asks:?}") };
    assert_eq!(append.header.as_deref(), Some("a,b"));
}

#[test]
fn memory_is_promised_once() {
    let limits = SessionLimits { memory: 1000, window: 400, longest: 100 };
    let mut hands = Hands::new(limits);
    let (mut windows, mut last) = (Vec::new(), PeerId(0));
    loop {
        last = PeerId(last.0 + 1);
        match hands.open(last, "views", 1)[..] {
            [SessionEffect::Tell(_, ToClient::Opened { window, .. })] => windows.push(window),
            [SessionEffect::Tell(_, ToClient::Refused { elsewhere: true, .. })] => break,
            ref other => panic!("{other:?}"),
        }
    }
    assert!(windows.len() > 4 && windows.iter().all(|window| *window >= 100), "{windows:?}");
    assert!(windows.iter().sum::<u64>() <= 1000, "{windows:?}");
    // The appends of a disconnected client count until they are safe.
    let lines = "x\n".repeat(50);
    hands.append(1, &lines);
    hands.sessions.gone(PEER);
    assert_eq!(hands.sessions.unacknowledged(), 100);
    assert!(hands.sessions.safe(PEER, CLIENT, 1).is_empty());
    assert_eq!(hands.sessions.unacknowledged(), 0);
    let asks = hands.open(last, "views", 1);
    assert!(matches!(asks[..], [SessionEffect::Tell(_, ToClient::Opened { .. })]), "{asks:?}");
}

#[test]
fn after_a_refusal_nothing_is_taken_or_acknowledged() {
    let mut hands = opened();
    hands.append(5, "a\n");
    hands.append(6, "b\n");
    let asks = hands.sessions.refused(PEER, CLIENT, 5, "because");
    let [SessionEffect::Tell(PEER, ToClient::Refused { why, elsewhere: false })] = &asks[..] else {
        panic!("{asks:?}")
    };
    assert_eq!(why, "because");
    assert!(hands.append(7, "c\n").is_empty());
    assert!(hands.sessions.safe(PEER, CLIENT, 6).is_empty());
    assert_eq!(hands.sessions.unacknowledged(), 0);
    // A draining worker refuses new clients as well.
    let mut hands = opened();
    hands.append(5, "a\n");
    let elsewhere = |asks: &[SessionEffect]| {
        matches!(asks, [SessionEffect::Tell(_, ToClient::Refused { elsewhere: true, .. })])
    };
    assert!(elsewhere(&hands.sessions.leave()));
    assert!(elsewhere(&hands.open(PeerId(2), "views", 1)));
    assert!(hands.append(6, "b\n").is_empty());
}
