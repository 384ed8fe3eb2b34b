//! JSON: each line is one value.

use std::marker::PhantomData;

use super::{Dead, DeadLetter, Decode, DecodeScratch, each_line, strip, without_mark};
use crate::record::{Format, Record, explain};
use crate::source::Piece;

/// One JSON value per line; blank lines are skipped.
#[derive(Debug)]
pub struct JsonLines<R>(PhantomData<fn() -> R>);

impl<R: Record> Decode for JsonLines<R> {
    type Record = R;
    const FORMAT: Format = Format::Json;

    #[inline]
    fn decode(
        piece: Piece<'_>,
        scratch: &mut DecodeScratch,
        mut each: impl for<'a> FnMut(R::View<'a>),
        dead: &mut dyn FnMut(DeadLetter<'_>),
    ) {
        let piece = without_mark(piece);
        let mut dead = Dead { piece, tell: dead };
        if dead.is_torn() {
            return;
        }
        let read = || {
            each_line(&mut dead, |dead, at, line| {
                let line = strip(line);
                match serde_json::from_str::<R::Draft<'_>>(line) {
                    Ok(draft) => each(R::view_draft(&draft)),
                    Err(_) if line.trim_ascii().is_empty() => {}
                    Err(error) => {
                        dead.line(at, line.as_bytes(), explain(const { &R::SCHEMA }, line, &error));
                    }
                }
            });
        };
        scratch.floats.reading(read);
    }
}
