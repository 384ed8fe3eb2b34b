//! Retired words: every tracked source and document uses the field's terms.
//!
//! Words are found in comments, messages, documentation and names alike: `AskedReceipt`, `asked_receipt` and
//! "asked receipt" have the same two words.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A retired word or phrase, and what to write instead.
const RETIRED: &[(&str, &str)] = &[
    ("nobody", "no worker, no process; or the active voice"),
    ("somebody", "a worker, a process, another user"),
    ("anybody", "any worker, any process"),
    ("everybody", "all workers, every process"),
    ("whoever", "the process that, the caller"),
    ("so many", "that many, or the number itself"),
    ("that is said", "that is reported"),
    ("heir", "new owner"),
    ("heirs", "new owners"),
    ("receipt", "received block"),
    ("receipts", "received blocks"),
    ("taker", "receiver"),
    ("takers", "receivers"),
    ("luggage", "task output"),
    ("freight", "attachment"),
    ("errand", "job, transfer"),
    ("errands", "jobs, transfers"),
    ("colleague", "peer"),
    ("colleagues", "peers"),
];

/// Directories that still use retired words, each without the directories below it; `.` is the root. The list only
/// shrinks: an entry whose words are gone fails the test.
const NOT_DONE: &[&str] = &[];

/// This file names the words.
const SELF: &str = "tests/words.rs";

const SUFFIXES: [&str; 4] = ["rs", "md", "toml", "sh"];

fn git(dir: &Path, args: &[&str]) -> Result<String, Box<dyn Error>> {
    let output = Command::new("git").arg("-C").arg(dir).args(args).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The root of the repository, and the tracked files below it.
fn tracked() -> Result<(PathBuf, Vec<String>), Box<dyn Error>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = PathBuf::from(git(here, &["rev-parse", "--show-toplevel"])?.trim_end());
    let files = git(&root, &["ls-files", "-z"])?;
    Ok((root, files.split_terminator('\0').map(str::to_owned).collect()))
}

/// The words of a text in lower case, with their lines. Words are runs of letters, and end before a capital.
fn words(text: &str) -> Vec<(usize, String)> {
    let mut words = Vec::new();
    for (line, text) in text.lines().enumerate() {
        let (mut word, mut was_lower) = (String::new(), false);
        for letter in text.chars().chain([' ']) {
            if !word.is_empty() && (!letter.is_alphabetic() || letter.is_uppercase() && was_lower) {
                words.push((line + 1, std::mem::take(&mut word)));
            }
            was_lower = letter.is_lowercase();
            word.extend(
                letter.is_alphabetic().then(|| letter.to_lowercase()).into_iter().flatten(),
            );
        }
    }
    words
}

/// The retired words in a text: the line, the word, and its replacement.
fn retired(text: &str) -> Vec<(usize, &'static str, &'static str)> {
    let words = words(text);
    let mut found = Vec::new();
    for at in 0..words.len() {
        for (phrase, instead) in RETIRED {
            let mut rest = words[at..].iter().map(|(_, word)| word.as_str());
            if phrase.split(' ').all(|word| rest.next() == Some(word)) {
                found.push((words[at].0, *phrase, *instead));
            }
        }
    }
    found
}

fn directory(file: &str) -> &str {
    file.rsplit_once('/').map_or(".", |(directory, _)| directory)
}

#[test]
fn words_are_found_in_comments_and_names() {
    let text = "/// So\n    /// many\nfn nobody_waits(of: ReceiptId) {} // Colleagues, heirloom, bodyguard";
    let found: Vec<_> = retired(text).iter().map(|(line, word, _)| (*line, *word)).collect();
    assert_eq!(found, [(1, "so many"), (3, "nobody"), (3, "receipt"), (3, "colleagues")]);
}

#[test]
fn retired_words_are_gone() -> Result<(), Box<dyn Error>> {
    let (root, files) = tracked()?;
    assert!(files.iter().any(|file| file == SELF), "the list of files lacks this one");
    let mut found = BTreeMap::<&str, Vec<String>>::new();
    for file in &files {
        let suffix = file.rsplit_once('.').map_or("", |(_, suffix)| suffix);
        if file == SELF || !SUFFIXES.contains(&suffix) {
            continue;
        }
        // A tracked file may be deleted in the working tree.
        let Ok(text) = std::fs::read_to_string(root.join(file)) else { continue };
        let lines = retired(&text)
            .into_iter()
            .map(|(line, word, instead)| format!("{file}:{line}: `{word}`: write {instead}"));
        found.entry(directory(file)).or_default().extend(lines);
    }
    found.retain(|_, lines| !lines.is_empty());
    let not_done = BTreeSet::from_iter(NOT_DONE.iter().copied());
    let done: Vec<_> = not_done.iter().filter(|room| !found.contains_key(*room)).collect();
    let new: Vec<_> =
        found.iter().filter(|(room, _)| !not_done.contains(*room)).flat_map(|(_, l)| l).collect();
    assert!(
        new.is_empty(),
        "{} retired words:\n{}",
        new.len(),
        new.iter().map(|line| format!("  {line}\n")).collect::<String>()
    );
    assert!(done.is_empty(), "no retired words are left in {done:?}: remove them from NOT_DONE");
    Ok(())
}
