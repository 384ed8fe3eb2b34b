//! Every mistake of the language, with its text and its tokens.

mod bodies;
mod closures;
mod functions;
mod names;
mod operators;
mod signatures;
mod windows;
