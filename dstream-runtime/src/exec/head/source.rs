//! Reads and decodes one input of a source.

use std::marker::PhantomData;

use super::TaskContext;
use crate::exec::poison::{Poisoned, each_line};
use crate::exec::stage::{Head, Trial};
use crate::exec::task::{DeadLetter, TaskError};
use crate::record::Record;
use crate::source::{Decode, DecodeScratch, Input, OnError, OnPanic, Policy};

/// Decodes a source's input with `D`.
pub struct SourceHead<D> {
    pub(crate) policy: Policy,
    pub(crate) decode: PhantomData<fn() -> D>,
}

impl<D: Decode> Head for SourceHead<D> {
    type Record = D::Record;
    type State = ();
    type Change = ();

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        (): &mut (),
        mut emit: impl for<'a> FnMut(<D::Record as Record>::View<'a>),
    ) -> Result<(), TaskError> {
        let Some(input) = cx.source else { return Ok(()) };
        let mut scratch = DecodeScratch::new(self.policy.floats);
        let (made, mut sieve) = (&mut cx.made, cx.poisoned.sieve());
        let stops = self.policy.on_error == OnError::Stop;
        let mut refused: Option<TaskError> = None;
        let (reading, mut range) = (cx.reading.clone(), 0);
        input.data.read(&mut |piece| {
            let ranges = &input.ranges;
            if ranges.get(range).is_some_and(|range| *range.split != *piece.split) {
                range = ranges.iter().position(|range| *range.split == *piece.split).unwrap_or(0);
                reading.set(range);
            }
            made.bytes += piece.bytes.len() as u64;
            let mut rest = Some(piece);
            while let Some(piece) = rest.take() {
                let (piece, left_out) = sieve.cut(piece);
                let (records, dead) = (&mut made.records, &mut made.dead);
                D::decode(
                    piece,
                    &mut scratch,
                    |view| {
                        *records += 1;
                        emit(view);
                    },
                    &mut |letter| {
                        if stops && refused.is_none() {
                            let text = String::from_utf8_lossy(letter.bytes);
                            refused = Some(TaskError::DeadLetter(Box::new(DeadLetter {
                                split: letter.split.to_owned(),
                                position: letter.position,
                                reason: letter.reason.clone(),
                                text: text.chars().take(200).collect(),
                            })));
                        }
                        dead.add(letter.split, letter.position, letter.bytes, letter.reason);
                    },
                );
                rest = left_out.map(|(line, rest)| {
                    let reason = line.reason.to_owned();
                    made.dead.add(piece.split, line.position, line.bytes, reason);
                    rest
                });
            }
        })?;
        refused.map_or(Ok(()), Err)
    }

    fn sift(&self, input: &Input, each: &mut Trial<'_, D::Record>) -> Result<Poisoned, TaskError> {
        let mut poisoned = Poisoned::default();
        let stops = self.policy.on_panic == OnPanic::Stop;
        let mut scratch = DecodeScratch::new(self.policy.floats);
        let mut number = 0;
        input.data.read(&mut |piece| {
            each_line(piece, |line| {
                if poisoned.is_blamed() {
                    return;
                }
                let mut panic = None;
                D::decode(line, &mut scratch, |view| panic = each(view).err(), &mut |_| {});
                match panic {
                    Some(_) if stops => poisoned.blame(line),
                    Some(panic) => poisoned.add(number, &panic),
                    None => {}
                }
                number += 1;
            });
        })?;
        Ok(poisoned)
    }

    fn commit(&self, _: &TaskContext<'_>, (): &mut (), (): ()) {}
}
