//! What clients have sent and no batch has taken yet.
//!
//! Pure bookkeeping of bytes per connection: no sockets, no waiting. Its invariants: it never holds
//! more than it was given room for; and nothing that came in is lost: it is in a chunk, or it is the
//! beginning of a line, or it was cut off a line that becomes a dead letter, which says so.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use crate::source::decode::{LONE_RETURNS, has_lone_return};
use crate::source::form::{Form, HeaderRow, MARK};
use crate::source::framing::{Frames, Framing, Unfold};
use crate::source::lines::{PIECE, TORN_HEAD};
use crate::source::part::{Held, Torn};

use super::SPLIT;

/// Lines of one connection that follow each other are joined up to this size: that of an input, so that what one
/// client sends can be read by several tasks.
const CHUNK: usize = SPLIT as usize;

/// What a chunk costs beside its bytes.
const CHUNK_COST: usize = 256;

const TOO_LONG: &str = "longer than `max_line` allows";
const CROWDED_OUT: &str = "cut off because unfinished lines filled the `buffer`";
const STOPPED: &str = "unfinished when the source was stopped";

/// The lines that have arrived, in order of arrival, and the beginnings of further ones.
pub(super) struct Inbox {
    limit: usize,
    max_line: usize,
    form: Form,
    chunks: Vec<Chunk>,
    connections: BTreeMap<u64, Connection>,
    /// Bytes of chunks and of unfinished lines.
    held: usize,
    /// Bytes of chunks that were taken and not given back.
    lent: usize,
}

/// Consecutive lines of one connection.
struct Chunk {
    split: Arc<str>,
    header: Option<Arc<str>>,
    position: u64,
    bytes: Vec<u8>,
    torn: Option<Torn>,
}

impl Chunk {
    /// Keeps whole lines of at least `at` bytes. Returns the others, if there are any.
    fn split(&mut self, at: usize, framing: Framing) -> Option<Self> {
        if self.torn.is_some() {
            return None;
        }
        let end = framing.record_end(&self.bytes, at).filter(|end| *end < self.bytes.len())?;
        let (split, header) = (self.split.clone(), self.header.clone());
        let position = self.position + end as u64;
        Some(Self { split, header, position, bytes: self.bytes.split_off(end), torn: None })
    }
}

struct Connection {
    split: Arc<str>,
    header: Option<Arc<str>>,
    /// Whether the first row has been looked at, if it may be a header.
    looked: bool,
    /// How many bytes of a byte order mark have come; `None` once something else has.
    mark: Option<usize>,
    /// Makes JSON one value per line.
    unfold: Option<Unfold>,
    /// Where in a record it is.
    frames: Frames,
    /// Why nothing more is taken in.
    refused: Option<Arc<str>>,
    /// The line that is not finished, or the head of it.
    line: Vec<u8>,
    /// Where it begins.
    position: u64,
    /// No line has ended so far.
    untouched: bool,
    /// Why only the head of it is kept.
    torn: Option<Cow<'static, str>>,
    /// How much was not kept.
    lost: u64,
}

impl Connection {
    fn length(&self) -> u64 {
        self.line.len() as u64 + self.lost
    }

    /// Keeps no more of the line than a dead letter needs; how much was given up.
    fn tear(&mut self, why: impl Into<Cow<'static, str>>) -> usize {
        let excess = self.line.len().saturating_sub(TORN_HEAD);
        self.line.truncate(TORN_HEAD);
        self.line.shrink_to_fit();
        self.lost += excess as u64;
        self.torn = Some(why.into());
        excess
    }
}

impl Inbox {
    pub(super) fn new(limit: usize, max_line: usize, form: Form) -> Self {
        let (chunks, connections) = (Vec::new(), BTreeMap::new());
        Self { limit, max_line, form, chunks, connections, held: 0, lent: 0 }
    }

    /// How many bytes it may hold.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// A client has connected.
    pub(super) fn connected(&mut self, id: u64, split: Arc<str>) {
        let connection = Connection {
            split,
            header: None,
            looked: !self.form.looks_at_first(),
            mark: Some(0),
            unfold: self.form.json.map(Unfold::new),
            frames: Frames::new(self.form.framing),
            refused: None,
            line: Vec::new(),
            position: 0,
            untouched: true,
            torn: None,
            lost: 0,
        };
        self.connections.insert(id, connection);
    }

    /// How many bytes may be received now; 0 until a batch takes some.
    pub(super) fn room(&mut self) -> usize {
        while self.held >= self.limit && self.chunks.is_empty() && self.lent == 0 {
            // No batch can make room: all that is here are beginnings of lines.
            let longest = self.connections.values_mut().max_by_key(|c| c.line.len());
            match longest.filter(|c| c.line.len() > TORN_HEAD) {
                Some(connection) => self.held -= connection.tear(CROWDED_OUT),
                // Thousands of clients, each with the head of a line: a little more each.
                None => return PIECE,
            }
        }
        self.limit.saturating_sub(self.held + self.lent)
    }

    /// Bytes have arrived.
    pub(super) fn received(&mut self, id: u64, bytes: &[u8]) {
        let unfold = self.connections.get_mut(&id).and_then(|it| it.unfold.as_mut());
        match unfold.map(|unfold| unfold.feed(bytes)) {
            Some(bytes) => self.take_in(id, &bytes),
            None => self.take_in(id, bytes),
        }
    }

    fn take_in(&mut self, id: u64, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let Some(connection) = self.connections.get_mut(&id) else {
                return;
            };
            if connection.refused.is_some() {
                return;
            }
            if let Some(seen) = connection.mark {
                bytes = self.begin(id, seen, bytes);
                continue;
            }
            let within = connection.length() > 0;
            // Among so few bytes no record is too long, unless it began before them.
            let few = &bytes[..bytes.len().min(self.max_line)];
            let whole =
                if within || !connection.looked { None } else { self.form.framing.last_end(few) };
            if let Some(end) = whole {
                let position = connection.position;
                connection.position += end as u64;
                connection.untouched = false;
                let (split, header) = (connection.split.clone(), connection.header.clone());
                self.push(
                    Chunk { split, header, position, bytes: Vec::new(), torn: None },
                    &bytes[..end],
                );
                bytes = &bytes[end..];
            } else {
                let end = connection.frames.first_end(bytes);
                let until = end.unwrap_or(bytes.len());
                self.go_on(id, &bytes[..until], end.is_some());
                bytes = &bytes[until..];
            }
        }
    }

    /// Drops a byte order mark, of which this much has come; what is left of the bytes.
    fn begin<'b>(&mut self, id: u64, seen: usize, bytes: &'b [u8]) -> &'b [u8] {
        let Some(connection) = self.connections.get_mut(&id) else {
            return &[];
        };
        let more = bytes.iter().zip(&MARK[seen..]).take_while(|(is, mark)| is == mark).count();
        connection.mark =
            Some(seen + more).filter(|len| seen + bytes.len() == *len && *len < MARK.len());
        if connection.mark.is_some() {
            return &[];
        }
        if seen + more == MARK.len() {
            connection.position = MARK.len() as u64;
            return &bytes[more..];
        }
        self.no_mark(id, seen);
        bytes
    }

    /// What has come looked like a mark and is none.
    fn no_mark(&mut self, id: u64, seen: usize) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.mark = None;
            connection.frames.first_end(&MARK[..seen]);
            self.go_on(id, &MARK[..seen], false);
        }
    }

    /// Why a connection is to be closed, if it is.
    pub(super) fn refusal(&self, id: u64) -> Option<Arc<str>> {
        self.connections.get(&id)?.refused.clone()
    }

    /// A record goes on, perhaps to its end.
    fn go_on(&mut self, id: u64, bytes: &[u8], ends: bool) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        // A line may be as long as `max_line` without its line end.
        let length = connection.length() + bytes.len() as u64 - u64::from(ends);
        if connection.torn.is_none() && length > self.max_line as u64 {
            self.held -= connection.tear(TOO_LONG);
        }
        let kept = match connection.torn {
            None => bytes.len(),
            Some(_) => bytes.len().min(TORN_HEAD.saturating_sub(connection.line.len())),
        };
        connection.line.extend_from_slice(&bytes[..kept]);
        connection.lost += (bytes.len() - kept) as u64;
        self.held += kept;
        if ends {
            self.finish(id);
        }
    }

    /// What has arrived of a line is all of it.
    fn finish(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let (position, length) = (connection.position, connection.length());
        if length == 0 {
            return;
        }
        let line = std::mem::take(&mut connection.line);
        connection.position += length;
        connection.untouched = false;
        connection.lost = 0;
        self.held -= line.len();
        let torn = connection.torn.take();
        let mut why = torn.map(|why| format!("a line of {length} bytes, {why}"));
        if !std::mem::replace(&mut connection.looked, true) {
            let header = match &why {
                Some(why) if self.form.header == HeaderRow::Yes => Err(why.clone()),
                Some(_) => Ok(None),
                None => self.form.header(&line),
            };
            match header {
                Ok(None) => {}
                Ok(header) => {
                    connection.header = header;
                    return;
                }
                Err(bad) => {
                    connection.refused = Some(bad.as_str().into());
                    why = Some(format!("{bad}; the connection is closed"));
                }
            }
        }
        let torn = why.map(|why| Torn { length, why: why.into() });
        let (split, header) = (connection.split.clone(), connection.header.clone());
        self.push(Chunk { split, header, position, bytes: Vec::new(), torn }, &line);
    }

    /// Adds lines to the last chunk, if they follow it, or else to this new one.
    fn push(&mut self, mut chunk: Chunk, lines: &[u8]) {
        self.held += lines.len();
        if let Some(last) = self.chunks.last_mut()
            && last.torn.is_none()
            && chunk.torn.is_none()
            && Arc::ptr_eq(&last.split, &chunk.split)
            && last.bytes.len() + lines.len() <= CHUNK
        {
            return last.bytes.extend_from_slice(lines);
        }
        self.held += CHUNK_COST;
        chunk.bytes.extend_from_slice(lines);
        self.chunks.push(chunk);
    }

    /// A client has closed: a last line needs no line end.
    pub(super) fn closed(&mut self, id: u64) {
        let unfold = self.connections.get_mut(&id).and_then(|it| it.unfold.as_mut());
        if let Some(rest) = unfold.map(Unfold::finish) {
            self.take_in(id, &rest);
        }
        if let Some(seen) = self.connections.get(&id).and_then(|connection| connection.mark) {
            self.no_mark(id, seen);
        }
        if self.form.is_text()
            && let Some(connection) = self.connections.get_mut(&id)
            && connection.untouched
            && connection.torn.is_none()
            && has_lone_return(&connection.line)
        {
            self.held -= connection.tear(format!("which {LONE_RETURNS}"));
        }
        self.finish(id);
        self.connections.remove(&id);
    }

    /// The source has closed the connection: what has arrived of a last line is not the line.
    pub(super) fn stopped(&mut self, id: u64) {
        self.interrupted(id, || STOPPED.into());
    }

    /// The connection broke: what has arrived of a last line is not the line.
    pub(super) fn broken(&mut self, id: u64, error: &io::Error) {
        self.interrupted(id, || format!("unfinished when its connection broke ({error})").into());
    }

    fn interrupted(&mut self, id: u64, why: impl FnOnce() -> Cow<'static, str>) {
        // A line that is torn already keeps its reason.
        if let Some(connection) = self.connections.get_mut(&id)
            && connection.length() > 0
            && connection.torn.is_none()
        {
            self.held -= connection.tear(why());
        }
        self.closed(id);
    }

    /// Whether there are no whole lines.
    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Takes all whole lines, in order of arrival.
    pub(super) fn take(&mut self) -> Vec<Held> {
        self.take_some(u64::MAX)
    }

    /// Takes whole lines, in order of arrival, until they have `bytes` bytes, or there are no more.
    pub(super) fn take_some(&mut self, bytes: u64) -> Vec<Held> {
        let (mut count, mut taken) = (0, 0u64);
        while taken < bytes
            && let Some(chunk) = self.chunks.get(count)
        {
            (count, taken) = (count + 1, taken.saturating_add(chunk.bytes.len() as u64));
        }
        let mut chunks: Vec<Chunk> = self.chunks.drain(..count).collect();
        let last = chunks.last_mut().filter(|_| taken > bytes);
        let rest = last.and_then(|last| {
            let excess = usize::try_from(taken - bytes).unwrap_or(usize::MAX);
            last.split(last.bytes.len().saturating_sub(excess), self.form.framing)
        });
        if let Some(rest) = rest {
            self.held += CHUNK_COST;
            self.chunks.insert(0, rest);
        }
        self.held -= chunks.iter().map(|chunk| chunk.bytes.len() + CHUNK_COST).sum::<usize>();
        let framing = self.form.framing;
        let held = |chunk: Chunk| Held {
            header: chunk.header,
            framing,
            torn: chunk.torn,
            ..Held::new(chunk.split, chunk.position, chunk.bytes)
        };
        chunks.into_iter().map(held).collect()
    }

    /// Takes the same, but keeps counting it until it is given back.
    pub(super) fn lend(&mut self) -> Vec<Held> {
        let lines = self.take();
        self.lent += lines.iter().map(cost).sum::<usize>();
        lines
    }

    /// A reader needs `bytes` bytes no longer.
    pub(super) fn give_back(&mut self, bytes: usize) {
        self.lent -= bytes;
    }
}

/// What lines that were lent count.
pub(super) fn cost(lines: &Held) -> usize {
    lines.as_bytes().len() + CHUNK_COST
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Field, Format, Record, Schema};
    use crate::source::Framing;
    use crate::source::framing::Outer;

    fn inbox(limit: usize, max_line: usize, header: bool) -> Inbox {
        let framing = Framing::of(if header { Format::Csv } else { Format::Text });
        let rule = if header { HeaderRow::Yes } else { HeaderRow::No };
        of_form(limit, max_line, Form { framing, header: rule, json: None, schema: None })
    }

    fn of_form(limit: usize, max_line: usize, form: Form) -> Inbox {
        let mut inbox = Inbox::new(limit, max_line, form);
        inbox.connected(1, "one".into());
        inbox.connected(2, "two".into());
        inbox
    }

    /// Split, position, text, and length and reason of what is torn.
    type Taken = (String, u64, String, Option<(u64, String)>);

    fn take(inbox: &mut Inbox) -> Vec<Taken> {
        let show = |held: Held| {
            let text = String::from_utf8(held.as_bytes().to_vec()).unwrap();
            let torn = held.torn.map(|torn| (torn.length, torn.why.to_string()));
            (held.split.to_string(), held.position, text, torn)
        };
        inbox.take().into_iter().map(show).collect()
    }

    fn line(split: &str, position: u64, text: &str) -> Taken {
        (split.to_owned(), position, text.to_owned(), None)
    }

    #[test]
    fn lines_come_in_order_of_arrival() {
        let mut inbox = inbox(1 << 20, 1000, false);
        inbox.received(1, b"a\nb\nun");
        inbox.received(2, b"x\n");
        inbox.received(1, b"finished\nc\n");
        inbox.received(1, b"d\n");
        inbox.received(2, b"rest");
        let expected =
            [line("one", 0, "a\nb\n"), line("two", 0, "x\n"), line("one", 4, "unfinished\nc\nd\n")];
        assert_eq!(take(&mut inbox), expected);
        assert_eq!(take(&mut inbox), []);
        inbox.closed(2);
        inbox.closed(1);
        assert_eq!(take(&mut inbox), [line("two", 2, "rest")]);
        assert_eq!(inbox.held, 0);
    }

    #[test]
    fn text_whose_lines_end_with_carriage_returns_alone_is_set_aside() {
        for (sent, refused) in
            [("a\rb\rc\r", true), ("a\rb", true), ("a\r", false), ("ab\nx\ry", false)]
        {
            let mut inbox = inbox(1 << 20, 1000, false);
            sent.bytes().for_each(|byte| inbox.received(1, &[byte]));
            inbox.closed(1);
            let taken = take(&mut inbox);
            let torn: Vec<_> = taken.iter().filter_map(|line| line.3.as_ref()).collect();
            assert_eq!(torn.len(), usize::from(refused), "{sent:?}");
            let text: String = taken.iter().map(|line| line.2.as_str()).collect();
            assert_eq!((text.as_str(), inbox.held), (sent, 0));
            assert!(torn.iter().all(|(_, why)| why.contains("tr '\\r' '\\n'")), "{torn:?}");
        }
    }

    #[test]
    fn some_lines_are_taken_and_the_rest_waits_in_order() {
        let mut inbox = inbox(1 << 20, 100, false);
        for id in [1, 2, 1, 2] {
            inbox.received(id, b"0123456789\n");
        }
        let lines = |some: Vec<Held>| some.iter().map(|held| held.position).collect::<Vec<_>>();
        assert_eq!(lines(inbox.take_some(12)), [0, 0]);
        assert!(!inbox.is_empty());
        assert_eq!(lines(inbox.take_some(1)), [11]);
        assert_eq!(lines(inbox.take_some(u64::MAX)), [11]);
        assert!(inbox.is_empty() && inbox.take_some(9).is_empty());
        assert_eq!(inbox.held, 0);
    }

    #[test]
    fn any_division_gives_the_same_lines() {
        let sent = b"one\ntwo and more\n\nthree\r\nfour";
        for size in 1..sent.len() {
            let mut inbox = inbox(1 << 20, 12, false);
            let mut got = Vec::new();
            for bytes in sent.chunks(size) {
                inbox.received(1, bytes);
                got.extend(take(&mut inbox));
            }
            inbox.closed(1);
            got.extend(take(&mut inbox));
            let text: String = got.iter().map(|(_, _, text, _)| text.as_str()).collect();
            assert_eq!(text.as_bytes(), sent, "{size}");
            assert!(got.iter().all(|(_, _, _, torn)| torn.is_none()));
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_torn_and_the_rest_goes_on() {
        for size in [1, 7, 1000, 100_000] {
            let mut inbox = inbox(1 << 20, 5000, false);
            let sent = format!("{}\n{}\nok\n", "a".repeat(5000), "b".repeat(5001));
            for bytes in sent.as_bytes().chunks(size) {
                inbox.received(1, bytes);
            }
            let got = take(&mut inbox);
            let whole: String =
                got.iter().filter(|g| g.3.is_none()).map(|g| g.2.as_str()).collect();
            assert!(whole == format!("{}\nok\n", "a".repeat(5000)));
            let torn: Vec<_> = got.iter().filter(|g| g.3.is_some()).collect();
            assert_eq!(torn.len(), 1);
            assert_eq!((torn[0].1, torn[0].2.len()), (5001, TORN_HEAD));
            let (length, why) = torn[0].3.clone().unwrap();
            assert_eq!(length, 5002);
            assert!(why.contains("max_line"), "{why}");
            assert_eq!(got.last().unwrap().1, 5001 + 5002);
            assert_eq!(inbox.held, 0);
        }
    }

    #[test]
    fn a_full_inbox_has_no_room_until_a_batch_is_taken() {
        let mut inbox = inbox(1000, 1000, false);
        assert_eq!(inbox.room(), 1000);
        inbox.received(1, &[b"x".repeat(799), b"\n".to_vec()].concat());
        assert!(inbox.room() == 0);
        inbox.take();
        assert_eq!(inbox.room(), 1000);
    }

    #[test]
    fn as_much_is_taken_as_was_asked_for_to_the_next_end_of_a_line() {
        let mut inbox = inbox(1 << 20, 1000, false);
        inbox.received(1, b"one\ntwo\nthree\n");
        inbox.received(2, b"four\nfive");
        let mut some = |bytes| -> Vec<(u64, String)> {
            let taken = inbox.take_some(bytes).into_iter();
            let text = |held: &Held| String::from_utf8(held.as_bytes().to_vec()).unwrap();
            taken.map(|held| (held.position, text(&held))).collect()
        };
        let line = |position, text: &str| (position, text.to_owned());
        assert_eq!(some(0), []);
        assert_eq!(some(1), [line(0, "one\n")]);
        assert_eq!(some(4), [line(4, "two\n")]);
        assert_eq!(some(7), [line(8, "three\n"), line(0, "four\n")]);
        assert_eq!(some(7), []);
        assert_eq!(inbox.held, 4);
        // Quoted fields stay whole.
        let mut inbox = super::tests::inbox(1 << 20, 1000, true);
        inbox.received(1, b"a,b\n1,\"x\ny\"\n2,z\n");
        let rows = |taken: Vec<Held>| taken.iter().map(|held| held.as_bytes().len()).sum::<usize>();
        assert_eq!(rows(inbox.take_some(3)), 8);
        assert_eq!(rows(inbox.take_some(100)), 4);
        assert_eq!(inbox.held, 0);
    }

    #[test]
    fn beginnings_of_lines_cannot_fill_it_for_ever() {
        let mut inbox = inbox(20_000, 20_000, false);
        inbox.received(1, &b"x".repeat(12_000));
        inbox.received(2, &b"y".repeat(8000));
        assert_eq!(inbox.room(), 12_000 - TORN_HEAD);
        inbox.received(1, b"x\n");
        inbox.received(2, b"y\n");
        let got = take(&mut inbox);
        assert_eq!((got[0].2.len(), got[1].2.len()), (TORN_HEAD, 8002));
        let (length, why) = got[0].3.clone().unwrap();
        assert_eq!(length, 12_002);
        assert!(why.contains("buffer"), "{why}");
    }

    #[test]
    fn each_connection_has_its_header() {
        let mut inbox = inbox(1 << 20, 1000, true);
        inbox.received(1, b"a,");
        inbox.received(2, b"c\r\n3\n");
        inbox.received(1, b"b\n1,2\n");
        let headers: Vec<_> = inbox.take().into_iter().map(|h| h.header.unwrap()).collect();
        assert_eq!(headers.iter().map(|h| &**h).collect::<Vec<_>>(), ["c", "a,b"]);
    }

    #[test]
    fn rows_go_on_over_line_breaks_however_they_are_divided() {
        let sent = "\u{feff}\"a\nb\",c\r\n1,\"x\n\"\"y\"\n2,z\n3,\"open\nto the end";
        for size in 1..sent.len() {
            let mut inbox = inbox(1 << 20, 1000, true);
            let mut got = Vec::new();
            for bytes in sent.as_bytes().chunks(size) {
                inbox.received(1, bytes);
                got.extend(inbox.take());
                assert!(got.iter().all(|held| held.as_bytes().ends_with(b"\n")));
            }
            inbox.closed(1);
            got.extend(inbox.take());
            assert!(got.iter().all(|held| held.header.as_deref() == Some("\"a\nb\",c")), "{size}");
            assert_eq!(got[0].position, 12);
            let text: Vec<u8> = got.iter().flat_map(|held| held.as_bytes().to_vec()).collect();
            assert_eq!(text, &sent.as_bytes()[12..], "{size}");
            assert_eq!(inbox.held, 0);
        }
    }

    #[test]
    fn a_line_that_a_broken_connection_cuts_off_is_torn() {
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        // Where a line goes on, after a line end, and between the two bytes of a character.
        for (sent, whole, torn) in [
            (&b"y,12\ny,1200"[..], "y,12\n", Some("y,1200")),
            (b"y,12\n", "y,12\n", None),
            (b"x\ncaf\xc3", "x\n", Some("caf")),
            (b"only half", "", Some("only half")),
            (b"", "", None),
        ] {
            let mut inbox = inbox(1 << 20, 1000, false);
            inbox.received(1, sent);
            inbox.broken(1, &reset);
            let (mut lines, mut letters) = (String::new(), Vec::new());
            for held in inbox.take() {
                let text = String::from_utf8_lossy(held.as_bytes()).into_owned();
                match held.torn {
                    None => lines.push_str(&text),
                    Some(torn) => letters.push((text, torn)),
                }
            }
            assert_eq!(lines, whole);
            assert_eq!(letters.len(), usize::from(torn.is_some()), "{sent:?}");
            for (text, why) in letters {
                assert!(text.starts_with(torn.unwrap()), "{text}");
                assert!(why.why.contains("connection broke (connection reset"), "{}", why.why);
                assert_eq!(why.length, (sent.len() - whole.len()) as u64);
            }
            assert_eq!(inbox.held, 0);
        }
    }

    #[test]
    fn an_array_is_its_elements() {
        let sent = "\u{feff}[\n  {\"a\": 1},\n  {\"a\":\n 2}\n]\n[3,4";
        for size in 1..=sent.len() {
            let (framing, json) = (Framing::of(Format::Json), Some(Outer::of(None)));
            let form = Form { framing, header: HeaderRow::No, json, schema: None };
            let mut inbox = of_form(1 << 20, 1000, form);
            sent.as_bytes().chunks(size).for_each(|bytes| inbox.received(1, bytes));
            let got: String = take(&mut inbox).into_iter().map(|taken| taken.2).collect();
            let values: Vec<String> = got.lines().map(|line| line.replace(' ', "")).collect();
            // The second is there as soon as its array ends.
            assert_eq!(values, ["{\"a\":1}", "{\"a\":2}", "3"], "{size}");
            inbox.closed(1);
            assert_eq!(take(&mut inbox)[0].2.trim(), "4[");
            assert_eq!(inbox.held, 0);
        }
    }

    #[test]
    fn what_only_begins_like_a_mark_is_data() {
        for sent in
            [&b"\xef"[..], b"\xef\xbb", b"\xef\xbb\n", b"\xef\xbb\xbe\n", b"\xefx\xbb\xbf\n"]
        {
            for size in 1..=sent.len() {
                let mut inbox = inbox(1 << 20, 1000, false);
                sent.chunks(size).for_each(|bytes| inbox.received(1, bytes));
                inbox.closed(1);
                let got: Vec<u8> =
                    inbox.take().iter().flat_map(|h| h.as_bytes().to_vec()).collect();
                assert_eq!(got, sent);
            }
        }
        let mut inbox = inbox(1 << 20, 1000, false);
        inbox.received(1, b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n");
        assert_eq!(take(&mut inbox), [line("one", 3, "a\n\u{feff}b\n")]);
    }

    #[test]
    fn a_header_that_lacks_a_column_ends_its_connection_only() {
        const SCHEMA: Schema =
            Schema::Struct { name: "User", fields: &[Field::new("user", <u64 as Record>::SCHEMA)] };
        let framing = Framing::of(Format::Csv);
        let form = Form { framing, header: HeaderRow::Yes, json: None, schema: Some(SCHEMA) };
        let mut inbox = of_form(1 << 20, 1000, form);
        inbox.received(1, b"usr\n1\n2\n");
        inbox.received(2, b"user\n3\n");
        assert!(inbox.refusal(1).unwrap().contains("did you mean `usr`?"));
        assert!(inbox.refusal(2).is_none());
        inbox.received(1, b"4\n");
        inbox.closed(1);
        let got = take(&mut inbox);
        assert_eq!((got[0].2.as_str(), got.len()), ("usr\n", 2));
        let (length, why) = got[0].3.clone().unwrap();
        assert!(length == 4 && why.ends_with("it has `usr`; the connection is closed"), "{why}");
        assert_eq!(got[1], line("two", 5, "3\n"));
    }

    #[test]
    fn a_line_that_the_source_interrupts_is_torn() {
        let mut inbox = inbox(1 << 20, 1000, false);
        inbox.received(1, b"whole\nhal");
        inbox.stopped(1);
        inbox.stopped(2);
        let got = take(&mut inbox);
        assert_eq!(got[0], line("one", 0, "whole\n"));
        assert_eq!((got[1].2.as_str(), got.len()), ("hal", 2));
        assert!(got[1].3.clone().unwrap().1.contains("stopped"));
    }
}
