//! The two graphs of the compiler: the *logical* plan says what is computed, the *physical* plan in
//! which stages. Passes turn the one into the other; code is made from the physical plan alone.

pub mod logical;
pub mod physical;
