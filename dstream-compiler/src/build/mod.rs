//! For users' build scripts: writes the plans of a crate's jobs to files, to read and compare.
//!
//! ```no_run
//! // build.rs
//! dstream_compiler::build::report("src/main.rs");
//! ```
//!
//! A mistake in the user's program never fails the build script, which would hide the macro's spanned
//! errors; the job just has no plan. The script reports exactly the files that it read to cargo, so that it
//! runs again only when one of them changes.

mod jobs;
mod modules;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use crate::ir::physical::Physical;

/// Writes `OUT_DIR/dstream/JOB.plan.txt` and `JOB.dot` for each job in a file and its modules. Prints
/// directives for cargo.
#[expect(clippy::print_stdout, reason = "this is how a build script talks to cargo")]
pub fn report(path: impl AsRef<Path>) {
    let Some(out) = env::var_os("OUT_DIR").map(PathBuf::from) else {
        println!("cargo:warning=dstream: OUT_DIR is not set: call this from a build script");
        return;
    };
    for line in report_into(path.as_ref(), &out.join("dstream")) {
        println!("{line}");
    }
}

/// The work of [`report`]; returns the lines for cargo.
fn report_into(root: &Path, out: &Path) -> Vec<String> {
    let (files, problems) = modules::read(root);
    let mut lines: Vec<String> = files
        .iter()
        .map(|file| format!("cargo:rerun-if-changed={}", file.path.display()))
        .collect();
    let mut problems: Vec<String> = problems;
    for plan in jobs::plans(&files) {
        if let Err(error) = write(&plan.name, &plan.physical, out) {
            problems.push(format!("cannot write the plan of {}: {error}", plan.name));
        }
    }
    lines.extend(problems.into_iter().map(|problem| format!("cargo:warning=dstream: {problem}")));
    lines
}

fn write(name: &str, plan: &Physical, out: &Path) -> io::Result<()> {
    fs::create_dir_all(out)?;
    write_if_changed(&out.join(format!("{name}.plan.txt")), &text(plan))?;
    write_if_changed(&out.join(format!("{name}.dot")), &plan.dot)
}

/// Keeps the time of an unchanged file, so that files including it are not rebuilt.
fn write_if_changed(path: &Path, text: &str) -> io::Result<()> {
    match fs::read_to_string(path) {
        Ok(old) if old == text => Ok(()),
        _ => fs::write(path, text),
    }
}

/// All phases of a plan.
fn text(plan: &Physical) -> String {
    let mut text = format!("job {}, plan {:016x}\n", plan.header.name, plan.hash);
    for (phase, dump) in &plan.phases {
        _ = write!(text, "\n{phase}\n{}\n{dump}", "─".repeat(phase.chars().count()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: &str = r#"
        mod ops;
        mod inline { pub mod deep; }
        #[cfg(test)] mod missing;
        #[path = "elsewhere.rs"] mod other;
        #[dstream::job(interval = "2s")]
        fn good(params: &Params) {
            let a = source::text("x:");
            let long = ops::long(a, params.length);
            long.print();
        }
        #[dstream::job]
        fn wrong() { source::text("x:").mapp(|l| l).print(); }
    "#;
    const OPS: &str = r#"
        #[dstream::operator]
        pub fn long(lines: Stream<String>, n: usize) -> Stream<String> {
            trimmed(lines).filter(|l| l.len() > n)
        }
        #[dstream::operator]
        fn trimmed(lines: Stream<String>) -> Stream<String> { lines.map(|l| l.trim()) }
    "#;
    const DEEP: &str = "#[job] fn deep() { source::text(\"x:\").count().print(); }";

    #[test]
    fn plans_of_all_modules_are_written() {
        let dir = tempfile::tempdir().expect("a directory");
        let put = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().expect("it has one")).expect("a directory");
            fs::write(path, text).expect("a file");
        };
        put("src/main.rs", MAIN);
        put("src/ops/mod.rs", OPS);
        put("src/inline/deep.rs", DEEP);
        put("src/elsewhere.rs", "not Rust at all (");
        let out = dir.path().join("out");
        let lines = report_into(&dir.path().join("src/main.rs"), &out);
        let shown: Vec<String> = lines
            .iter()
            .map(|line| line.replace(&dir.path().display().to_string(), "DIR"))
            .collect();
        assert_eq!(
            shown,
            [
                "cargo:rerun-if-changed=DIR/src/main.rs",
                "cargo:rerun-if-changed=DIR/src/ops/mod.rs",
                "cargo:rerun-if-changed=DIR/src/inline/deep.rs",
                "cargo:rerun-if-changed=DIR/src/elsewhere.rs",
            ]
        );
        let plan = fs::read_to_string(out.join("good.plan.txt")).expect("a plan");
        assert!(plan.contains("long.trimmed") || plan.contains("map ← a"), "{plan}");
        assert!(out.join("good.dot").exists() && out.join("deep.plan.txt").exists());
        assert!(!out.join("wrong.plan.txt").exists());
    }

    #[test]
    fn a_file_that_is_not_there_is_a_warning() {
        let dir = tempfile::tempdir().expect("a directory");
        let lines = report_into(&dir.path().join("main.rs"), dir.path());
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with("cargo:warning=dstream: cannot read "), "{}", lines[0]);
    }
}
