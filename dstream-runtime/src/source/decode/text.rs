//! Plain text: each line is a record.

use super::{Dead, DeadLetter, Decode, DecodeScratch, each_line, strip, without_mark};
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
        let mut dead = Dead { piece: without_mark(piece), tell: dead };
        if !dead.is_torn() {
            each_line(&mut dead, |_, _, line| each(strip(line)));
        }
    }
}
