//! Retired words: every tracked source and document uses the field's terms.
//!
//! Words are found in comments, messages, documentation and names alike: `AskedReceipt`, `asked_receipt` and
//! "asked receipt" have the same two words.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A retired word or phrase, and what to write instead.
const RETIRED: [(&str, &str); 19] = [
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

/// A word of a text, with its line. Words are runs of letters, and end before a capital.
fn words(text: &str) -> Vec<(usize, &str)> {
    let mut words = Vec::new();
    for (line, text) in text.lines().enumerate() {
        let (mut start, mut was_lower) = (None, false);
        for (at, letter) in text.char_indices().chain([(text.len(), ' ')]) {
            let ends = !letter.is_alphabetic() || letter.is_uppercase() && was_lower;
            if let Some(from) = start.take_if(|_| ends) {
                words.push((line + 1, &text[from..at]));
            }
            was_lower = letter.is_lowercase();
            if letter.is_alphabetic() {
                start.get_or_insert(at);
            }
        }
    }
    words
}

/// The retired words in a text: the line, the word, and its replacement.
fn retired(text: &str) -> Vec<(usize, &'static str, &'static str)> {
    let words = words(text);
    let mut found = Vec::new();
    for (at, (line, first)) in words.iter().enumerate() {
        for (phrase, instead) in RETIRED {
            let mut phrase_words = phrase.split(' ');
            if !phrase_words.next().is_some_and(|word| word.eq_ignore_ascii_case(first)) {
                continue;
            }
            let mut rest = words[at + 1..].iter();
            if phrase_words
                .all(|word| rest.next().is_some_and(|(_, w)| w.eq_ignore_ascii_case(word)))
            {
                found.push((*line, phrase, instead));
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
    let is_open = |room: &str| NOT_DONE.contains(&room);
    let done: Vec<_> = NOT_DONE.iter().filter(|room| !found.contains_key(*room)).collect();
    let new: Vec<_> =
        found.iter().filter(|(room, _)| !is_open(room)).flat_map(|(_, l)| l).collect();
    assert!(new.is_empty(), "retired words: {new:#?}");
    assert!(done.is_empty(), "no retired words are left in {done:?}: remove them from NOT_DONE");
    Ok(())
}
