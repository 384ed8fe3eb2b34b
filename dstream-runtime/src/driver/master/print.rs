//! `print`: the first records of a batch, and how many more there are.

use std::sync::Arc;

use crate::record::Format;
use crate::sink::Part;
use crate::source::Framing;

/// Keeps the first `limit` records of all parts, which are in order of partition and have at most
/// `limit` records encoded each. In a text format a last line says how many more there are.
pub(super) fn first(parts: Vec<Part>, limit: u32, format: Option<Format>) -> Vec<Part> {
    let limit = u64::from(limit);
    let total: u64 = parts.iter().map(|part| part.records).sum();
    let mut left = limit;
    let mut kept: Vec<Part> = Vec::new();
    for mut part in parts {
        let encoded = part.records.min(limit);
        if encoded > left {
            let framing = format.map_or(Framing::Lines, Framing::of);
            part.bytes = Arc::new(part.bytes[..framing.head(&part.bytes, left)].to_vec());
        }
        part.records = encoded.min(left);
        left -= part.records;
        kept.push(part);
    }
    let more = total.saturating_sub(limit);
    if more > 0
        && format == Some(Format::Text)
        && let Some(last) = kept.last_mut()
    {
        let mut bytes = last.bytes.to_vec();
        bytes.extend_from_slice(format!("… and {more} more\n").as_bytes());
        last.bytes = Arc::new(bytes);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Partition;

    fn part(partition: u32, records: u64, text: &str) -> Part {
        let bytes = Arc::new(text.as_bytes().to_vec());
        Part { partition: Partition(partition), records, bytes, header: Arc::from([]) }
    }

    fn text(parts: &[Part]) -> String {
        parts.iter().map(|part| String::from_utf8_lossy(&part.bytes)).collect()
    }

    #[test]
    fn shows_the_first_of_all_partitions_and_how_many_more() {
        let parts = vec![part(0, 2, "a\nb\n"), part(1, 900, "c\nd\ne\n"), part(2, 1, "f\n")];
        let shown = first(parts.clone(), 3, Some(Format::Text));
        assert_eq!(text(&shown), "a\nb\nc\n… and 900 more\n");
        assert_eq!(shown.iter().map(|part| part.records).sum::<u64>(), 3);
        assert_eq!(text(&first(parts, 3, Some(Format::Json))), "a\nb\nc\n");
    }

    #[test]
    fn a_row_may_have_line_breaks() {
        let parts = vec![part(0, 1, "z,0\n"), part(1, 2, "\"a\nb\",1\nc,2\n")];
        assert_eq!(text(&first(parts, 2, Some(Format::Csv))), "z,0\n\"a\nb\",1\n");
    }

    #[test]
    fn says_nothing_when_all_are_shown() {
        assert_eq!(text(&first(vec![part(0, 3, "a\nb\nc\n")], 3, Some(Format::Text))), "a\nb\nc\n");
        assert!(first(Vec::new(), 10, Some(Format::Text)).is_empty());
    }
}
