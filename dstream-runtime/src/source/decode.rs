//! STUB
use crate::record::*;
use super::Piece;
#[derive(Default)]
pub struct DecodeScratch;
pub struct DeadLetter<'a> { pub split: &'a str, pub position: u64, pub bytes: &'a [u8], pub reason: String }
pub trait Decode: Send + Sync + 'static { type Record: Record; const FORMAT: Format; fn decode(piece: Piece<'_>, scratch: &mut DecodeScratch, each: impl for<'a> FnMut(<Self::Record as Record>::View<'a>), dead: &mut dyn FnMut(DeadLetter<'_>)); }
pub struct TextLines;
impl Decode for TextLines { type Record = String; const FORMAT: Format = Format::Text;
 fn decode(piece: Piece<'_>, scratch: &mut DecodeScratch, each: impl for<'a> FnMut(<Self::Record as Record>::View<'a>), dead: &mut dyn FnMut(DeadLetter<'_>)) {} }
