//! Reads and decodes one input of a source.

use std::marker::PhantomData;

use super::TaskContext;
use crate::exec::stage::Head;
use crate::exec::task::{DeadLetter, TaskError};
use crate::record::Record;
use crate::source::{Decode, DecodeScratch};

/// Decodes a source's input with `D`.
pub struct SourceHead<D> {
    pub(crate) stop_on_error: bool,
    pub(crate) decode: PhantomData<fn() -> D>,
}

impl<D: Decode> Head for SourceHead<D> {
    type Record = D::Record;
    type Change = ();

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        mut emit: impl for<'a> FnMut(<D::Record as Record>::View<'a>),
    ) -> Result<(), TaskError> {
        let Some(input) = cx.source else { return Ok(()) };
        let mut scratch = DecodeScratch::default();
        let made = &mut cx.made;
        let mut refused: Option<TaskError> = None;
        input.data.read(&mut |piece| {
            made.bytes += piece.bytes.len() as u64;
            let (records, dead) = (&mut made.records, &mut made.dead);
            D::decode(
                piece,
                &mut scratch,
                |view| {
                    *records += 1;
                    emit(view);
                },
                &mut |letter| {
                    if self.stop_on_error && refused.is_none() {
                        refused = Some(TaskError::DeadLetter(Box::new(DeadLetter {
                            split: letter.split.to_owned(),
                            position: letter.position,
                            reason: letter.reason.clone(),
                            text: String::from_utf8_lossy(letter.bytes).chars().take(200).collect(),
                        })));
                    }
                    dead.add(letter.split, letter.position, letter.bytes, letter.reason);
                },
            );
        })?;
        refused.map_or(Ok(()), Err)
    }

    fn commit(&self, _: &mut TaskContext<'_>, (): ()) {}
}
