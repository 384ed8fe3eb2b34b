//! A body that is one JSON array: its elements become lines, in place.
//!
//! Every byte keeps its position: the commas between elements become line breaks, and line breaks between tokens
//! become spaces. Whether an element is a record is for the decoder to say; what is no array is left as it is.

use std::mem::replace;

/// What a body is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Lines, as they are.
    Lines,
    /// The elements of an array, each on a line now.
    Elements {
        /// Where the lines of the body ended before.
        breaks: Vec<usize>,
    },
}

/// Makes lines of the elements of an array.
///
/// # Errors
/// When the body begins as an array over several lines and does not end as one: where, and what is wrong.
pub(super) fn elements(body: &mut [u8]) -> Result<Shape, String> {
    let mark = if body.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let Some(start) = body[mark..].iter().position(|byte| !byte.is_ascii_whitespace()) else {
        return Ok(Shape::Lines);
    };
    let start = mark + start;
    if body[start] != b'[' {
        return Ok(Shape::Lines);
    }
    match Scan::new(start).run(body) {
        Ok(scan) => {
            let Scan { commas, breaks, end, .. } = scan;
            let before = body[..start].iter().enumerate().filter(|(_, byte)| **byte == b'\n');
            let before: Vec<usize> = before.map(|(at, _)| at).collect();
            let breaks = [before, breaks].concat();
            breaks.iter().for_each(|at| body[*at] = b' ');
            commas.iter().for_each(|at| body[*at] = b'\n');
            (body[start], body[end]) = (b' ', b' ');
            Ok(Shape::Elements { breaks })
        }
        // Lines may be arrays, each of its own: the decoder says what it makes of them.
        Err(wrong) if wrong.is_first_line => Ok(Shape::Lines),
        Err(wrong) => Err(wrong.why),
    }
}

struct Wrong {
    why: String,
    /// The array of the first line ends in that line.
    is_first_line: bool,
}

struct Scan {
    /// What is open, as the brackets that close it.
    open: Vec<u8>,
    in_text: bool,
    escaped: bool,
    /// Whether there is anything since the last comma.
    has_element: bool,
    commas: Vec<usize>,
    breaks: Vec<usize>,
    start: usize,
    end: usize,
}

impl Scan {
    fn new(start: usize) -> Self {
        let (open, commas, breaks) = (Vec::new(), Vec::new(), Vec::new());
        let (in_text, escaped, has_element) = (false, false, false);
        Self { open, in_text, escaped, has_element, commas, breaks, start, end: 0 }
    }

    fn run(mut self, body: &[u8]) -> Result<Self, Wrong> {
        for at in self.start..body.len() {
            let why = match self.step(at, body[at]) {
                Ok(()) => continue,
                Err(why) => why,
            };
            return Err(self.wrong(body, at, &why));
        }
        if self.end == 0 {
            return Err(self.wrong(body, body.len(), "the array does not end"));
        }
        Ok(self)
    }

    fn wrong(&self, body: &[u8], at: usize, why: &str) -> Wrong {
        let line = 1 + memchr::memchr_iter(b'\n', &body[..at]).count();
        let column = at - memchr::memrchr(b'\n', &body[..at]).map_or(0, |end| end + 1) + 1;
        let why = format!("the body is no JSON array: {why} at line {line} column {column}");
        let ended = self.end > 0 && self.end < at;
        let breaks = self.breaks.first().is_some_and(|first| *first < self.end);
        Wrong { why, is_first_line: ended && !breaks }
    }

    fn step(&mut self, at: usize, byte: u8) -> Result<(), String> {
        if self.in_text {
            return self.text(byte);
        }
        if self.end > 0 {
            return match byte {
                b'\n' => {
                    self.breaks.push(at);
                    Ok(())
                }
                _ if byte.is_ascii_whitespace() => Ok(()),
                _ => Err("there is more after its end".to_owned()),
            };
        }
        match byte {
            b'\n' => self.breaks.push(at),
            _ if byte.is_ascii_whitespace() => {}
            b'[' | b'{' => {
                self.has_element |= !self.open.is_empty();
                self.open.push(if byte == b'[' { b']' } else { b'}' });
            }
            b']' | b'}' => return self.close(at, byte),
            b',' if self.open.len() == 1 => {
                if !replace(&mut self.has_element, false) {
                    return Err("an element is missing".to_owned());
                }
                self.commas.push(at);
            }
            _ => {
                self.has_element = true;
                self.in_text = byte == b'"';
            }
        }
        Ok(())
    }

    fn text(&mut self, byte: u8) -> Result<(), String> {
        match byte {
            b'\n' => return Err("a line break within a string".to_owned()),
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = true,
            b'"' => self.in_text = false,
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, at: usize, byte: u8) -> Result<(), String> {
        if self.open.pop() != Some(byte) {
            return Err(format!("an unexpected `{}`", char::from(byte)));
        }
        if self.open.is_empty() {
            if !self.has_element && !self.commas.is_empty() {
                return Err("an element is missing".to_owned());
            }
            self.end = at;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn lines(body: &str) -> Result<Vec<String>, String> {
        let mut bytes = body.as_bytes().to_vec();
        let shape = elements(&mut bytes)?;
        assert_eq!(bytes.len(), body.len());
        if shape == Shape::Lines {
            assert_eq!(bytes, body.as_bytes());
        }
        let text = String::from_utf8(bytes).unwrap();
        let whole = |line: &str| line.trim_matches(['\u{feff}', ' ', '\t', '\r']).to_owned();
        Ok(text.lines().map(whole).filter(|line| !line.is_empty()).collect())
    }

    #[test]
    fn elements_are_lines_and_keep_their_places() {
        assert_eq!(
            lines(r#"[{"a":[1,2]},"x,]\"",3]"#).unwrap(),
            [r#"{"a":[1,2]}"#, r#""x,]\"""#, "3"]
        );
        assert_eq!(lines("\n [ 1 ,\r\n 2 ]\n\n").unwrap(), ["1", "2"]);
        assert_eq!(lines("\u{feff}[1,\n2]").unwrap(), ["1", "2"]);
        assert_eq!(lines("[]").unwrap(), [""; 0]);
        assert_eq!(lines("[\n]").unwrap(), [""; 0]);
        let mut body = b"[{\n\"a\":1},\n{\"b\":2}]".to_vec();
        let shape = elements(&mut body).unwrap();
        assert_eq!(body, b" { \"a\":1}\n {\"b\":2} ");
        assert_eq!(shape, Shape::Elements { breaks: vec![2, 10] });
    }

    #[test]
    fn other_bodies_are_lines() {
        for body in
            ["", " \n", "{\"a\":[1]}\n{\"a\":[2]}\n", "[1]\n[2]\n", "[1,[2]]\n{}\n", "1\n[2"]
        {
            let mut bytes = body.as_bytes().to_vec();
            assert_eq!(elements(&mut bytes), Ok(Shape::Lines), "{body}");
            assert_eq!(bytes, body.as_bytes());
        }
    }

    #[test]
    fn what_is_half_an_array_is_refused_with_the_place() {
        for (body, why) in [
            ("[1,2", "the array does not end at line 1 column 5"),
            ("[{\"a\":1},\n{\"a\":", "the array does not end at line 2 column 6"),
            ("[1,\n,2]", "an element is missing at line 2 column 1"),
            ("[1,\n]", "an element is missing at line 2 column 1"),
            ("[{\"a\":1]", "an unexpected `]` at line 1 column 8"),
            ("[\"a\nb\"]", "a line break within a string at line 1 column 4"),
            ("[\n1]\n[2]", "there is more after its end at line 3 column 1"),
        ] {
            let error = lines(body).unwrap_err();
            assert!(error.contains(why), "{body:?}: {error}");
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            "[a\\[\\]{},:\"\\\\\n é]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a\"\\[]{0,3}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn serde_json_reads_the_same_elements(all in prop::collection::vec(values(), 0..5), pretty: bool) {
            let body = match pretty {
                true => serde_json::to_string_pretty(&all).unwrap(),
                false => serde_json::to_string(&all).unwrap(),
            };
            let read: Vec<Value> =
                lines(&body).unwrap().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
            prop_assert_eq!(read, all);
        }

        #[test]
        fn nothing_panics(body in prop::collection::vec(prop_oneof![
            Just(b'['), Just(b']'), Just(b'{'), Just(b'}'), Just(b','), Just(b'"'), Just(b'\\'), Just(b'\n'), any::<u8>(),
        ], 0..40)) {
            let mut after = body.clone();
            let _ = elements(&mut after);
            prop_assert_eq!(after.len(), body.len());
        }
    }
}
