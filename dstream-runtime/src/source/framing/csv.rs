//! The ends of rows of CSV, in bytes that come in pieces.
//!
//! A quote opens a field only where the field begins, as RFC 4180 has it and Python's `csv` reads it; within
//! quotes a doubled quote is one of the text. Blocks of 64 bytes are decided at once where quotes are well
//! formed, and byte by byte where they are not. Invariant: how the bytes are divided into pieces does not
//! matter.

use memchr::{memchr, memchr_iter, memrchr};

use super::Rows;
use crate::source::mask::{BLOCK, mask, parity};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Line breaks end rows here.
    Outside,
    /// In a field with quotes.
    Quoted,
    /// After a quote in such a field: the field has ended, unless the next byte is a quote too.
    Closing,
}

/// Follows rows from the beginning of one.
#[derive(Debug, Clone)]
pub(in crate::source) struct Scan {
    rows: Rows,
    quote: u8,
    at: At,
    /// Whether a field begins with the next byte.
    fresh: bool,
    /// Whether the row is a comment.
    comment: bool,
    /// How many bytes of the row have been seen.
    len: u64,
    quotes: bool,
}

impl Scan {
    /// At the beginning of a row. Without a quote in the dialect every line break ends one, and no scan is
    /// needed.
    pub(super) fn new(rows: Rows) -> Self {
        let quote = rows.dialect.quote.unwrap_or(b'"');
        Self { rows, quote, at: At::Outside, fresh: true, comment: false, len: 0, quotes: false }
    }

    /// Goes on to the first end of a row; over all of the bytes if there is none.
    pub(super) fn first_end(&mut self, bytes: &[u8]) -> Option<usize> {
        self.ends(bytes, |base, ends| Some(base + ends.trailing_zeros() as usize + 1))
    }

    /// Goes over all of the bytes: the end of the last row that ends among them.
    pub(super) fn last_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut last = None;
        self.ends(bytes, |base, ends| {
            last = Some(base + BLOCK - ends.leading_zeros() as usize);
            None
        });
        last
    }

    /// Goes over all of the bytes: how many rows end among them.
    pub(super) fn count(&mut self, bytes: &[u8]) -> u64 {
        let mut count = 0;
        self.ends(bytes, |_, ends| {
            count += u64::from(ends.count_ones());
            None
        });
        count
    }

    /// Goes on to the end of the `n`th row from here; `n` counts from 1.
    pub(super) fn nth_end(&mut self, bytes: &[u8], n: u64) -> Option<usize> {
        let mut left = n;
        self.ends(bytes, |base, mut ends| {
            let here = u64::from(ends.count_ones());
            if left == 0 || left > here {
                left = left.saturating_sub(here);
                return None;
            }
            (1..left).for_each(|_| ends &= ends - 1);
            Some(base + ends.trailing_zeros() as usize + 1)
        })
    }

    /// Whether a row has begun and not ended.
    pub(super) fn is_within(&self) -> bool {
        self.len > 0
    }

    /// Whether a quote has been seen, wherever it was.
    pub(super) fn has_quotes(&self) -> bool {
        self.quotes
    }

    /// Gives, block by block, a bit for each line break that ends a row, with where the block begins; until
    /// `each` says where to stop: after an end. Blocks in which none ends are not given.
    fn ends(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(usize, u64) -> Option<usize>,
    ) -> Option<usize> {
        let mut base = 0;
        while base < bytes.len() {
            let rest = &bytes[base..];
            let ends = match rest.first_chunk() {
                Some(block) => self.block(block).unwrap_or_else(|| self.bytewise(block)),
                None => self.bytewise(rest),
            };
            if ends != 0
                && let Some(stop) = each(base, ends)
            {
                *self = Self { quotes: self.quotes, ..Self::new(self.rows) };
                return Some(stop);
            }
            base += BLOCK;
        }
        None
    }

    /// The ends of rows in a block; none is decided, and nothing is changed, if it has what needs a look at
    /// each byte: a quote where no field begins, comments, or a row that may be too long for open quotes.
    ///
    /// Quotes open and close in turn, and a doubled one closes and opens again, so a byte is within quotes
    /// after an odd number of them. (As in Langdale, Lemire: Parsing Gigabytes of JSON per Second, 2019.)
    #[inline]
    fn block(&mut self, block: &[u8; BLOCK]) -> Option<u64> {
        let dialect = self.rows.dialect;
        let was_within = self.at == At::Quoted;
        let (quotes, breaks) = (mask(block, self.quote), mask(block, b'\n'));
        if dialect.comment.is_some() {
            return None;
        }
        let mut within = 0;
        if quotes != 0 || was_within {
            if self.len.saturating_add(BLOCK as u64) > self.rows.span {
                return None;
            }
            within = parity(quotes) ^ if was_within { u64::MAX } else { 0 };
            let opening = quotes & !(within << 1 | u64::from(was_within));
            let first = self.fresh || self.at == At::Closing;
            let begins = (mask(block, dialect.delimiter) | breaks | quotes) << 1 | u64::from(first);
            if opening & !begins != 0 {
                return None;
            }
            self.quotes |= quotes != 0;
        }
        let (ends, last) = (breaks & !within, block[BLOCK - 1]);
        self.at = match within >> (BLOCK - 1) {
            0 if last == self.quote => At::Closing,
            0 => At::Outside,
            _ => At::Quoted,
        };
        self.fresh = self.at == At::Outside && (last == dialect.delimiter || last == b'\n');
        self.comment = false;
        self.len = match ends {
            0 => self.len + BLOCK as u64,
            ends => u64::from(ends.leading_zeros()),
        };
        Some(ends)
    }

    /// The ends of rows in no more than a block.
    #[cold]
    fn bytewise(&mut self, bytes: &[u8]) -> u64 {
        // Where the row begins; before these bytes if it is negative.
        let mut start = 0_i64.saturating_sub_unsigned(self.len);
        let (mut at, mut ends) = (0, 0);
        while at < bytes.len() {
            match self.at {
                At::Outside => {
                    let (end, opens) = self.outside(bytes, at, start);
                    memchr_iter(b'\n', &bytes[at..end]).for_each(|found| ends |= 1 << (at + found));
                    start = row_start(bytes, at, end, start);
                    if opens {
                        self.at = At::Quoted;
                    }
                    at = end + usize::from(opens);
                }
                At::Quoted => at = self.quoted(bytes, at, start),
                At::Closing if bytes[at] == self.quote => {
                    self.at = At::Quoted;
                    at += 1;
                }
                At::Closing => {
                    self.at = At::Outside;
                    self.fresh = false;
                }
            }
        }
        self.leave(bytes, start);
        ends
    }

    /// Remembers, at the end of the bytes, what the next ones need.
    fn leave(&mut self, bytes: &[u8], start: i64) {
        let Some(last) = bytes.last() else { return };
        self.fresh =
            self.at == At::Outside && (*last == self.rows.dialect.delimiter || *last == b'\n');
        self.comment = self.is_comment(bytes, start);
        self.len = (bytes.len() as i64 - start).unsigned_abs();
    }

    fn is_comment(&self, bytes: &[u8], start: i64) -> bool {
        match usize::try_from(start) {
            Ok(start) => {
                bytes.get(start).is_some_and(|first| Some(*first) == self.rows.dialect.comment)
            }
            Err(_) => self.comment,
        }
    }

    /// Where the next field in quotes opens, if one does: the end of a run.
    fn outside(&mut self, bytes: &[u8], from: usize, start: i64) -> (usize, bool) {
        let mut at = from;
        while let Some(found) = memchr(self.quote, &bytes[at..]) {
            let quote = at + found;
            self.quotes = true;
            let fresh = match quote.checked_sub(1) {
                None => self.fresh,
                Some(before) => {
                    bytes[before] == self.rows.dialect.delimiter || bytes[before] == b'\n'
                }
            };
            if !fresh {
                at = quote + 1;
            } else if self.is_comment(bytes, row_start(bytes, from, quote, start)) {
                match memchr(b'\n', &bytes[quote..]) {
                    Some(end) => at = quote + end,
                    None => break,
                }
            } else {
                return (quote, true);
            }
        }
        (bytes.len(), false)
    }

    /// Goes on in a field with quotes: to its end, to the line break that ends a row which is too long for one
    /// with open quotes, or over all of the bytes.
    fn quoted(&mut self, bytes: &[u8], from: usize, start: i64) -> usize {
        let limit = start.saturating_add_unsigned(self.rows.span).max(0);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        match memchr(self.quote, &bytes[from..]).map(|found| from + found) {
            Some(quote) if quote < limit => match bytes.get(quote + 1) {
                None => {
                    self.at = At::Closing;
                    quote + 1
                }
                Some(next) if *next == self.quote => quote + 2,
                Some(_) => {
                    self.at = At::Outside;
                    quote + 1
                }
            },
            _ => {
                let beyond = limit.max(from);
                let end = bytes.get(beyond..).and_then(|rest| memchr(b'\n', rest));
                if end.is_some() {
                    self.at = At::Outside;
                }
                end.map_or(bytes.len(), |end| beyond + end)
            }
        }
    }
}

/// Where the row at `to` begins, if the one at `from` begins at `start`.
fn row_start(bytes: &[u8], from: usize, to: usize, start: i64) -> i64 {
    memrchr(b'\n', &bytes[from..to]).map_or(start, |at| (from + at + 1) as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::Dialect;

    fn rows(span: u64) -> Rows {
        Rows { dialect: Dialect { comment: Some(b'#'), ..Dialect::default() }, span }
    }

    /// The same, byte by byte.
    fn expected(bytes: &[u8], rows: Rows) -> Vec<usize> {
        let (mut ends, mut start, mut quoted, mut comment) = (Vec::new(), 0, false, false);
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            if at == start {
                comment = Some(byte) == rows.dialect.comment;
            }
            let begins = at == start || bytes[at - 1] == b',' && !quoted;
            if quoted {
                let late = (at - start) as u64 >= rows.span;
                if byte == b'"' && !late {
                    if bytes.get(at + 1) == Some(&b'"') {
                        at += 1;
                    } else {
                        quoted = false;
                    }
                } else if byte == b'\n' && late {
                    quoted = false;
                    continue;
                }
            } else if byte == b'\n' {
                ends.push(at + 1);
                start = at + 1;
            } else if byte == b'"' && begins && !comment {
                quoted = true;
            }
            at += 1;
        }
        ends
    }

    fn ends(bytes: &[u8], rows: Rows, pieces: usize) -> Vec<usize> {
        let (mut scan, mut ends, mut base) = (Scan::new(rows), Vec::new(), 0);
        for piece in bytes.chunks(pieces.max(1)) {
            let mut at = 0;
            while let Some(end) = scan.first_end(&piece[at..]) {
                at += end;
                ends.push(base + at);
            }
            base += piece.len();
        }
        ends
    }

    #[test]
    fn rows_end_outside_quotes() {
        let text = b"a,\"x\ny\",b\n\"\"\"\n\",1\n,\"\"\n5\" tall,2\n\"a\"\"\"\r\nz";
        assert_eq!(ends(text, rows(1 << 20), 1000), expected(text, rows(1 << 20)));
        assert_eq!(ends(text, rows(1 << 20), 1000), [10, 18, 22, 32, 39]);
    }

    #[test]
    fn comments_have_no_quotes() {
        let text = b"#,\"it\n1,\"#\n\"\n# \"\n2,3\n";
        assert_eq!(ends(text, rows(1 << 20), 3), [6, 13, 17, 21]);
    }

    #[test]
    fn an_open_quote_takes_no_more_than_its_span() {
        let text = b"1,\"open\n2,b\n3,c\n4,\"d\"\n5,e\n";
        assert_eq!(ends(text, rows(10), 1000), [12, 16, 22, 26]);
        assert_eq!(ends(text, rows(10), 1), [12, 16, 22, 26]);
        // Closed within it, by the wrong quote.
        assert_eq!(ends(text, rows(100), 1), [22, 26]);
    }

    fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            3 => Just(b'"'), 2 => Just(b','), 2 => Just(b'\n'), 1 => Just(b'#'), 1 => Just(b'\r'), 3 => Just(b'a'),
        ];
        prop::collection::vec(byte, 0..300)
    }

    /// Mostly well formed.
    fn fields() -> impl Strategy<Value = Vec<u8>> {
        let field = prop_oneof![
            6 => "\"([a\n,#]|\"\"){0,9}\"", 6 => "[a#]{0,9}", 1 => "[a\"]{0,5}",
        ];
        let end = prop_oneof![6 => Just(","), 3 => Just("\n"), 1 => Just("\r\n")];
        let fields = prop::collection::vec((field, end), 0..60);
        fields.prop_map(|fields| {
            fields.into_iter().flat_map(|(field, end)| (field + end).into_bytes()).collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

        #[test]
        fn it_is_what_a_reader_of_bytes_finds(
            bytes in prop_oneof![any_bytes(), fields()],
            span in prop_oneof![3 => Just(1 << 20), 1 => 1..40_u64, 1 => 40..300_u64],
            pieces in prop_oneof![1..30_usize, 30..400_usize],
            comment in prop::option::of(Just(b'#')),
        ) {
            let rows = Rows { dialect: Dialect { comment, ..Dialect::default() }, span };
            let expected = expected(&bytes, rows);
            prop_assert_eq!(&ends(&bytes, rows, pieces), &expected);
            prop_assert_eq!(Scan::new(rows).last_end(&bytes), expected.last().copied());
            prop_assert_eq!(Scan::new(rows).count(&bytes), expected.len() as u64);
            for n in 1..=expected.len() + 1 {
                let end = Scan::new(rows).nth_end(&bytes, n as u64);
                prop_assert_eq!(end, expected.get(n - 1).copied());
            }
            let mut scan = Scan::new(rows);
            let mut counted = 0;
            bytes.chunks(pieces).for_each(|piece| counted += scan.count(piece));
            prop_assert_eq!(counted, expected.len() as u64);
            prop_assert_eq!(scan.is_within(), expected.last().copied().unwrap_or(0) < bytes.len());
        }
    }
}
