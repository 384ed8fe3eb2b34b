//! The template gives a project that builds, passes its test, runs, and reports mistakes at their place.
//!
//! The project is outside of the workspace but shares its target directory, lock file and profile, so that
//! only dstream itself is built again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::job::{Job, profile_dir};
use crate::published::Published;

struct Project {
    _dir: tempfile::TempDir,
    root: PathBuf,
    /// The name of its package.
    name: &'static str,
}

fn checkout() -> &'static Path {
    dstream_tests::workspace()
}

impl Project {
    fn new(dir: tempfile::TempDir, root: PathBuf, name: &'static str) -> Self {
        fs::copy(checkout().join("Cargo.lock"), root.join("Cargo.lock")).expect("there is room");
        Self { _dir: dir, root, name }
    }

    /// What `cargo generate` makes of the template: a file with the suffix `.liquid` replaces the one
    /// without, with placeholders filled in.
    fn generate() -> Self {
        let name = "dstream-test-orders";
        let template = checkout().join("templates/job");
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("src")).expect("there is room");
        let path = |path: &Path| format!("{{ path = {:?} }}", path.display().to_string());
        for file in ["Cargo.toml", "README.md", "build.rs", "orders.csv", "src/main.rs"] {
            let liquid = template.join(format!("{file}.liquid"));
            let from = if liquid.exists() { liquid } else { template.join(file) };
            let text = fs::read_to_string(from).expect("the template has it");
            let text = text
                .replace("{{project-name}}", name)
                .replace("{{dstream}}", &path(checkout()))
                .replace("{{dstream_compiler}}", &path(&checkout().join("dstream-compiler")));
            assert!(!text.contains("{{"), "a placeholder without a value: {text}");
            fs::write(dir.path().join(file), text).expect("there is room");
        }
        let root = dir.path().to_owned();
        Self::new(dir, root, name)
    }

    /// A copy elsewhere, made as in the template's README.
    fn copy() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let readme = fs::read_to_string(checkout().join("templates/job/README.md"));
        let readme = readme.expect("the template has it");
        let command = readme.lines().find(|line| line.trim().starts_with("cp -r templates/job "));
        let command = command.expect("it says how").trim();
        let mut shell = Command::new("sh");
        shell.args(["-euc", command]).current_dir(checkout()).env("HOME", dir.path());
        assert!(shell.status().expect("there is a shell").success(), "{command}");
        let root = dir.path().join("my_job");
        Self::new(dir, root, "orders")
    }

    fn path(&self, file: &str) -> PathBuf {
        self.root.join(file)
    }

    fn cargo(&self, command: &str, args: &[&str]) -> Output {
        let profile = profile_dir();
        let target = profile.parent().expect("it is in the target directory");
        let release = profile.ends_with("release");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut cargo = Command::new(cargo);
        cargo.arg(command).arg("--offline").args(args).current_dir(&self.root);
        cargo.args(release.then_some("--release")).env("CARGO_TARGET_DIR", target);
        cargo.env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only");
        cargo.env("CARGO_PROFILE_RELEASE_DEBUG", "line-tables-only");
        cargo.output().expect("there is a cargo")
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        // Its path is never used again, so its artifacts are useless.
        let _ = self.cargo("clean", &["--package", self.name]);
    }
}

fn said(output: &Output) -> String {
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}\n{out}\n{err}", output.status)
}

/// A field of cargo's first message with a reason.
fn message(project: &Project, output: &Output, reason: &str, field: &str) -> PathBuf {
    let text = String::from_utf8_lossy(&output.stdout);
    let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ours = |message: &Value| {
        let id = message["package_id"].as_str().unwrap_or_default();
        let own = id.contains(&*project.root.to_string_lossy());
        message["reason"] == reason && own && message[field].is_string()
    };
    let found = messages.into_iter().find(ours).unwrap_or_else(|| panic!("{}", said(output)));
    found[field].as_str().expect("it is a string").into()
}

/// Builds and runs it; returns its output.
fn builds_and_runs(project: &Project) -> Output {
    let built = project.cargo("build", &["--message-format=json"]);
    assert!(built.status.success(), "{}", said(&built));
    let binary = message(project, &built, "compiler-artifact", "executable");
    let done = Job::of(Command::new(binary)).current_dir(&project.root).run().code(0);
    assert_eq!(done.out, ["best at 1000 ms:", "cid\t1200", "dee\t700", "bob\t400"]);
    let totals = Published::read(&project.path("out/totals"));
    assert_eq!(totals.sorted(), [["ann,350", "bob,400", "cid,1200", "dee,700"]]);
    built
}

#[test]
fn a_copy_builds_and_runs() {
    let project = Project::copy();
    builds_and_runs(&project);
    // The original names its own checkout.
    let manifest =
        fs::read_to_string(checkout().join("templates/job/Cargo.toml")).expect("it is there");
    for path in ["../..", "../../dstream-compiler"] {
        assert!(manifest.contains(&format!("{{ path = \"{path}\" }}")), "{manifest}");
        assert!(checkout().join("templates/job").join(path).join("Cargo.toml").exists());
    }
}

#[test]
fn a_new_project_builds_tests_runs_and_reports() {
    let project = Project::generate();
    let built = builds_and_runs(&project);

    let out = message(&project, &built, "build-script-executed", "out_dir");
    let plan = fs::read_to_string(out.join("dstream/orders.plan.txt")).expect("a report");
    let dot = fs::read_to_string(out.join("dstream/orders.dot")).expect("a report");
    assert!(plan.contains("job orders"), "{plan}");
    assert!(plan.contains("running_reduce") && dot.contains("running_reduce"), "{plan}\n{dot}");

    let tested = project.cargo("test", &[]);
    assert!(tested.status.success(), "{}", said(&tested));
    assert!(said(&tested).contains("totals_run_over_batches ... ok"), "{}", said(&tested));

    // The macro reports a mistake in the job, at its place.
    let main = fs::read_to_string(project.path("src/main.rs")).expect("it is there");
    let wrong = main.replace("paid.running_reduce(", "paid.runing_reduce(");
    assert_ne!(main, wrong);
    fs::write(project.path("src/main.rs"), &wrong).expect("there is room");
    let line = 1 + wrong.lines().position(|line| line.contains("runing")).expect("it is there");
    let column = wrong.lines().nth(line - 1).and_then(|line| line.find("runing")).expect("it is");
    let failed = project.cargo("build", &[]);
    let text = said(&failed);
    assert_eq!(failed.status.code(), Some(101), "{text}");
    assert!(text.contains(&format!("src/main.rs:{line}:{}", column + 1)), "{text}");
    assert!(text.contains("`runing_reduce`") && text.contains("running_reduce"), "{text}");
    assert!(!text.contains("custom build"), "the build script went on: {text}");
}
