//! Every mistake of the language, with the text that it is reported with and the tokens it points at.

mod bodies;
mod closures;
mod functions;
mod names;
mod operators;
mod signatures;
mod windows;
