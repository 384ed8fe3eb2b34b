//! Patterns of file names: `*`, `?`, `[abc]`, `[a-z]`, `[!a-z]`, and `**` for any directories.
//!
//! Names are matched whatever bytes they are made of: a byte that is not part of UTF-8 counts as one
//! character. A wildcard never matches `/`. What cannot be listed is an error, as a file that is not found
//! would be missing from the result without a word.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::io;
use crate::source::SourceError;

/// The most directories below each other where `**` looks.
const MAX_DEPTH: usize = 256;

/// A character, or, above all of them, a byte that is not part of one.
type Unit = u32;

const BYTES: Unit = 0x11_0000;

/// A pattern of paths, a part for each directory.
#[derive(Debug)]
pub(super) struct Pattern {
    absolute: bool,
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    /// A name as it is.
    Name(Vec<u8>),
    Wild(Vec<Token>),
    /// Any directories, also none.
    Directories,
}

#[derive(Debug)]
enum Token {
    Is(Unit),
    /// `?`
    One,
    /// `*`
    Any,
    /// `[…]`: one of these, or none of these.
    Among(Vec<(Unit, Unit)>, bool),
}

/// Whether a path has wildcards.
pub(super) fn is_pattern(path: &Path) -> bool {
    path.as_os_str().as_bytes().iter().any(|byte| b"*?[".contains(byte))
}

fn units(bytes: &[u8]) -> Vec<Unit> {
    let mut units = Vec::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        units.extend(chunk.valid().chars().map(Unit::from));
        units.extend(chunk.invalid().iter().map(|byte| BYTES + Unit::from(*byte)));
    }
    units
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(path: &Path) -> Result<Self, String> {
        let bytes = path.as_os_str().as_bytes();
        let parts = bytes.split(|byte| *byte == b'/').filter(|part| !part.is_empty());
        let parts = parts.map(Part::parse).collect::<Result<_, _>>()?;
        Ok(Self { absolute: bytes.starts_with(b"/"), parts })
    }

    /// The paths that match, in no order; some may be found twice. What cannot be listed is told to `unclear`.
    pub(super) fn find(&self, unclear: &mut dyn FnMut(&Path, SourceError)) -> Vec<PathBuf> {
        let mut found = vec![PathBuf::from(if self.absolute { "/" } else { "" })];
        for (index, part) in self.parts.iter().enumerate() {
            let last = index + 1 == self.parts.len();
            let mut next = Vec::new();
            for path in found {
                match part {
                    Part::Name(name) => {
                        let path = path.join(OsStr::from_bytes(name));
                        if fs::symlink_metadata(&path).is_ok() {
                            next.push(path);
                        }
                    }
                    Part::Wild(tokens) => {
                        let each = &mut |entry: PathBuf, is_directory| {
                            let name = entry.file_name().unwrap_or_default().as_bytes();
                            if (last || is_directory) && matches(tokens, &units(name)) {
                                next.push(entry);
                            }
                        };
                        if let Err(error) = entries(&path, each) {
                            unclear(&path, error);
                        }
                    }
                    Part::Directories => below(path, last, 0, &mut next, unclear),
                }
            }
            found = next;
        }
        found
    }
}

impl Part {
    fn parse(text: &[u8]) -> Result<Self, String> {
        if text == b"**" {
            return Ok(Self::Directories);
        }
        if text.windows(2).any(|two| two == b"**") {
            return Err("`**` stands for whole directories: write it between two `/`".to_owned());
        }
        if !is_pattern(Path::new(OsStr::from_bytes(text))) {
            return Ok(Self::Name(text.to_owned()));
        }
        let (units, mut tokens, mut at) = (units(text), Vec::new(), 0);
        while let Some(unit) = units.get(at) {
            at += 1;
            tokens.push(match char::from_u32(*unit) {
                Some('*') => Token::Any,
                Some('?') => Token::One,
                Some('[') => {
                    let (token, end) = among(&units, at)?;
                    at = end;
                    token
                }
                _ => Token::Is(*unit),
            });
        }
        Ok(Self::Wild(tokens))
    }
}

/// What stands after a `[`, and where it ends.
fn among(units: &[Unit], start: usize) -> Result<(Token, usize), String> {
    let is = |at: usize, c: char| units.get(at) == Some(&Unit::from(c));
    let negated = is(start, '!') || is(start, '^');
    let first = start + usize::from(negated);
    // A `]` that comes first is one of them.
    let end = (first + 1..units.len()).find(|at| is(*at, ']'));
    let end = end.ok_or("a `[` has no `]`: write `[[]` for the character itself")?;
    let (mut ranges, mut at) = (Vec::new(), first);
    while at < end {
        if at + 2 < end && is(at + 1, '-') {
            ranges.push((units[at], units[at + 2]));
            at += 3;
        } else {
            ranges.push((units[at], units[at]));
            at += 1;
        }
    }
    Ok((Token::Among(ranges, negated), end + 1))
}

/// Whether a name matches. After a `*` that fails, only the last one can still take more.
fn matches(tokens: &[Token], name: &[Unit]) -> bool {
    let (mut token, mut at, mut again) = (0, 0, None);
    while at < name.len() || token < tokens.len() {
        let fits = match tokens.get(token) {
            Some(Token::Any) => {
                again = Some((token, at));
                token += 1;
                continue;
            }
            Some(one) => name.get(at).is_some_and(|unit| one.is(*unit)),
            None => false,
        };
        if fits {
            (token, at) = (token + 1, at + 1);
            continue;
        }
        match again {
            Some((any, from)) if from < name.len() => {
                again = Some((any, from + 1));
                (token, at) = (any + 1, from + 1);
            }
            _ => return false,
        }
    }
    true
}

impl Token {
    fn is(&self, unit: Unit) -> bool {
        match self {
            Self::Is(this) => *this == unit,
            Self::One => true,
            Self::Any => false,
            Self::Among(ranges, negated) => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&unit)) != *negated
            }
        }
    }
}

/// What is in a directory, and whether each is one too. Nothing, if it is no directory or is gone.
fn entries(directory: &Path, each: &mut dyn FnMut(PathBuf, bool)) -> Result<(), SourceError> {
    let here = directory.as_os_str().is_empty();
    let read = fs::read_dir(if here { Path::new(".") } else { directory });
    let read = match read {
        Ok(read) => read,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(());
        }
        Err(error) => return Err(io("list", directory, error)),
    };
    for entry in read {
        let entry = entry.map_err(|error| io("list", directory, error))?;
        let path = if here { PathBuf::from(entry.file_name()) } else { entry.path() };
        let kind = entry.file_type().map_err(|error| io("list", directory, error))?;
        let is_directory = kind.is_dir() || kind.is_symlink() && path.is_dir();
        each(path, is_directory);
    }
    Ok(())
}

/// A directory and all below it, and, as the last part of a pattern, what is in them. Links are not followed:
/// they may lead round in circles.
fn below(
    directory: PathBuf,
    files: bool,
    depth: usize,
    found: &mut Vec<PathBuf>,
    unclear: &mut dyn FnMut(&Path, SourceError),
) {
    let mut inner = Vec::new();
    let each = &mut |path: PathBuf, is_directory| {
        if is_directory && !path.is_symlink() {
            inner.push(path);
        } else if files {
            found.push(path);
        }
    };
    if let Err(error) = entries(&directory, each) {
        unclear(&directory, error);
    }
    found.push(directory);
    if depth < MAX_DEPTH {
        for directory in inner {
            below(directory, files, depth + 1, found, unclear);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn fits(pattern: &str, name: &[u8]) -> bool {
        match Part::parse(pattern.as_bytes()).unwrap() {
            Part::Name(text) => text == name,
            Part::Wild(tokens) => matches(&tokens, &units(name)),
            Part::Directories => true,
        }
    }

    #[test]
    fn names() {
        for (pattern, good, bad) in [
            ("*", &["", "a", "ab"][..], &[][..]),
            ("*.csv", &["a.csv", ".csv", "a.csv.csv"], &["a.csv2", "acsv"]),
            ("a*b*c", &["abc", "aXbXc", "abbcc", "abcabc"], &["ab", "acb", "abcd"]),
            ("?", &["a", "é"], &["", "ab"]),
            ("[a-cx]1", &["a1", "c1", "x1"], &["d1", "1", "a"]),
            ("[!a-c]", &["d", "é"], &["a", ""]),
            ("[]]x", &["]x"], &["x"]),
            ("[-a]", &["-", "a"], &["b"]),
            ("[[]1]", &["[1]"], &["1"]),
            ("x[*?]", &["x*", "x?"], &["xx"]),
        ] {
            good.iter()
                .for_each(|name| assert!(fits(pattern, name.as_bytes()), "{pattern} {name}"));
            bad.iter()
                .for_each(|name| assert!(!fits(pattern, name.as_bytes()), "{pattern} {name}"));
        }
        assert!(fits("a?b", b"a\xffb") && fits("*.log", b"\xe9\xff.log") && fits("[!a]", b"\xff"));
        for wrong in ["a[", "[!", "a**", "[]"] {
            assert!(Part::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_name_is_matched_in_no_time() {
        assert!(!fits(
            &"*a".repeat(40),
            &[b'a'; 4000][..3999].iter().chain(b"b").copied().collect::<Vec<_>>()
        ));
    }

    /// What bash finds, for names of any bytes.
    #[test]
    fn paths_are_what_a_shell_finds() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            &b"a.csv"[..],
            b"b\xe9.csv",
            b"\xff",
            b"d\xe8/x.csv",
            b"d\xe8/e/y.csv",
            b"f/z.txt",
            b"f/\xc3\xa9",
        ] {
            let path = dir.path().join(OsStr::from_bytes(name));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        std::os::unix::fs::symlink("f", dir.path().join("link")).unwrap();
        for pattern in [
            "*", "*.csv", "*/*", "**/*.csv", "**/*", "?", "[!a]*", "f/?", "*/e/*", "link/*",
            "d?/x.csv",
        ] {
            let script = "shopt -s globstar nullglob; cd \"$1\"; for f in $2; do printf '%s\\0' \"$f\"; done";
            let mut bash = Command::new("bash");
            bash.args(["-c", script, "bash"]).arg(dir.path()).arg(pattern).env("LC_ALL", "C.UTF-8");
            let out = bash.output().unwrap().stdout;
            let mut expected: Vec<PathBuf> = out
                .split(|byte| *byte == 0)
                .filter(|name| !name.is_empty())
                .map(|name| dir.path().join(OsStr::from_bytes(name)))
                .collect();
            let listed = Pattern::parse(&dir.path().join(pattern)).unwrap();
            let mut found = listed.find(&mut |_, error| panic!("{error}"));
            found.sort();
            found.dedup();
            expected.sort();
            assert_eq!(found, expected, "{pattern}");
        }
    }
}
