//! Reads a file and the modules that it declares, like rustc.
//!
//! Never expands macros or evaluates `cfg`; rustc reports missing modules.

use std::path::{Path, PathBuf};
use std::{fs, io};

use syn::{Attribute, Expr, Item, ItemMod, Lit, Meta};

/// A source file.
pub(super) struct Source {
    pub(super) path: PathBuf,
    /// Its items; empty if it does not parse.
    pub(super) items: Vec<Item>,
}

/// Most files read, in case a crate declares itself as a module.
const MAX_FILES: usize = 10_000;

/// Reads a crate from its root; also returns errors of unreadable files.
pub(super) fn read(root: &Path) -> (Vec<Source>, Vec<String>) {
    let mut reader = Reader { files: Vec::new(), problems: Vec::new() };
    let dir = root.parent().unwrap_or(Path::new("")).to_owned();
    match fs::read_to_string(root) {
        Ok(text) => reader.file(root.to_owned(), &text, &dir),
        Err(error) => reader.problem(root, &error),
    }
    (reader.files, reader.problems)
}

struct Reader {
    files: Vec<Source>,
    problems: Vec<String>,
}

impl Reader {
    /// Adds a file and its modules, which are looked up in `dir`.
    fn file(&mut self, path: PathBuf, text: &str, dir: &Path) {
        if self.files.len() >= MAX_FILES || self.files.iter().any(|file| file.path == path) {
            return;
        }
        let items = syn::parse_file(text).map(|file| file.items).unwrap_or_default();
        let beside = path.parent().unwrap_or(Path::new("")).to_owned();
        self.files.push(Source { path, items: items.clone() });
        self.modules(&items, dir, &beside);
    }

    /// `beside`: the directory to which `#[path]` is relative.
    fn modules(&mut self, items: &[Item], dir: &Path, beside: &Path) {
        for item in items {
            let Item::Mod(module) = item else { continue };
            let name = module.ident.to_string();
            let name = name.trim_start_matches("r#");
            match &module.content {
                Some((_, items)) => {
                    let inner = dir.join(name);
                    self.modules(items, &inner, &inner);
                }
                None => self.module(module, name, dir, beside),
            }
        }
    }

    fn module(&mut self, module: &ItemMod, name: &str, dir: &Path, beside: &Path) {
        let candidates = match path_attribute(&module.attrs) {
            Some(path) => {
                let path = beside.join(path);
                let dir = path.parent().unwrap_or(Path::new("")).to_owned();
                vec![(path, dir)]
            }
            None => vec![
                (dir.join(format!("{name}.rs")), dir.join(name)),
                (dir.join(name).join("mod.rs"), dir.join(name)),
            ],
        };
        for (path, inner) in candidates {
            match fs::read_to_string(&path) {
                Ok(text) => return self.file(path, &text, &inner),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return self.problem(&path, &error),
            }
        }
    }

    fn problem(&mut self, path: &Path, error: &io::Error) {
        self.problems.push(format!("cannot read {}: {error}", path.display()));
    }
}

fn path_attribute(attributes: &[Attribute]) -> Option<String> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("path")).find_map(|attribute| {
        match &attribute.meta {
            Meta::NameValue(pair) => match &pair.value {
                Expr::Lit(syn::ExprLit { lit: Lit::Str(path), .. }) => Some(path.value()),
                _ => None,
            },
            _ => None,
        }
    })
}
