//! JSON that is not one value per line, made so.
//!
//! A top-level array is read as its elements, and a value may go on over lines. Both become one value per line
//! here, byte for byte as long as before, so that positions stay and everything behind knows lines alone: what
//! divides elements becomes a line break, and line breaks within a value become spaces. Which of the forms it is
//! is decided at the beginning, once; values that are one per line are passed on untouched. Invariants: how the
//! bytes are divided does not matter; nothing that is not JSON becomes JSON.

use std::borrow::Cow;
use std::io::{self, Read};

use memchr::memchr;

use crate::record::Schema;

/// Bytes read at a time.
const CHUNK: usize = 64 << 10;

/// What tells an array of records from a record that is an array itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::source) struct Outer {
    /// The record is written as an array.
    array: bool,
    /// Its first part may begin with `[`, or with `{`.
    begins_with_array: bool,
    begins_with_object: bool,
}

impl Outer {
    /// For records of this shape.
    pub(in crate::source) fn of(schema: Option<&Schema>) -> Self {
        match schema.map(inner) {
            Some(Schema::Tuple([first, ..])) => Self::array(first),
            Some(Schema::List(item)) => Self::array(item),
            _ => Self::default(),
        }
    }

    fn array(first: &Schema) -> Self {
        let (tuple, list, object) = match inner(first) {
            Schema::Tuple(_) => (true, false, false),
            Schema::List(_) => (false, true, false),
            Schema::Struct { .. } => (false, false, true),
            Schema::Scalar(_) | Schema::Enum { .. } | Schema::Option(_) => (false, false, false),
        };
        // A tuple may be written with names.
        Self { array: true, begins_with_array: tuple || list, begins_with_object: tuple || object }
    }
}

fn inner(schema: &Schema) -> &Schema {
    match schema {
        Schema::Option(of) => inner(of),
        other => other,
    }
}

/// What the beginning has said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Nothing yet.
    Unknown,
    /// A `[` that begins an array of records or a record.
    Bracket,
    /// The first value, which may go on over lines.
    First,
    /// One value per line.
    Lines,
    /// Values that go on over lines.
    Values,
    /// Elements of an array.
    Elements,
    /// After such an array: another one may follow.
    Between,
}

/// Makes one value per line.
#[derive(Debug, Clone)]
pub(in crate::source) struct Unfold {
    outer: Outer,
    shape: Shape,
    /// Which of the open brackets are braces, the innermost in the lowest bit; deeper ones are not JSON for us.
    braces: u128,
    depth: u32,
    string: bool,
    escaped: bool,
    /// Whether an element has begun since the last comma; after an array, whether its last line is still open.
    element: bool,
    /// The last byte that is no blank.
    last: u8,
    /// What is not decided yet: a `[` and blanks, or a line break.
    waits: Vec<u8>,
}

impl Unfold {
    pub(in crate::source) fn new(outer: Outer) -> Self {
        Self {
            outer,
            shape: Shape::Unknown,
            braces: 0,
            depth: 0,
            string: false,
            escaped: false,
            element: false,
            last: 0,
            waits: Vec::new(),
        }
    }

    /// Whether all that follows is passed on untouched.
    pub(in crate::source) fn is_lines(&self) -> bool {
        self.shape == Shape::Lines && self.waits.is_empty()
    }

    /// Whether it is known that values are not one per line.
    pub(in crate::source) fn is_folded(&self) -> bool {
        matches!(self.shape, Shape::Values | Shape::Elements | Shape::Between)
    }

    /// The next bytes, as lines. A few may be kept until more is known.
    pub(in crate::source) fn feed<'b>(&mut self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        if self.is_lines() {
            return Cow::Borrowed(bytes);
        }
        let mut out = Vec::with_capacity(bytes.len() + self.waits.len());
        for (at, byte) in bytes.iter().enumerate() {
            self.byte(*byte, &mut out);
            if self.is_lines() {
                out.extend_from_slice(&bytes[at + 1..]);
                break;
            }
        }
        Cow::Owned(out)
    }

    /// Nothing more comes: what was kept. An array that was not closed leaves a last line that is no value, so
    /// that it is known.
    pub(in crate::source) fn finish(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.waits);
        if self.shape == Shape::Elements && self.depth == 0 && !self.string {
            self.shape = Shape::Between;
            // A number may go on where it was cut off; what is in brackets or quotes may not.
            let whole = self.element && matches!(self.last, b'}' | b']' | b'"');
            rest.extend_from_slice(if whole { b"\n[" } else { b"[" });
        }
        rest
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        match self.shape {
            Shape::Lines => out.push(byte),
            Shape::Unknown => self.begin(byte, out),
            Shape::Bracket => self.bracket(byte, out),
            Shape::First | Shape::Values => self.value(byte, out),
            Shape::Elements => self.element(byte, out),
            Shape::Between => self.between(byte, out),
        }
        if !is_blank(byte) {
            self.last = byte;
        }
    }

    /// Before the first value. A byte order mark is skipped as blanks are.
    fn begin(&mut self, byte: u8, out: &mut Vec<u8>) {
        match byte {
            _ if is_blank(byte) || b"\xef\xbb\xbf".contains(&byte) => out.push(byte),
            b'[' if self.outer.array => {
                self.shape = Shape::Bracket;
                self.waits.push(byte);
            }
            b'[' => {
                self.shape = Shape::Elements;
                out.push(b' ');
            }
            b'{' => {
                self.shape = Shape::First;
                self.value(byte, out);
            }
            _ => {
                self.shape = Shape::Lines;
                out.push(byte);
            }
        }
    }

    /// After a first `[` of records that are arrays themselves.
    fn bracket(&mut self, byte: u8, out: &mut Vec<u8>) {
        if is_blank(byte) {
            return self.waits.push(byte);
        }
        let waits = std::mem::take(&mut self.waits);
        let elements = match byte {
            b'[' => !self.outer.begins_with_array,
            b'{' => !self.outer.begins_with_object,
            _ => false,
        };
        if elements {
            self.shape = Shape::Elements;
            out.extend(waits.iter().map(|_| b' '));
            return self.element(byte, out);
        }
        self.shape = Shape::First;
        for byte in waits.into_iter().chain([byte]) {
            self.byte(byte, out);
        }
    }

    /// Values that follow each other, perhaps over lines.
    fn value(&mut self, byte: u8, out: &mut Vec<u8>) {
        if let Some(kept) = self.waits.pop() {
            // A brace at the beginning of a line cannot stand where a name must: the value before it is broken.
            let broken = byte == b'{' && self.braces & 1 == 1 && self.last != b':';
            if broken {
                (self.depth, self.braces) = (0, 0);
            }
            out.push(if broken { kept } else { b' ' });
        }
        if byte != b'\n' {
            self.track(byte);
            return out.push(byte);
        }
        match (self.shape, self.depth) {
            (Shape::First, 0) => self.shape = Shape::Lines,
            // A text cannot go on over lines: this one is broken.
            (Shape::First, _) if self.string => self.shape = Shape::Lines,
            (Shape::First, _) => self.shape = Shape::Values,
            _ => {}
        }
        match self.shape {
            Shape::Lines => out.push(byte),
            _ if self.string => self.broken_text(out),
            _ if self.depth == 0 => out.push(byte),
            _ => self.waits.push(byte),
        }
    }

    /// Elements of an array, each to its own line.
    fn element(&mut self, byte: u8, out: &mut Vec<u8>) {
        if self.string || self.depth > 0 {
            return match byte {
                b'\n' if self.string => self.broken_text(out),
                b'\n' => out.push(b' '),
                _ => {
                    self.track(byte);
                    out.push(byte);
                }
            };
        }
        match byte {
            b',' if self.element => {
                self.element = false;
                out.push(b'\n');
            }
            b']' if self.element || self.last != b',' => {
                self.shape = Shape::Between;
                out.push(if self.element { b'\n' } else { b' ' });
                self.element = false;
            }
            b']' => {
                // Nothing follows the last comma: that is no array.
                self.shape = Shape::Between;
                self.element = true;
                out.push(byte);
            }
            b'\n' => out.push(b' '),
            _ if is_blank(byte) => out.push(byte),
            _ => {
                self.element = true;
                self.track(byte);
                out.push(byte);
            }
        }
    }

    /// After an array.
    fn between(&mut self, byte: u8, out: &mut Vec<u8>) {
        match byte {
            b'[' | b'\n' => {
                if byte == b'[' {
                    self.shape = Shape::Elements;
                }
                // What is still open is no value.
                out.push(if self.element { b'\n' } else { b' ' });
                self.element = false;
            }
            _ if is_blank(byte) => out.push(byte),
            _ => {
                self.shape = Shape::Values;
                self.value(byte, out);
            }
        }
    }

    /// A line break within a text is an error in JSON, and so is what takes its place.
    fn broken_text(&mut self, out: &mut Vec<u8>) {
        (self.string, self.escaped) = (false, false);
        out.push(b'\t');
    }

    /// Follows brackets and texts.
    fn track(&mut self, byte: u8) {
        if self.string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.string = false,
                _ => {}
            }
            return;
        }
        match byte {
            b'"' => self.string = true,
            b'{' | b'[' => {
                self.braces = self.braces << 1 | u128::from(byte == b'{');
                self.depth += 1;
            }
            b'}' | b']' => {
                self.braces >>= 1;
                self.depth = self.depth.saturating_sub(1);
            }
            _ => {}
        }
    }
}

/// All of some bytes, as lines.
pub(in crate::source) fn unfold(outer: Outer, bytes: Vec<u8>) -> Vec<u8> {
    let mut first = Unfold::new(outer);
    // One value per line is known by its first line, and nothing has to be copied.
    let mut at = 0;
    while !first.is_folded() && !first.is_lines() && at < bytes.len() {
        let end = memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |end| at + end + 1);
        first.feed(&bytes[at..end]);
        at = end;
    }
    if !first.is_folded() {
        return bytes;
    }
    let mut unfold = Unfold::new(outer);
    let mut lines = unfold.feed(&bytes).into_owned();
    lines.extend(unfold.finish());
    lines
}

/// The same of what is read.
pub(in crate::source) struct Unfolded<R> {
    of: R,
    unfold: Unfold,
    chunk: Vec<u8>,
    /// What is to be given, and how much of it has been.
    ready: Vec<u8>,
    given: usize,
}

impl<R: Read> Unfolded<R> {
    pub(in crate::source) fn new(of: R, outer: Outer) -> Self {
        let (unfold, chunk) = (Unfold::new(outer), vec![0; CHUNK]);
        Self { of, unfold, chunk, ready: Vec::new(), given: 0 }
    }
}

impl<R: Read> Read for Unfolded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.given == self.ready.len() {
            if self.unfold.is_lines() {
                return self.of.read(out);
            }
            let got = self.of.read(&mut self.chunk)?;
            (self.ready, self.given) = match got {
                0 => (self.unfold.finish(), 0),
                _ => (self.unfold.feed(&self.chunk[..got]).into_owned(), 0),
            };
            if got == 0 && self.ready.is_empty() {
                return Ok(0);
            }
        }
        let some = out.len().min(self.ready.len() - self.given);
        out[..some].copy_from_slice(&self.ready[self.given..self.given + some]);
        self.given += some;
        Ok(some)
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::record::Record;

    fn unfolded(text: &[u8], outer: Outer, pieces: usize) -> String {
        let mut unfold = Unfold::new(outer);
        let mut out = Vec::new();
        for piece in text.chunks(pieces.max(1)) {
            out.extend_from_slice(&unfold.feed(piece));
        }
        out.extend(unfold.finish());
        String::from_utf8(out).unwrap()
    }

    fn objects() -> Outer {
        Outer::default()
    }

    /// The lines that are not blank.
    fn lines(text: &str, outer: Outer) -> Vec<String> {
        let whole = unfolded(text.as_bytes(), outer, usize::MAX);
        for pieces in 1..text.len().min(20) {
            assert_eq!(unfolded(text.as_bytes(), outer, pieces), whole);
        }
        let lines =
            whole.trim_start_matches('\u{feff}').split('\n').map(|line| line.trim().to_owned());
        lines.filter(|line| !line.is_empty()).collect()
    }

    #[test]
    fn lines_stay_as_they_are() {
        for text in
            ["{\"a\":1}\n[1,2]\n\n x\n", "1\n[2,\n3]\n", "\n \"a\"\n{\n", "{\"a\":\"\n\"}\n"]
        {
            assert_eq!(unfolded(text.as_bytes(), objects(), 3), *text);
        }
    }

    #[test]
    fn arrays_are_their_elements() {
        let cases: [(&str, &[&str]); 10] = [
            ("[{\"a\":1},{\"a\":\"],[\"}]", &["{\"a\":1}", "{\"a\":\"],[\"}"]),
            ("\u{feff}\r\n [\r\n 1 ,\n \"x\\\"]\"\n]\n", &["1", "\"x\\\"]\""]),
            ("[]", &[]),
            (
                "[[1,2],[3]] [4]\n[5,\n6]\n{\"a\":\n1}",
                &["[1,2]", "[3]", "4", "5", "6", "{\"a\": 1}"],
            ),
            ("[{\"a\":1},{\"a\":", &["{\"a\":1}", "{\"a\":"]),
            ("[{\"a\":1},{\"a\":2}", &["{\"a\":1}", "{\"a\":2}", "["]),
            ("[1,2", &["1", "2["]),
            ("[1,]\n[2]", &["1", "]", "2"]),
            ("[1,,2]", &["1", ",2"]),
            ("[{\"a\":\"x\n},\n{\"a\":2}]", &["{\"a\":\"x\t}", "{\"a\":2}"]),
        ];
        for (text, expected) in cases {
            assert_eq!(lines(text, objects()), expected, "{text}");
        }
    }

    #[test]
    fn values_may_go_on_over_lines() {
        assert_eq!(
            lines("{\n\"a\":\n[\n1,\n{\n}\n]\n}\n{\n}\n3\n", objects()),
            ["{ \"a\": [ 1, { } ] }", "{ }", "3"]
        );
        // The first line is no value, and the others are.
        assert_eq!(
            lines("{\"a\":1,\n{\"a\":2}\n{\"a\":3}", objects()),
            ["{\"a\":1,", "{\"a\":2}", "{\"a\":3}"]
        );
        assert_eq!(lines("{\n\"a\":\n{\n}\n}", objects()), ["{ \"a\": { } }"]);
    }

    #[test]
    fn records_that_are_arrays_are_told_from_arrays_of_them() {
        let pair = Outer::of(Some(&<(String, u64)>::SCHEMA));
        assert_eq!(lines("[\"a\",1]\n[\"b\",2]\n", pair), ["[\"a\",1]", "[\"b\",2]"]);
        assert_eq!(lines("[[\"a\",1],\n[\"b\",2]]\n", pair), ["[\"a\",1]", "[\"b\",2]"]);
        assert_eq!(lines("[ \n{\"key\":1},{}]\n", pair), ["{\"key\":1}", "{}"]);
        assert_eq!(lines("[\n\"a\",\n1]\n[\"b\",2]\n", pair), ["[ \"a\", 1]", "[\"b\",2]"]);
        let nested = Outer::of(Some(&<((u8, u8), u8)>::SCHEMA));
        assert_eq!(lines("[[1,2],3]\n", nested), ["[[1,2],3]"]);
        let list = Outer::of(Some(&<Vec<u8>>::SCHEMA));
        assert_eq!(lines("[1,2]\n[3]\n", list), ["[1,2]", "[3]"]);
        assert_eq!(lines("[[1,2],[3]]\n", list), ["[1,2]", "[3]"]);
    }

    #[test]
    fn what_is_read_is_the_same() {
        for text in ["[1,\n{\"a\":2}]", "{}\n{}\n", "", "[", "[{}"] {
            let expected = unfolded(text.as_bytes(), objects(), usize::MAX);
            let mut read = String::new();
            Unfolded::new(text.as_bytes(), objects()).read_to_string(&mut read).unwrap();
            assert_eq!(read, expected, "{text}");
            assert_eq!(unfold(objects(), text.as_bytes().to_vec()), expected.as_bytes());
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(|n| json!(n)),
            any::<bool>().prop_map(|b| json!(b)),
            Just(Value::Null),
            "[a-c\"\\\\\n\t\\[\\]{},: é]{0,8}".prop_map(|text| json!(text)),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                prop::collection::vec(("[a-z\"]{0,3}", inner), 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

        #[test]
        fn elements_are_those_of_serde(
            values in prop::collection::vec(values(), 0..6),
            pretty in any::<bool>(),
            pieces in 1..40_usize,
        ) {
            let write = |value: &Value| match pretty {
                true => serde_json::to_string_pretty(value).unwrap(),
                false => serde_json::to_string(value).unwrap(),
            };
            let text = write(&Value::Array(values.clone()));
            let got = unfolded(text.as_bytes(), objects(), pieces);
            prop_assert_eq!(got.len(), text.len());
            let read = |got: &str| -> Vec<Value> {
                let lines = got.split('\n').filter(|line| !line.trim().is_empty());
                lines.map(|line| serde_json::from_str(line).unwrap()).collect()
            };
            prop_assert_eq!(&read(&got), &values);
            // One after the other, the first of them an object.
            let mut text = write(&json!({"a": values, "b": {}}));
            for value in &values {
                text.push('\n');
                text.push_str(&write(value));
            }
            if pretty || values.iter().all(|value| !write(value).contains('\n')) {
                let got = unfolded(text.as_bytes(), objects(), pieces);
                let expected: Vec<Value> = std::iter::once(json!({"a": values, "b": {}}))
                    .chain(values.iter().cloned())
                    .collect();
                prop_assert_eq!(read(&got), expected);
            }
        }

        #[test]
        fn division_does_not_matter(
            bytes in prop::collection::vec(prop_oneof![
                Just(b'['), Just(b']'), Just(b'{'), Just(b'}'), Just(b','), Just(b':'), Just(b'"'), Just(b'\\'),
                Just(b'\n'), Just(b' '), Just(b'1'),
            ], 0..60),
            pieces in 1..10_usize,
            array in any::<bool>(),
        ) {
            let outer = if array { Outer::of(Some(&<(u8, u8)>::SCHEMA)) } else { objects() };
            let whole = unfolded(&bytes, outer, usize::MAX);
            prop_assert_eq!(unfolded(&bytes, outer, pieces), &whole[..]);
            prop_assert!(whole.len() >= bytes.len() && whole.len() <= bytes.len() + 2);
        }
    }
}
