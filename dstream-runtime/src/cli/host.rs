//! What this process is called, and how it is started again: names and command lines for people.

use std::path::{Path, PathBuf};

use super::args::Invocation;

/// The name of this host.
pub(super) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// A name that can stand in a certificate, made of parts that may hold anything.
pub(super) fn name(parts: &[&str]) -> String {
    /// Certificates take no longer ones.
    const MAX: usize = 63;
    let text = parts.join("-");
    let kept: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect();
    // What tells two names of a host apart is at their end.
    let kept = &kept[kept.len().saturating_sub(MAX)..];
    let kept = kept.trim_matches('-');
    if kept.is_empty() { "process".to_owned() } else { kept.to_owned() }
}

/// The default of `--state`.
pub(super) fn state(invocation: &Invocation<'_>) -> PathBuf {
    let given = invocation.target.state.as_deref().and_then(directory_in);
    given.unwrap_or_else(|| Path::new(".dstream").join(invocation.job.plan().job))
}

/// The directory that `--state` names, if it names one.
fn directory_in(state: &Path) -> Option<PathBuf> {
    let local = state.to_str().and_then(|url| url.strip_prefix("file://"));
    match store_in(state) {
        Some(_) => None,
        None => Some(local.map_or_else(|| state.to_owned(), PathBuf::from)),
    }
}

/// The object store that `--state` names, if it names one: for what is not kept in a directory of this host.
pub(super) fn store(invocation: &Invocation<'_>) -> Option<String> {
    store_in(invocation.target.state.as_deref()?)
}

fn store_in(state: &Path) -> Option<String> {
    let url = state.to_str()?;
    let (scheme, _) = url.split_once("://")?;
    (scheme != "file").then(|| url.to_owned())
}

/// The absolute form of a path, for people who copy it to another terminal.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// This binary and, if it has several, its job, as a shell takes them.
pub(super) fn command(invocation: &Invocation<'_>) -> String {
    let program = std::env::args_os().next().unwrap_or_default();
    let program = Path::new(&program);
    // What was found in the search path is found there again.
    let program = match program.components().count() {
        0 => PathBuf::from(invocation.job.plan().job),
        1 => program.to_owned(),
        _ => absolute(program),
    };
    let mut command = quoted(&program);
    if invocation.several {
        command.push_str(" --job ");
        command.push_str(invocation.job.plan().job);
    }
    command
}

/// A path as a shell takes it.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::check_name;

    #[test]
    fn every_name_can_stand_in_a_certificate() {
        let long = "h".repeat(80);
        for parts in [&["host", "12"][..], &["a.b c/é", "1"], &["--", "-"], &[""], &[&long, "77"]]
        {
            let name = name(parts);
            assert_eq!(check_name(&name), Ok(()), "{name}");
        }
        assert_eq!(name(&["web.example", "12"]), "web-example-12");
        assert!(name(&[&long, "77"]).ends_with("-77"));
    }

    #[test]
    fn a_state_is_a_directory_or_a_store() {
        let both = |state: &str| (directory_in(Path::new(state)), store_in(Path::new(state)));
        assert_eq!(both("a/b"), (Some("a/b".into()), None));
        assert_eq!(both("file:///a/b"), (Some("/a/b".into()), None));
        assert_eq!(both("s3://bucket/b"), (None, Some("s3://bucket/b".to_owned())));
    }

    #[test]
    fn a_shell_takes_every_path() {
        assert_eq!(quoted(Path::new("/a/b.c-d")), "/a/b.c-d");
        assert_eq!(quoted(Path::new("a b")), "'a b'");
        assert_eq!(quoted(Path::new("it's")), r"'it'\''s'");
    }
}
