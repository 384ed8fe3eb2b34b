//! JSON: each line is one value.

use std::marker::PhantomData;

use super::{Dead, DeadLetter, Decode, DecodeScratch, LONE_CR, each_line, strip, without_mark};
use crate::record::{Format, Record, explain};
use crate::source::Piece;

/// What is wrong with the text around a record, if that is why the line is none.
#[cold]
fn of_text<R: Record>(line: &str) -> Option<String> {
    let is_one = |text: &str| serde_json::from_str::<R::Draft<'_>>(text).is_ok();
    if let Some((first, _)) = line.split_once('\r')
        && is_one(first)
    {
        return Some(LONE_CR.to_owned());
    }
    // What is left of an array that has no end (see `Unfold::finish`).
    let rest = line.trim_end().strip_suffix('[')?;
    let cut = rest.trim_start().trim_end_matches(',');
    (cut.is_empty() || is_one(cut)).then(|| {
        "the array that it is in has no end: its `]` is missing, so the text may be cut off"
            .to_owned()
    })
}

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
                        let why = of_text::<R>(line);
                        let why =
                            why.unwrap_or_else(|| explain(const { &R::SCHEMA }, line, &error));
                        dead.line(at, line.as_bytes(), why);
                    }
                }
            });
        };
        scratch.floats.reading(read);
    }
}
