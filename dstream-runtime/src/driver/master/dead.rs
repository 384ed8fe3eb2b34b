//! Dead letters as one more output of a source: JSON lines `{split, position, reason, text}`.

use std::sync::Arc;

use serde::Serialize;

use crate::exec::task::DeadLetter;
use crate::id::Partition;
use crate::sink::Part;

#[derive(Serialize)]
struct Line<'a> {
    split: &'a str,
    position: u64,
    reason: &'a str,
    text: &'a str,
}

/// One task's dead letters as a part.
pub(super) fn part(partition: Partition, letters: &[DeadLetter]) -> Part {
    let mut bytes = Vec::new();
    let mut records = 0;
    for DeadLetter { split, position, reason, text } in letters {
        let line = Line { split, position: *position, reason, text };
        let before = bytes.len();
        // Strings and a number into memory: nothing here can fail, but if it did the line is left out.
        match serde_json::to_writer(&mut bytes, &line) {
            Ok(()) => {
                bytes.push(b'\n');
                records += 1;
            }
            Err(_) => bytes.truncate(before),
        }
    }
    Part { partition, records, bytes: Arc::new(bytes), header: Arc::from([]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_lines_of_json() {
        let letter = |position, text: &str| DeadLetter {
            split: "views.json".to_owned(),
            position,
            reason: "no \"url\"".to_owned(),
            text: text.to_owned(),
        };
        let part = part(Partition(3), &[letter(0, "{}"), letter(7, "a\nb")]);
        assert_eq!((part.partition, part.records), (Partition(3), 2));
        let lines: Vec<serde_json::Value> = std::str::from_utf8(&part.bytes)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines[0]["reason"], "no \"url\"");
        assert_eq!(
            (lines[1]["position"].as_u64(), lines[1]["text"].as_str()),
            (Some(7), Some("a\nb"))
        );
    }
}
