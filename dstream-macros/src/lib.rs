//! Thin entry points into the compiler.
