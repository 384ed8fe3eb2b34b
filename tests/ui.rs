//! rustc's output for wrong programs: one fixture per mistake, with the exact text.
//!
//! Every error points at the user's own tokens, never at the attribute or into the runtime, and gives the
//! cure. After an intended change, run `TRYBUILD=overwrite cargo test --test ui` and check the difference.
//! `cargo test --test ui -- ui trybuild=record/` runs some of them.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// The text of every fixture.
fn shown() -> Result<Vec<(PathBuf, String)>, Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("ui");
    let mut found = Vec::new();
    for folder in fs::read_dir(root)? {
        for file in fs::read_dir(folder?.path())? {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "stderr") {
                let text = fs::read_to_string(&path)?;
                found.push((path, text));
            }
        }
    }
    Ok(found)
}

#[test]
fn ui() {
    let fixtures = trybuild::TestCases::new();
    fixtures.compile_fail("ui/*/*.rs");
}

/// Reported only by build scripts: under the macros, rustc itself reports a function that is not marked.
const ELSEWHERE: [&str; 1] = ["E0410"];

/// Every mistake of the compiler's table needs a fixture.
#[test]
fn every_mistake_has_a_fixture() -> Result<(), Box<dyn Error>> {
    let table = dstream_tests::workspace().join("dstream-compiler/src/diag/table.rs");
    let table = fs::read_to_string(table)?;
    let codes = table.lines().filter_map(|line| {
        let word = line.split_whitespace().next()?;
        let digits = word.strip_prefix('E')?;
        (digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit())).then_some(word)
    });
    let codes: BTreeSet<&str> = codes.collect();
    assert!(codes.len() > 50, "the table is read wrongly: {codes:?}");
    let shown = shown()?;
    let missing: Vec<&str> = codes
        .into_iter()
        .filter(|code| !ELSEWHERE.contains(code))
        .filter(|code| !shown.iter().any(|(_, text)| text.contains(&format!("dstream[{code}]"))))
        .collect();
    assert!(missing.is_empty(), "mistakes without a fixture: {missing:?}");
    Ok(())
}

/// An error is never at a whole attribute, at a derive, or in a file of the runtime.
#[test]
fn errors_are_in_the_user_s_code() -> Result<(), Box<dyn Error>> {
    for (path, text) in shown()? {
        let program = fs::read_to_string(path.with_extension("rs"))?;
        let text = format!("\n{text}");
        let errors = text.split("\nerror").skip(1);
        let places = errors.filter_map(|error| error.split_once("--> ")?.1.lines().next());
        for place in places {
            let mut parts = place.rsplitn(3, ':');
            let mut number = || parts.next()?.parse::<usize>().ok();
            let (column, line) = (number(), number());
            let (Some(column), Some(line)) = (column, line) else {
                return Err(format!("{}: an error at {place}", path.display()).into());
            };
            let code = program.lines().nth(line - 1).unwrap_or_default();
            let attribute = code.trim_start().starts_with("#[d");
            let inside = code.find('(').is_some_and(|open| column > open + 1);
            let derive = code.contains("#[derive(");
            assert!(!derive && (!attribute || inside), "{}: an error at {code}", path.display());
        }
    }
    Ok(())
}
