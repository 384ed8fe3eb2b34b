//! Plain text: each line is a record.

use memchr::memchr_iter;

use super::{Dead, DeadLetter, Decode, DecodeScratch, Run, runs, strip};
use crate::record::Format;
use crate::source::Piece;

/// Each line is a record, also an empty one; `\n` and `\r\n` end lines.
#[derive(Debug)]
pub struct TextLines;

impl Decode for TextLines {
    type Record = String;
    const FORMAT: Format = Format::Text;

    #[inline]
    fn decode(
        piece: Piece<'_>,
        _scratch: &mut DecodeScratch,
        mut each: impl for<'a> FnMut(&'a str),
        dead: &mut dyn FnMut(DeadLetter<'_>),
    ) {
        let mut dead = Dead { piece, tell: dead };
        if dead.is_torn() {
            return;
        }
        runs(piece.bytes, |run| match run {
            Run::Text(_, text) => lines(text, |_, line| each(line)),
            Run::Bad(at, line) => dead.not_text(at, line),
        });
    }
}

/// The lines of a text without their line ends, and where they begin.
#[inline(always)]
pub(super) fn lines<'a>(text: &'a str, mut each: impl FnMut(usize, &'a str)) {
    let mut at = 0;
    for end in memchr_iter(b'\n', text.as_bytes()) {
        each(at, strip(&text[at..end]));
        at = end + 1;
    }
    if at < text.len() {
        each(at, strip(&text[at..]));
    }
}
