//! What becomes of receipts, step by step.
use super::*;
