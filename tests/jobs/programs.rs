//! Random programs, as `tests/programs` has them: `tests/end_to_end` runs them in one process and on several workers.

use dstream::prelude::*;

#[path = "../programs/functions.rs"]
mod functions;

#[allow(unused_imports, reason = "the programs of the binary may use a part")]
use functions::{key, mixed, parsed, seen};

include!(concat!(env!("OUT_DIR"), "/binary.rs"));
