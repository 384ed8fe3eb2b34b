//! The ends of rows of CSV, in bytes that come in pieces.
//!
//! A quote opens a field only where the field begins, as RFC 4180 has it and Python's `csv` reads it; within
//! quotes a doubled quote is one of the text. Quotes are found with `memchr`, so bytes without any cost one
//! fast pass. Invariant: how the bytes are divided into pieces does not matter.

use memchr::{memchr, memchr_iter, memrchr};

use super::Rows;

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
        self.runs(bytes, |from, to| memchr(b'\n', &bytes[from..to]).map(|at| from + at + 1))
    }

    /// Goes over all of the bytes: the end of the last row that ends among them.
    pub(super) fn last_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut last = None;
        self.runs(bytes, |from, to| {
            last = memrchr(b'\n', &bytes[from..to]).map(|at| from + at + 1).or(last);
            None
        });
        last
    }

    /// Goes over all of the bytes: how many rows end among them.
    pub(super) fn count(&mut self, bytes: &[u8]) -> u64 {
        let mut count = 0;
        self.runs(bytes, |from, to| {
            count += memchr_iter(b'\n', &bytes[from..to]).count() as u64;
            None
        });
        count
    }

    /// Goes on to the end of the `n`th row from here; `n` counts from 1.
    pub(super) fn nth_end(&mut self, bytes: &[u8], n: u64) -> Option<usize> {
        let mut left = n;
        self.runs(bytes, |from, to| {
            if left == 0 {
                return None;
            }
            for at in memchr_iter(b'\n', &bytes[from..to]) {
                left -= 1;
                if left == 0 {
                    return Some(from + at + 1);
                }
            }
            None
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

    /// Gives each run of bytes outside quotes, in which every line break ends a row, until `each` says where to
    /// stop: after an end.
    fn runs(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(usize, usize) -> Option<usize>,
    ) -> Option<usize> {
        // Where the row begins; before these bytes if it is negative.
        let mut start = 0_i64.saturating_sub_unsigned(self.len);
        let mut at = 0;
        while at < bytes.len() {
            match self.at {
                At::Outside => {
                    let (end, opens) = self.outside(bytes, at, start);
                    if let Some(stop) = each(at, end) {
                        *self = Self { quotes: self.quotes, ..Self::new(self.rows) };
                        return Some(stop);
                    }
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
        None
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
                comment = byte == b'#';
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

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

        #[test]
        fn it_is_what_a_reader_of_bytes_finds(
            bytes in prop::collection::vec(prop_oneof![
                3 => Just(b'"'), 2 => Just(b','), 2 => Just(b'\n'), 1 => Just(b'#'), 1 => Just(b'\r'), 3 => Just(b'a'),
            ], 0..120),
            span in prop_oneof![Just(1 << 20), 1..40_u64],
            pieces in 1..30_usize,
        ) {
            let rows = rows(span);
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
