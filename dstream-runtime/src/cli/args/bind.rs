//! `--source NAME=URL` and `--sink NAME=URL`, checked against the names of the plan.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::EngineArgs;
use crate::connect::nearest;
use crate::exec::job::Bindings;
use crate::plan::Plan;
use crate::source;

/// Checks names of sources that an option was given.
///
/// # Errors
/// Which name is none, and which there are.
pub(in crate::cli) fn known_sources(
    plan: &Plan,
    option: &str,
    names: &[String],
) -> Result<(), String> {
    let known: Vec<&str> = plan.sources.iter().map(|source| source.name).collect();
    match names.iter().find(|name| !known.contains(&name.as_str())) {
        Some(name) => {
            let known = known.join(", ");
            Err(format!(
                "{option} {name}: there is no source `{name}` in this job; there are: {known}"
            ))
        }
        None => Ok(()),
    }
}

/// `NAME=URL` pairs, checked against the names of the plan.
///
/// # Errors
/// What is wrong with which pair, and which names there are.
pub(in crate::cli) fn bindings(plan: &Plan, engine: &EngineArgs) -> Result<Bindings, String> {
    let sources: Vec<_> = plan.sources.iter().map(|s| s.name.to_owned()).collect();
    let mut sinks: Vec<_> = plan.outputs.iter().map(|o| o.name.to_owned()).collect();
    sinks.extend(sources.iter().map(|name| format!("{name}.dead")));
    let mut bindings = Bindings::default();
    let urls: Vec<String> = engine.sources.iter().map(pair).collect();
    for (option, pairs, known, into) in [
        ("--source", &urls, &sources, &mut bindings.sources),
        ("--sink", &engine.sinks, &sinks, &mut bindings.sinks),
    ] {
        for pair in pairs {
            let Some((name, url)) = pair.split_once('=').filter(|(_, url)| !url.is_empty()) else {
                return Err(format!("{option} {pair}: write {option} NAME=URL"));
            };
            if !known.iter().any(|known| known == name) {
                let (what, list) = (option.trim_start_matches('-'), known.join(", "));
                let names: Vec<&str> = known.iter().map(String::as_str).collect();
                let meant = nearest(name, &names).map(|near| format!("did you mean `{near}`? "));
                return Err(format!(
                    "{option} {pair}: there is no {what} `{name}` in this job; {}there are: {list}",
                    meant.unwrap_or_default()
                ));
            }
            if into.insert(name.to_owned(), url.to_owned()).is_some() {
                return Err(format!("{option} {pair}: `{name}` is given twice"));
            }
        }
    }
    Ok(bindings)
}

/// `NAME=URL` as text, whatever bytes the path in it is made of.
fn pair(given: &OsString) -> String {
    let bytes = given.as_bytes();
    match bytes.iter().position(|byte| *byte == b'=') {
        Some(at) => {
            let (name, url) = (&bytes[..at], OsStr::from_bytes(&bytes[at + 1..]));
            format!("{}={}", String::from_utf8_lossy(name), source::url_of(url))
        }
        None => given.to_string_lossy().into_owned(),
    }
}
