//! `--source NAME=URL` and `--sink NAME=URL`, checked against the names of the plan.

use super::EngineArgs;
use crate::exec::job::Bindings;
use crate::plan::Plan;
use crate::sink::nearest;

/// `NAME=URL` pairs, checked against the names of the plan.
///
/// # Errors
/// What is wrong with which pair, and which names there are.
pub(in crate::cli) fn bindings(plan: &Plan, engine: &EngineArgs) -> Result<Bindings, String> {
    let sources: Vec<_> = plan.sources.iter().map(|s| s.name.to_owned()).collect();
    let mut sinks: Vec<_> = plan.outputs.iter().map(|o| o.name.to_owned()).collect();
    sinks.extend(sources.iter().map(|name| format!("{name}.dead")));
    let mut bindings = Bindings::default();
    for (option, pairs, known, into) in [
        ("--source", &engine.sources, &sources, &mut bindings.sources),
        ("--sink", &engine.sinks, &sinks, &mut bindings.sinks),
    ] {
        for pair in pairs {
            let Some((name, url)) = pair.split_once('=').filter(|(_, url)| !url.is_empty()) else {
                return Err(format!("{option} {pair}: write {option} NAME=URL"));
            };
            if !known.iter().any(|known| known == name) {
                let (what, list) = (option.trim_start_matches('-'), known.join(", "));
                let names: Vec<&str> = known.iter().map(String::as_str).collect();
                let meant =
                    nearest(name, &names).map(|near| format!("did you mean `{}`? ", names[near]));
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
