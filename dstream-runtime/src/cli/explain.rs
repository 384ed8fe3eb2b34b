//! `JOB explain`: what an operator does, what a mistake means, and what stands for a name of another system.
//!
//! The texts are those of the compiler's own records, which its tests write into the files beside this one.

use super::{Failed, answer};
use crate::connect::nearest;

const OPERATORS: &str = include_str!("explain/operators.md");
const MISTAKES: &str = include_str!("explain/mistakes.md");
const ELSEWHERE: &str = include_str!("explain/elsewhere.md");

/// Prints what a name means, or all names.
pub(super) fn explain(name: Option<&str>) -> Result<(), Failed> {
    match name {
        None => answer(&listed()),
        Some(name) => answer(&explained(name).map_err(Failed::Usage)?),
    }
}

/// The titles of a text and what stands below each.
fn sections(text: &str) -> impl Iterator<Item = (&str, &str)> + Clone {
    text.split("\n## ").skip(1).filter_map(|section| section.split_once('\n'))
}

/// Without marks of Markdown: examples are indented.
fn plain(text: &str) -> String {
    let mut code = false;
    let mut lines = Vec::new();
    for line in text.trim().lines() {
        if line.starts_with("```") {
            code = !code;
        } else if code && !line.is_empty() {
            lines.push(format!("    {line}"));
        } else {
            lines.push(line.to_owned());
        }
    }
    lines.join("\n")
}

/// A name as it is compared: `reduceByKey` is `reduce_by_key`.
fn bare(name: &str) -> String {
    name.trim_start_matches("dstream")
        .trim_matches(['[', ']', '.', '(', ')'])
        .replace('_', "")
        .to_lowercase()
}

fn explained(name: &str) -> Result<String, String> {
    let wanted = bare(name);
    let whole = sections(OPERATORS).chain(sections(MISTAKES));
    if let Some((title, text)) = whole.clone().find(|(title, _)| bare(title) == wanted) {
        return Ok(format!("{title}\n\n{}", plain(text)));
    }
    let has = |titles: &str| titles.split(", ").any(|title| bare(title) == wanted);
    if let Some((_, text)) = sections(ELSEWHERE).find(|(titles, _)| has(titles)) {
        return Ok(format!("`{name}` is no operator here: {}", plain(text)));
    }
    let names: Vec<&str> = whole.map(|(title, _)| title).collect();
    let meant = nearest(name, &names).map(|near| format!("; did you mean `{near}`?"));
    Err(format!(
        "no operator or error code is called `{name}`{}\n  help: `explain` alone lists the operators; error codes are like `E0201`",
        meant.unwrap_or_default()
    ))
}

/// The operators, each with its first sentence.
fn listed() -> String {
    let mut text = String::from(
        "Operators; `explain NAME` says more, `explain E0201` explains a mistake.\n\n",
    );
    for (title, section) in sections(OPERATORS) {
        let line = section.trim().lines().next().unwrap_or_default();
        // Behind how it is called and its family.
        let sentence = line.split_once(". ").map_or("", |(_, rest)| rest);
        let sentence = sentence.split_once(". ").map_or(sentence, |(first, _)| first);
        text.push_str(&format!("  {title:<28} {}\n", sentence.trim_end_matches('.')));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_mistakes_and_names_of_other_systems_are_explained() {
        let map = explained("map").unwrap();
        assert!(map.starts_with("map\n\n`map(|record| …)`, per record."), "{map}");
        assert!(map.contains("\n        words.map(|w| (w, w.len() as u64)).print();\n"), "{map}");
        assert!(explained("reduceByKey").unwrap().starts_with("reduce_by_key\n"));
        let mistake = explained("E0201").unwrap();
        assert!(mistake.starts_with("E0201\n\nThe WHAT of `NAME` must be a duration"), "{mistake}");
        assert!(mistake.contains("\n        lines.window(length).count().print();\n"), "{mistake}");
        assert!(
            mistake.contains("\n        lines.window(\"30s\").count().print();\n"),
            "{mistake}"
        );
        assert!(explained("dstream[E0201]").unwrap().starts_with("E0201\n\n"));
        let other = explained("mapWithState").unwrap();
        assert!(other.contains("`track`") && other.contains("    pairs.track("), "{other}");
    }

    #[test]
    fn an_unknown_name_is_said_with_what_is_near() {
        let error = explained("reduce_by_kez").unwrap_err();
        assert!(error.contains("did you mean `reduce_by_key`?"), "{error}");
        assert!(!explained("zzzzzz").unwrap_err().contains("did you mean"));
    }

    #[test]
    fn the_list_has_every_operator_with_a_sentence() {
        let list = listed();
        for (title, _) in sections(OPERATORS) {
            let line = list.lines().find(|line| line.split_whitespace().next() == Some(title));
            let line = line.unwrap_or_else(|| panic!("{title} is not there"));
            assert!(line.split_whitespace().count() > 3, "{line}");
        }
    }
}
