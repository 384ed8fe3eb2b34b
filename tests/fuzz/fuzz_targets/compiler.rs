//! The compiler's target, on the text of programs.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        dstream_compiler::fuzzing::program(text);
    }
});
