//! `JOB sources` and `JOB sinks`: what this binary can read and write, and with which options.
//!
//! Everything comes from the rows of the connectors and formats. CONNECTORS.md is what both print as Markdown.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::args::{Invocation, ListArgs};
use super::{Failed, answer};
use crate::connect::{FORMATS, OptionRow, Preset};
use crate::connectors::Connectors;
use crate::record::Format;
use crate::source;

/// Prints what can be read.
pub(super) fn sources(invocation: &Invocation<'_>, form: &ListArgs) -> Result<(), Failed> {
    answer(&Listing::sources(invocation.job.connectors()).shown(form))
}

/// Prints what can be written.
pub(super) fn sinks(invocation: &Invocation<'_>, form: &ListArgs) -> Result<(), Failed> {
    answer(&Listing::sinks(invocation.job.connectors()).shown(form))
}

/// A connector.
struct Entry {
    scheme: &'static str,
    urls: Vec<String>,
    about: &'static str,
    /// Whether it ends, and how its data reaches tasks; nothing of an output.
    nature: Vec<&'static str>,
    formats: Vec<&'static str>,
    options: Vec<&'static OptionRow>,
}

/// Options that several connectors have.
struct Shared {
    title: String,
    /// For programs.
    key: String,
    options: Vec<&'static OptionRow>,
}

/// All connectors of one direction.
struct Listing {
    title: &'static str,
    entries: Vec<Entry>,
    shared: Vec<Shared>,
}

fn names(formats: &[Format]) -> Vec<&'static str> {
    formats.iter().map(|format| crate::connect::row_of(*format).name).collect()
}

impl Listing {
    fn sources(connectors: &Connectors) -> Self {
        let entry = |row: &source::SourceConnector| Entry {
            scheme: row.scheme,
            urls: row.urls.iter().map(|url| (*url).to_owned()).collect(),
            about: row.about,
            nature: vec![row.ends.text(), row.opener.text()],
            formats: names(row.formats),
            options: row.own_options().collect(),
        };
        let entries = connectors.sources.rows().iter().map(entry).collect();
        let formats = FORMATS.iter().map(|row| Shared {
            title: format!("Options of sources that read {}", row.title),
            key: row.name.to_owned(),
            options: row.reads.iter().collect(),
        });
        let of_all = source::shared_options().into_iter().map(|(title, key, options)| Shared {
            title: title.to_owned(),
            key: key.to_owned(),
            options: options.iter().collect(),
        });
        Self { title: "Sources", entries, shared: formats.chain(of_all).collect() }
    }

    fn sinks(connectors: &Connectors) -> Self {
        let entry = |row: &crate::sink::SinkConnector| Entry {
            scheme: row.scheme,
            urls: row.urls().map(|(url, _)| url).collect(),
            about: row.about,
            nature: Vec::new(),
            formats: names(row.formats),
            options: row.options.iter().collect(),
        };
        let entries = connectors.sinks.rows().iter().map(entry).collect();
        let shared = FORMATS.iter().map(|row| Shared {
            title: format!("Options of outputs that write {}", row.title),
            key: row.name.to_owned(),
            options: row.writes.iter().collect(),
        });
        Self { title: "Outputs", entries, shared: shared.collect() }
    }

    fn shown(&self, form: &ListArgs) -> String {
        match (form.json, form.markdown) {
            (true, _) => self.json().to_string(),
            (_, true) => self.markdown(),
            _ => self.text(),
        }
    }

    // Writing to a String cannot fail.
    fn text(&self) -> String {
        let mut text = String::new();
        for entry in &self.entries {
            let _ = writeln!(text, "{}\n  {}", entry.urls.join(", "), entry.about);
            let mut facts = entry.nature.clone();
            let formats = format!("formats: {}", entry.formats.join(", "));
            if !entry.formats.is_empty() {
                facts.push(&formats);
            }
            if !facts.is_empty() {
                let _ = writeln!(text, "  {}", facts.join("; "));
            }
            options(&mut text, &entry.options);
            text.push('\n');
        }
        for shared in self.shared.iter().filter(|shared| !shared.options.is_empty()) {
            let _ = writeln!(text, "{}", shared.title);
            options(&mut text, &shared.options);
            text.push('\n');
        }
        text
    }

    fn markdown(&self) -> String {
        let mut text = format!("## {}\n", self.title);
        for entry in &self.entries {
            let urls: Vec<_> = entry.urls.iter().map(|url| format!("`{url}`")).collect();
            let _ =
                writeln!(text, "\n### {}\n\n{}: {}", entry.scheme, urls.join(", "), entry.about);
            let mut facts = entry.nature.join("; ");
            if !entry.formats.is_empty() {
                let and = if facts.is_empty() { "" } else { "; " };
                let _ = write!(facts, "{and}formats: {}", entry.formats.join(", "));
            }
            if !facts.is_empty() {
                let _ = writeln!(text, "({facts})");
            }
            table(&mut text, &entry.options);
        }
        for shared in self.shared.iter().filter(|shared| !shared.options.is_empty()) {
            let _ = writeln!(text, "\n### {}", shared.title);
            table(&mut text, &shared.options);
        }
        text
    }

    fn json(&self) -> Value {
        let option = |row: &&OptionRow| {
            let (default, depends) = match row.preset {
                Preset::Is(value) => (Some(value), None),
                Preset::Depends(on) => (None, Some(on)),
                Preset::Unset | Preset::Required => (None, None),
            };
            json!({
                "name": row.name,
                "type": row.type_name(),
                "values": row.values(),
                "expected": row.kind.to_string(),
                "default": default,
                "default_depends": depends,
                "required": row.preset == Preset::Required,
                "about": row.about,
            })
        };
        let options = |rows: &[&OptionRow]| rows.iter().map(option).collect::<Vec<_>>();
        let connectors: Vec<Value> = self
            .entries
            .iter()
            .map(|entry| {
                json!({
                    "scheme": entry.scheme,
                    "urls": entry.urls,
                    "about": entry.about,
                    "nature": entry.nature,
                    "formats": entry.formats,
                    "options": options(&entry.options),
                })
            })
            .collect();
        let shared: serde_json::Map<String, Value> = self
            .shared
            .iter()
            .map(|shared| (shared.key.clone(), options(&shared.options).into()))
            .collect();
        json!({ "connectors": connectors, "shared_options": shared })
    }
}

/// What holds where a URL does not give an option.
fn preset(row: &OptionRow) -> String {
    match row.preset {
        Preset::Is(value) | Preset::Depends(value) => value.to_owned(),
        Preset::Unset => String::new(),
        Preset::Required => "required".to_owned(),
    }
}

fn options(text: &mut String, rows: &[&OptionRow]) {
    let shown: Vec<String> =
        rows.iter().map(|row| format!("{}={}", row.name, row.values())).collect();
    let width = shown.iter().map(String::len).max().unwrap_or_default();
    for (row, shown) in rows.iter().zip(shown) {
        let default = match preset(row) {
            none if none.is_empty() => none,
            required if row.preset == Preset::Required => format!(" [{required}]"),
            default => format!(" [default: {default}]"),
        };
        let _ = writeln!(text, "    {shown:width$}  {}{default}", row.about);
    }
}

fn table(text: &mut String, rows: &[&OptionRow]) {
    if rows.is_empty() {
        return;
    }
    text.push_str("\n| option | values | default | |\n|---|---|---|---|\n");
    for row in rows {
        let default = match row.preset {
            Preset::Is(value) => format!("`{value}`"),
            _ => preset(row),
        };
        let values = row.values().replace('|', "\\|");
        let _ = writeln!(text, "| `{}` | `{values}` | {default} | {} |", row.name, row.about);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// What CONNECTORS.md holds.
    fn document() -> String {
        let connectors = Connectors::built_in();
        format!(
            "# Sources and outputs\n\nWhat `JOB sources --markdown` and `JOB sinks --markdown` print for a binary without \
             connectors of its own. An option is given\nbehind a `?`: `logs/*.gz?batch=16MiB&on_error=stop`.\n\n{}\n{}",
            Listing::sources(connectors).markdown(),
            Listing::sinks(connectors).markdown()
        )
    }

    #[test]
    fn the_document_is_what_the_rows_say() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../CONNECTORS.md");
        if std::env::var_os("DSTREAM_WRITE").is_some() {
            std::fs::write(path, document()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == document(),
            "CONNECTORS.md is not what the connectors declare: run this with DSTREAM_WRITE=1"
        );
    }

    /// Names of options that a text mentions: `?name=`, `&name=`, `name=` in backticks, `?name` in backticks.
    fn mentioned(text: &str) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        for (at, _) in text.match_indices(['?', '&', '`']) {
            let rest = &text[at + 1..];
            let end =
                rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
            let (word, behind) = rest.split_at(end);
            let is_option =
                behind.starts_with('=') || (text[at..].starts_with('?') && behind.starts_with('`'));
            if !word.is_empty() && is_option {
                found.insert(word);
            }
        }
        found
    }

    #[test]
    fn the_readme_and_the_guide_know_the_options_and_schemes() {
        let readme = include_str!("../../../README.md");
        let guide =
            [include_str!("../../../docs/inputs.md"), include_str!("../../../docs/outputs.md")];
        let connectors = Connectors::built_in();
        let listings = [Listing::sources(connectors), Listing::sinks(connectors)];
        let options = listings.iter().flat_map(|listing| {
            let shared = listing.shared.iter().flat_map(|shared| &shared.options);
            listing.entries.iter().flat_map(|entry| &entry.options).chain(shared)
        });
        let known: BTreeSet<&str> = options.map(|row| row.name).collect();
        let text = [readme, guide[0], guide[1]].concat();
        let mentioned = mentioned(&text);
        assert!(mentioned.len() > 15, "{mentioned:?}");
        let unknown: Vec<_> = mentioned.difference(&known).collect();
        assert!(
            unknown.is_empty(),
            "the README and the guide mention options that there are not: {unknown:?}"
        );
        for url in
            listings.iter().flat_map(|listing| &listing.entries).flat_map(|entry| &entry.urls)
        {
            let place = url.find("//").map_or(url.as_str(), |at| &url[..at + 2]);
            assert!(readme.contains(place), "the README does not mention `{url}`");
        }
    }

    #[test]
    fn each_form_names_schemes_options_types_and_defaults() {
        let sources = Listing::sources(Connectors::built_in());
        let text = sources.text();
        for part in [
            "tcp://HOST:PORT",
            "batch=SIZE",
            "[default: 32MiB]",
            "Options of sources that read CSV",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let json = sources.json();
        let file = &json["connectors"][0];
        assert_eq!(
            (&file["scheme"], &file["options"][2]["default"]),
            (&json!("file"), &json!("32MiB"))
        );
        assert_eq!(json["shared_options"]["json"][0]["name"], "floats");
        assert_eq!(json["shared_options"]["all"][0]["type"], "choice");
        let sinks = Listing::sinks(Connectors::built_in()).json();
        assert_eq!(sinks["connectors"][0]["urls"][1], "csv+file://DIR");
    }
}
