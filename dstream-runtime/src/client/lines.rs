//! Lines and records for sending: pieces of whole lines.

use memchr::{memchr, memrchr};

use super::ClientError;
use crate::record::{Floats, Format, Record, write_csv, write_json, write_text};

/// Returns the next piece of `lines`: as many whole lines as fit into `room`, at least one. The last line
/// may lack its line break.
pub(super) fn piece<'l>(
    lines: &'l [u8],
    room: usize,
    longest: usize,
    stream: &str,
) -> Result<&'l [u8], ClientError> {
    // Count a line break that is still to be added.
    if lines.len() < room || (lines.len() == room && lines.last() == Some(&b'\n')) {
        return Ok(lines);
    }
    let whole = lines.get(..room).and_then(|head| memrchr(b'\n', head));
    let end = match whole {
        Some(at) => at + 1,
        None => memchr(b'\n', lines).map_or(lines.len(), |at| at + 1),
    };
    let piece = &lines[..end];
    let len = end + usize::from(piece.last() != Some(&b'\n'));
    if len > longest {
        return Err(ClientError::LongLine { stream: stream.to_owned(), len, longest });
    }
    Ok(piece)
}

/// Appends records as lines of that format.
pub(super) fn write<R: Record>(
    records: &[R],
    format: Format,
    stream: &str,
    out: &mut Vec<u8>,
) -> Result<(), ClientError> {
    for (index, record) in records.iter().enumerate() {
        let before = out.len();
        match format {
            Format::Text => write_text::<R>(record.view(), out),
            Format::Csv => write_csv::<R>(record.view(), out),
            Format::Json => {
                if let Err(why) = write_json::<R>(record.view(), Floats::Refuse, out) {
                    return Err(ClientError::NotFinite { stream: stream.to_owned(), index, why });
                }
            }
        }
        if memchr(b'\n', &out[before..]).is_some() {
            out.truncate(before);
            return Err(ClientError::LineBreak { stream: stream.to_owned(), index });
        }
        out.push(b'\n');
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(lines: &str, room: usize, longest: usize) -> Result<Vec<&str>, ClientError> {
        let (mut rest, mut all) = (lines.as_bytes(), Vec::new());
        while !rest.is_empty() {
            let next = piece(rest, room, longest, "views")?;
            all.push(std::str::from_utf8(next).unwrap());
            rest = &rest[next.len()..];
        }
        Ok(all)
    }

    #[test]
    fn lines_are_never_torn() {
        assert_eq!(pieces("a\nbb\nccc\n", 5, 9).unwrap(), ["a\nbb\n", "ccc\n"]);
        assert_eq!(pieces("a\nbb\nccc", 5, 9).unwrap(), ["a\nbb\n", "ccc"]);
        assert_eq!(pieces("a\nbb", 4, 9).unwrap(), ["a\n", "bb"]);
        assert_eq!(pieces("longer\nb\n", 4, 9).unwrap(), ["longer\n", "b\n"]);
        assert_eq!(pieces("", 4, 9).unwrap(), [""; 0]);
        let error = pieces("a\nlonger\nb\n", 4, 6).unwrap_err().to_string();
        assert!(error.contains("a line of 7 bytes") && error.contains("`views`"), "{error}");
        assert!(pieces("longer", 4, 6).is_err());
        assert_eq!(pieces("longer", 4, 7).unwrap(), ["longer"]);
    }

    #[test]
    fn records_are_written_as_the_stream_reads_them() {
        let records = [("a,b".to_owned(), 1u64), ("c".to_owned(), 2)];
        let written = |format| {
            let mut out = Vec::new();
            write(&records, format, "views", &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(Format::Text), "a,b\t1\nc\t2\n");
        assert_eq!(written(Format::Csv), "\"a,b\",1\nc,2\n");
        assert_eq!(
            written(Format::Json),
            "{\"key\":\"a,b\",\"value\":1}\n{\"key\":\"c\",\"value\":2}\n"
        );
        let broken = ["x".to_owned(), "a\nb".to_owned()];
        let mut out = Vec::new();
        let error = write(&broken, Format::Text, "views", &mut out).unwrap_err();
        assert!(matches!(error, ClientError::LineBreak { index: 1, .. }), "{error}");
        assert_eq!(out, b"x\n");
        write(&broken, Format::Json, "views", &mut out).unwrap();
        let error = write(&[1.5, f64::NAN], Format::Json, "views", &mut out).unwrap_err();
        assert!(matches!(error, ClientError::NotFinite { index: 1, .. }), "{error}");
        assert!(out.ends_with(b"\n1.5\n"));
    }
}
