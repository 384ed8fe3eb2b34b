//! What the test targets of this package share.

use std::path::Path;

/// The root of the workspace.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Says that a test cannot run here, because the machine lacks `need`; the caller returns.
///
/// A test that did not run must not count as passed where it could: `DSTREAM_REQUIRE` lists, separated by commas, what the
/// machine must have (`logrotate`, `mount`, `netns`, `pidfd`, `setpriv`).
///
/// # Panics
/// When `DSTREAM_REQUIRE` lists `need`.
pub fn not_run(need: &str, why: &str) {
    let required = std::env::var("DSTREAM_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|required| required.trim() == need),
        "DSTREAM_REQUIRE lists `{need}`, and this machine lacks it: {why}"
    );
    eprintln!("NOT RUN, for lack of `{need}`: {why}");
}
