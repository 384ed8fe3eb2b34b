//! Writes what the compiler makes of the jobs in `src/main.rs` to `OUT_DIR/dstream`: a report per
//! job. Mistakes in a job are reported by its macro, at the right place; never by this script.

fn main() {
    dstream_compiler::build::report("src/main.rs");
}
