//! What a job published into a directory, checked against its manifests while reading.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

/// A batch's lines, by part.
type Parts = Vec<Vec<String>>;

/// Batches by time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Published(pub(crate) BTreeMap<u64, Parts>);

impl Published {
    /// Reads all batches of an output.
    ///
    /// Checks that there are only whole batches, and that each manifest lists exactly its files, with sizes,
    /// numbers of records, and checksums.
    pub(crate) fn read(dir: &Path) -> Self {
        Self(names(dir).iter().map(|name| (number(name), read_batch(&dir.join(name)))).collect())
    }

    /// Reads what a job has published so far, while it runs. What begins with `_` is not published yet.
    pub(crate) fn so_far(dir: &Path) -> Self {
        let names = names(dir).into_iter().filter(|name| !name.starts_with('_'));
        Self(names.map(|name| (number(&name), read_batch(&dir.join(name)))).collect())
    }

    /// The lines of each batch, in order of time.
    pub(crate) fn batches(&self) -> Vec<Vec<&str>> {
        self.0.values().map(|parts| parts.iter().flatten().map(String::as_str).collect()).collect()
    }

    /// The same, each sorted.
    pub(crate) fn sorted(&self) -> Vec<Vec<&str>> {
        let mut batches = self.batches();
        batches.iter_mut().for_each(|batch| batch.sort_unstable());
        batches
    }

    /// All lines of all batches.
    pub(crate) fn lines(&self) -> Vec<&str> {
        self.batches().concat()
    }
}

fn number(name: &str) -> u64 {
    name.parse().unwrap_or_else(|_| panic!("{name} is no batch"))
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry.expect("it can be listed").file_name().into_string().expect("it is UTF-8")
    };
    let mut names: Vec<_> = entries.map(name).collect();
    names.sort();
    names
}

fn read_batch(dir: &Path) -> Parts {
    let manifest = fs::read(dir.join("_manifest.json"));
    let manifest = manifest.unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let manifest: Value = serde_json::from_slice(&manifest).expect("a manifest is JSON");
    let rows = manifest["parts"].as_array().expect("it lists parts");
    let mut listed: Vec<_> = rows.iter().map(|row| row["name"].as_str().expect("named")).collect();
    listed.insert(0, "_manifest.json");
    assert_eq!(names(dir), listed, "files of {}", dir.display());
    assert_eq!(dir.file_name().map(|n| number(&n.to_string_lossy())), manifest["batch"].as_u64());

    let parts: Parts = rows.iter().map(|row| read_part(dir, row)).collect();
    let records = parts.iter().map(|part| part.len() as u64).sum::<u64>();
    assert_eq!(manifest["records"].as_u64(), Some(records), "records of {}", dir.display());
    parts
}

fn read_part(dir: &Path, row: &Value) -> Vec<String> {
    let path = dir.join(row["name"].as_str().expect("named"));
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(row["bytes"].as_u64(), Some(bytes.len() as u64), "{}", path.display());
    assert_eq!(row["xxh3"], format!("{:016x}", xxh3_64(&bytes)), "{}", path.display());
    let text = String::from_utf8(bytes).unwrap_or_else(|_| panic!("{}", path.display()));
    assert!(text.ends_with('\n'), "the last line of {} has its end", path.display());
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    let is_csv = path.extension().is_some_and(|extension| extension == "csv");
    if is_csv && row["records"].as_u64() == Some(lines.len() as u64 - 1) {
        // A header row is no record.
        lines.remove(0);
    }
    assert_eq!(row["records"].as_u64(), Some(lines.len() as u64), "{}", path.display());
    lines
}

/// Files below a directory, by relative path.
pub(crate) type Tree = BTreeMap<PathBuf, Vec<u8>>;

/// All files below a directory.
pub(crate) fn tree(dir: &Path) -> Tree {
    let mut files = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(from) = dirs.pop() {
        for name in names(&from) {
            let path = from.join(name);
            if path.is_dir() {
                dirs.push(path);
            } else {
                let inner = path.strip_prefix(dir).expect("it is below").to_owned();
                files.insert(inner, fs::read(&path).expect("it can be read"));
            }
        }
    }
    files
}

/// Checks that two directories hold equal files, without printing them.
#[track_caller]
pub(crate) fn assert_same_trees(left: &Path, right: &Path) {
    let (left, right) = (tree(left), tree(right));
    assert_part_of(&left, &right);
    assert!(left.keys().eq(right.keys()), "{:?}\n{:?}", left.keys(), right.keys());
}

/// Checks that all files are among others, with equal bytes.
#[track_caller]
pub(crate) fn assert_part_of(part: &Tree, whole: &Tree) {
    let differs = part.iter().find(|(path, bytes)| whole.get(*path) != Some(bytes));
    assert!(differs.is_none(), "{:?} differs or is missing", differs.map(|(path, _)| path));
}
