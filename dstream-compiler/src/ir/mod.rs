//! The two graphs of the compiler: the *logical* plan says what is computed, the *physical* plan in
//! which stages. Passes turn the one into the other; code is made from the physical plan alone.

pub mod dump;
pub mod dump_dot;
pub mod dump_stages;
pub mod fingerprint;
pub mod flow;
pub mod logical;
pub mod physical;
pub mod rust_text;
