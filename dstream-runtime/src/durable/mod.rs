//! The durable store: named objects that are created only if absent, never change, and outlive every process
//! of the cluster.
//!
//! Maps URLs to stores, and checks the names of objects. There are two stores: `file`, in every build, and
//! `remote` (`s3://`, `gs://`, `az://`), with the cargo feature `object-store`. Invariants: exactly one of
//! several writers of a name gets [`Put::Created`]; the object is durable then; readers never see a partial
//! object. Objects are never replaced: that makes the exclusive put a fence (with rename, a master that woke
//! up late could overwrite its successor's objects).
//!
//! The interface blocks: call it from plain threads, not from async tasks.

mod checkpoints;
mod error;
mod file;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
pub mod journal;
#[cfg(test)]
mod memory;
#[cfg(feature = "object-store")]
mod remote;
pub(crate) mod savepoint;
#[cfg(test)]
mod tests;
mod volatile;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use self::checkpoints::{ChainLink, CheckpointError, CheckpointStore, LoadedChain};
pub use self::error::DurableError;
pub use self::savepoint::SavepointError;

use self::file::FileStore;
use self::volatile::VolatileStore;

/// The result of a put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// Created, and durable.
    Created,
    /// An object of that name exists and is unchanged. It may be the caller's own; see [`Durable::put_own`].
    Exists,
}

/// A store of objects. Names are valid and complete.
trait Store: Send + Sync {
    /// Creates an object of these concatenated parts if the name is free.
    fn put(&self, name: &str, parts: &[&[u8]]) -> Result<Put, DurableError>;
    /// Reads an object.
    fn get(&self, name: &str) -> Result<Vec<u8>, DurableError>;
    /// Whether the object exists.
    fn exists(&self, name: &str) -> Result<bool, DurableError>;
    /// Names below `dir`, or all if it is empty; unordered.
    fn list(&self, dir: &str) -> Result<Vec<String>, DurableError>;
    /// Removes an object if it exists.
    fn remove(&self, name: &str) -> Result<(), DurableError>;
    /// Creates the directory of `dir`, if the store has directories.
    fn make(&self, dir: &str) -> Result<(), DurableError>;
    /// The URL that names are relative to.
    fn url(&self) -> &str;
}

/// A durable store, or its part below a prefix.
#[derive(Clone)]
pub struct Durable {
    store: Arc<dyn Store>,
    /// Empty, or ends with a slash.
    prefix: String,
}

impl Durable {
    /// Opens the store at a URL or path; a missing directory is created, for its owner only.
    ///
    /// # Errors
    /// When the URL is no store of this build, or the directory cannot be created.
    pub fn open(url: &str) -> Result<Self, DurableError> {
        let durable = Self::existing(url)?;
        durable.store.make("")?;
        Ok(durable)
    }

    /// The same, but a missing directory is not created and fails on use: it may be a mount that this host
    /// lacks.
    ///
    /// # Errors
    /// When the URL is no store of this build.
    pub fn existing(url: &str) -> Result<Self, DurableError> {
        match Target::of(url)? {
            Target::Dir(path) => Ok(Self::of(Arc::new(FileStore::new(&path)?))),
            #[cfg(feature = "object-store")]
            Target::Remote(url) => Ok(Self::of(Arc::new(remote::RemoteStore::open(&url)?))),
            #[cfg(not(feature = "object-store"))]
            Target::Remote(url) => Err(DurableError::Url {
                url: url.to_string(),
                why: "this binary was built without object stores".to_owned(),
                help: "build the job with dstream's feature `object-store` (in its Cargo.toml: `dstream = { \
                       version = \"..\", features = [\"object-store\"] }`), or name a directory that all \
                       processes share",
            }),
        }
    }

    /// A store in the memory of this process, for masters and workers that follow each other in it.
    #[must_use]
    pub fn volatile() -> Self {
        Self::of(Arc::new(VolatileStore::default()))
    }

    fn of(store: Arc<dyn Store>) -> Self {
        Self { store, prefix: String::new() }
    }

    /// The part below a prefix.
    ///
    /// # Errors
    /// When the prefix is no valid name.
    pub fn within(&self, prefix: &str) -> Result<Self, DurableError> {
        let prefix = self.name(prefix.trim_end_matches('/'))? + "/";
        Ok(Self { store: Arc::clone(&self.store), prefix })
    }

    /// Creates the directory of the prefix, if the store has directories, so that another process can open
    /// its [`url`](Self::url) with [`existing`](Self::existing).
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn make(&self) -> Result<(), DurableError> {
        self.store.make(self.prefix.trim_end_matches('/'))
    }

    /// Creates an object if the name is free; it is durable when this returns.
    ///
    /// # Errors
    /// When the store fails. The object may exist nevertheless, or appear later.
    pub fn put_if_absent(&self, name: &str, parts: &[&[u8]]) -> Result<Put, DurableError> {
        self.store.put(&self.name(name)?, parts)
    }

    /// The same, for content unique to the caller; returns whether the object is the caller's. Retries, by
    /// the store or the caller, may meet their own first attempt.
    ///
    /// # Errors
    /// When the store fails.
    pub fn put_own(&self, name: &str, parts: &[&[u8]]) -> Result<bool, DurableError> {
        if self.put_if_absent(name, parts)? == Put::Created {
            return Ok(true);
        }
        match self.get(name) {
            Ok(found) => Ok(is(&found, parts)),
            // It was another's, and has been removed.
            Err(DurableError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads an object.
    ///
    /// # Errors
    /// [`DurableError::NotFound`] when there is none of that name; others when the store fails.
    pub fn get(&self, name: &str) -> Result<Vec<u8>, DurableError> {
        self.store.get(&self.name(name)?)
    }

    /// Whether there is an object of that name.
    ///
    /// # Errors
    /// When the store fails.
    pub fn exists(&self, name: &str) -> Result<bool, DurableError> {
        self.store.exists(&self.name(name)?)
    }

    /// Names that begin with `prefix` (any text), in ascending order.
    ///
    /// # Errors
    /// When the store fails.
    pub fn list(&self, prefix: &str) -> Result<Vec<String>, DurableError> {
        let whole = format!("{}{prefix}", self.prefix);
        let dir = whole.rsplit_once('/').map_or("", |(dir, _)| dir);
        if !dir.is_empty() {
            check(dir)?;
        }
        let names = self.store.list(dir)?.into_iter();
        let names = names.filter(|name| name.starts_with(&whole));
        let mut names: Vec<_> =
            names.filter_map(|name| name.strip_prefix(&self.prefix).map(str::to_owned)).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Removes an object; a missing one is no error.
    ///
    /// # Errors
    /// When the store fails.
    pub fn remove(&self, name: &str) -> Result<(), DurableError> {
        self.store.remove(&self.name(name)?)
    }

    /// The URL by which another process opens the same objects.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("")
    }

    /// The URL of an object, for messages.
    #[must_use]
    pub fn url_of(&self, name: &str) -> String {
        let below = format!("{}{name}", self.prefix);
        url_of(self.store.url(), below.trim_end_matches('/'))
    }

    /// Returns the full name in the store.
    fn name(&self, name: &str) -> Result<String, DurableError> {
        check(name)?;
        Ok(format!("{}{name}", self.prefix))
    }
}

impl fmt::Display for Durable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url())
    }
}

impl fmt::Debug for Durable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Durable({self})")
    }
}

/// Whether the bytes equal the concatenated parts.
fn is(bytes: &[u8], parts: &[&[u8]]) -> bool {
    let rest = parts.iter().try_fold(bytes, |rest, part| rest.strip_prefix(*part));
    rest.is_some_and(<[u8]>::is_empty)
}

fn url_of(base: &str, name: &str) -> String {
    match (base.trim_end_matches('/'), name) {
        (_, "") => base.to_owned(),
        (base, name) => format!("{base}/{name}"),
    }
}

/// Checks a name. Names come from other processes too: none may lead out of the store or to another file.
fn check(name: &str) -> Result<(), DurableError> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.=".contains(c);
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(fine);
    match name.split('/').all(part) {
        true => Ok(()),
        false => Err(DurableError::Name { name: name.to_owned() }),
    }
}

/// The store of a URL.
#[derive(Debug)]
enum Target {
    Dir(PathBuf),
    Remote(url::Url),
}

impl Target {
    fn of(text: &str) -> Result<Self, DurableError> {
        let wrong = |why: String, help| DurableError::Url { url: text.to_owned(), why, help };
        if !text.contains("://") {
            let text = text.strip_prefix("file:").unwrap_or(text);
            return match text {
                "" => Err(wrong("it is empty".to_owned(), "name a directory or a URL")),
                path => Ok(Self::Dir(Path::new(path).to_owned())),
            };
        }
        let url = url::Url::parse(text)
            .map_err(|error| wrong(error.to_string(), "write it like s3://bucket/path"))?;
        match url.scheme() {
            // As in URLs of sources and sinks, the rest is the path, verbatim.
            "file" => match text.split_once("://") {
                Some((_, path)) if path.starts_with('/') => Ok(Self::Dir(path.into())),
                _ => Err(wrong(
                    "the part after file:// is a host, and files of other hosts are unreachable"
                        .to_owned(),
                    "write a path that begins with a slash, like file:///var/lib/job, or a plain path",
                )),
            },
            "s3" | "s3a" | "gs" | "az" | "azure" | "adl" | "abfs" | "abfss" | "https" => {
                Ok(Self::Remote(url))
            }
            "http" => Err(wrong(
                "a plain web server cannot create an object only if it is absent".to_owned(),
                "use s3:// for a store with that interface, with AWS_ENDPOINT and AWS_ALLOW_HTTP=true",
            )),
            other => Err(wrong(
                format!("no store is known by `{other}://`"),
                "use a path, file://, s3://, gs://, az:// or https:// (of S3 or Azure)",
            )),
        }
    }
}
