//! What dstream is built of: licences and sources of all crates, and versions that must not be older.
//!
//! `deny.toml` asks the same and more of those who have cargo-deny; this needs nothing but cargo, and no
//! network.

use std::collections::BTreeMap;
use std::error::Error;
use std::process::Command;

use serde::Deserialize;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    /// None for our own.
    source: Option<String>,
}

/// All crates for the system that the tests run on. Those of optional features are downloaded if they are not here.
fn packages() -> Result<Vec<Package>, Box<dyn Error>> {
    let rustc = Command::new("rustc").arg("-vV").output()?.stdout;
    let rustc = String::from_utf8(rustc)?;
    let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("no host")?;
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(["--filter-platform", host, "--all-features"])
        .current_dir(dstream_tests::workspace())
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout)?;
    Ok(metadata.packages)
}

/// The licences that `deny.toml` allows.
fn allowed() -> Vec<String> {
    let list = DENY.split_once("allow = [").and_then(|(_, rest)| rest.split_once(']'));
    let list = list.map(|(list, _)| list).unwrap_or_default();
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

const DENY: &str = include_str!("../deny.toml");

/// Whether an expression such as `(MIT OR Apache-2.0) AND Unicode-3.0` can be met with these.
fn is_met(expression: &str, allowed: &[String]) -> bool {
    let expression = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = expression.split_whitespace().peekable();
    let met = any(&mut words, allowed);
    met && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any(words: &mut Words<'_>, allowed: &[String]) -> bool {
    let mut met = all(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        met |= all(words, allowed);
    }
    met
}

fn all(words: &mut Words<'_>, allowed: &[String]) -> bool {
    let mut met = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut Words<'_>, allowed: &[String]) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let met = any(words, allowed);
        return words.next_if_eq(&")").is_some() && met;
    }
    let mut name = words.next().unwrap_or_default().to_owned();
    if words.next_if_eq(&"WITH").is_some() {
        name = format!("{name} WITH {}", words.next().unwrap_or_default());
    }
    allowed.contains(&name)
}

#[test]
fn licences_are_read_as_they_are_meant() {
    let allowed = ["MIT".to_owned(), "A WITH x".to_owned()];
    for met in ["MIT", "GPL OR MIT", "GPL/MIT", "(GPL OR MIT) AND MIT", "A WITH x OR GPL"] {
        assert!(is_met(met, &allowed), "{met}");
    }
    for unmet in ["", "GPL", "GPL AND MIT", "MIT AND (GPL OR A)", "A", "MIT MIT", "(MIT"] {
        assert!(!is_met(unmet, &allowed), "{unmet}");
    }
}

#[test]
fn all_crates_have_a_licence_that_is_allowed() -> Result<(), Box<dyn Error>> {
    let allowed = allowed();
    assert!(allowed.iter().any(|name| name == "MIT"), "the list is read wrongly: {allowed:?}");
    let packages = packages()?;
    assert!(packages.len() > 100, "{} crates", packages.len());
    let wrong: Vec<String> = packages
        .iter()
        .filter(|package| !is_met(package.license.as_deref().unwrap_or_default(), &allowed))
        .map(|package| format!("{} ({:?})", package.name, package.license))
        .collect();
    assert!(wrong.is_empty(), "not allowed by deny.toml: {}", wrong.join(", "));
    Ok(())
}

#[test]
fn all_crates_come_from_the_registry() -> Result<(), Box<dyn Error>> {
    const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";
    for package in packages()? {
        let ours = package.source.is_none() && package.name.starts_with("dstream");
        let registry = package.source.as_deref() == Some(REGISTRY);
        assert!(ours || registry, "{} comes from {:?}", package.name, package.source);
    }
    Ok(())
}

/// What was wrong with older versions can be looked up in the database of advisories.
#[test]
fn crates_with_known_mistakes_are_new_enough() -> Result<(), Box<dyn Error>> {
    let least = BTreeMap::from([
        // RUSTSEC-2026-0185: reassembly is unbounded.
        ("quinn-proto", (0, 11, 15)),
        // RUSTSEC-2026-0233, 0234, 0235: memory is read wrongly behind the checked functions.
        ("rkyv", (0, 8, 18)),
    ]);
    let packages = packages()?;
    for (name, least) in least {
        let of_it: Vec<&Package> = packages.iter().filter(|package| package.name == name).collect();
        assert!(!of_it.is_empty(), "nothing uses {name} any more: it can go from here");
        for package in of_it {
            let mut parts = package.version.split(['.', '-', '+']).map(|part| part.parse().ok());
            let mut part = || -> Option<u32> { parts.next()? };
            let version = (part(), part(), part());
            let least = (Some(least.0), Some(least.1), Some(least.2));
            assert!(version >= least, "{name} {} is older than {least:?}", package.version);
        }
    }
    Ok(())
}
