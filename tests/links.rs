//! The guide holds together: each link points to a file and a heading that exist, and the summary has every chapter.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Documents at the root of the repository; those of `docs` come along.
const DOCUMENTS: [&str; 6] = [
    "README.md",
    "CONTRIBUTING.md",
    "ARCHITECTURE.md",
    "CONNECTORS.md",
    "benches/README.md",
    "templates/job/README.md",
];

fn root() -> &'static Path {
    dstream_tests::workspace()
}

/// The chapters in `docs`, and the summary.
fn chapters() -> Result<Vec<String>, Box<dyn Error>> {
    let mut names = Vec::new();
    for file in fs::read_dir(root().join("docs"))? {
        let name = file?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".md") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// The lines that are prose, each with its number: not those of blocks of code.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut code = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        (!fence && !code).then_some((at + 1, line))
    })
}

/// A line without what stands in backticks.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

/// The targets of a text's links, each with its line. A link may go on in the next line.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        let line = without_code(line);
        for part in line.split("](").skip(1) {
            let target = part.split(')').next().unwrap_or_default();
            found.push((number, target.to_owned()));
        }
    }
    found
}

/// The anchors of a text's headings, as GitHub and mdBook make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter(|(_, line)| line.starts_with('#'));
    let mut seen = BTreeMap::<String, usize>::new();
    let mut anchors = BTreeSet::new();
    for (_, heading) in headings {
        let title = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let before = seen.entry(anchor.clone()).or_default();
        anchors.insert(match *before {
            0 => anchor,
            n => format!("{anchor}-{n}"),
        });
        *before += 1;
    }
    anchors
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => _ = plain.pop(),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

/// What is wrong with a link of a document, if anything is.
fn broken(document: &Path, target: &str) -> Option<String> {
    if target.starts_with("https://") || target.starts_with("http://") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let directory = document.parent().unwrap_or(Path::new(""));
    let path = match file {
        "" => document.to_owned(),
        file => plain(&directory.join(file)),
    };
    if !root().join(&path).exists() {
        return Some(format!("{target}: there is no {}", path.display()));
    }
    if anchor.is_empty() {
        return None;
    }
    let text = fs::read_to_string(root().join(&path)).unwrap_or_default();
    let missing = !anchors(&text).contains(anchor);
    missing.then(|| format!("{target}: {} has no heading of that name", path.display()))
}

#[test]
fn links_and_headings_are_found() {
    let text = "# The `a` b\n[x](one.md#two), `[no](link)`\n```\n[no](code)\n# no heading\n```\n## The a b\n[y](z)\n";
    assert_eq!(links(text), [(2, "one.md#two".to_owned()), (8, "z".to_owned())]);
    assert_eq!(anchors(text), BTreeSet::from(["the-a-b".to_owned(), "the-a-b-1".to_owned()]));
}

#[test]
fn a_broken_link_is_noticed() {
    let readme = Path::new("docs/inputs.md");
    assert_eq!(broken(readme, "../README.md#try-it"), None);
    assert!(broken(readme, "../README.md#no-such-heading").is_some());
    assert!(broken(readme, "nowhere.md").is_some());
}

#[test]
fn every_link_has_its_target() -> Result<(), Box<dyn Error>> {
    let mut wrong = Vec::new();
    let mut count = 0;
    let chapters = chapters()?.into_iter().map(|name| format!("docs/{name}"));
    for document in DOCUMENTS.map(str::to_owned).into_iter().chain(chapters) {
        let text = fs::read_to_string(root().join(&document))?;
        for (line, target) in links(&text) {
            count += 1;
            let why = broken(Path::new(&document), &target);
            wrong.extend(why.map(|why| format!("{document}:{line}: {why}")));
        }
    }
    assert!(count > 50, "only {count} links are found");
    assert!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

/// Chapters that the summary lacks are not in the book.
#[test]
fn the_summary_lists_every_chapter_once() -> Result<(), Box<dyn Error>> {
    let text = fs::read_to_string(root().join("docs/SUMMARY.md"))?;
    let mut listed: Vec<String> = links(&text).into_iter().map(|(_, target)| target).collect();
    listed.sort();
    let mut chapters = chapters()?;
    chapters.retain(|name| name != "SUMMARY.md");
    assert_eq!(listed, chapters);
    Ok(())
}

/// The README names every chapter, so that a reader on GitHub finds it.
#[test]
fn the_readme_links_every_chapter() -> Result<(), Box<dyn Error>> {
    let readme = fs::read_to_string(root().join("README.md"))?;
    let linked: BTreeSet<String> = links(&readme).into_iter().map(|(_, target)| target).collect();
    let missing: Vec<String> =
        chapters()?.into_iter().filter(|name| !linked.contains(&format!("docs/{name}"))).collect();
    assert!(missing.is_empty(), "README.md does not link {missing:?}");
    Ok(())
}

/// The first chapter shows the template, which a test builds and runs.
#[test]
fn the_start_shows_the_template() -> Result<(), Box<dyn Error>> {
    let chapter = fs::read_to_string(root().join("docs/start.md"))?;
    let main = fs::read_to_string(root().join("templates/job/src/main.rs"))?;
    let (job, test) = main.split_once("#[cfg(test)]").ok_or("the template has a test")?;
    let (_, job) = job.split_once("\n\n").ok_or("it begins with its documentation")?;
    assert!(chapter.contains(job.trim()), "the job of templates/job is another one");
    assert!(chapter.contains(test.trim()), "the test of templates/job is another one");
    let readme = fs::read_to_string(root().join("templates/job/README.md"))?;
    let copy = readme.lines().find(|line| line.trim().starts_with("cp -r templates/job "));
    assert!(chapter.contains(copy.ok_or("the README has a command")?.trim()));
    Ok(())
}
