//! A store in the memory of this process: its objects outlive masters and workers here, and no process.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{DurableError, Put, Store};

/// Objects by name.
#[derive(Default)]
pub(super) struct VolatileStore(Mutex<BTreeMap<String, Vec<u8>>>);

impl VolatileStore {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        // Code under this lock does not panic; if it did, the map would still be valid.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for VolatileStore {
    fn put(&self, name: &str, parts: &[&[u8]]) -> Result<Put, DurableError> {
        let mut objects = self.objects();
        if objects.contains_key(name) {
            return Ok(Put::Exists);
        }
        objects.insert(name.to_owned(), parts.concat());
        Ok(Put::Created)
    }

    fn get(&self, name: &str) -> Result<Vec<u8>, DurableError> {
        let found = self.objects().get(name).cloned();
        found.ok_or_else(|| DurableError::NotFound { object: name.to_owned() })
    }

    fn exists(&self, name: &str) -> Result<bool, DurableError> {
        Ok(self.objects().contains_key(name))
    }

    fn list(&self, dir: &str) -> Result<Vec<String>, DurableError> {
        let below = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let objects = self.objects();
        let names = objects.keys().filter(|name| name.starts_with(&below));
        Ok(names.cloned().collect())
    }

    fn remove(&self, name: &str) -> Result<(), DurableError> {
        self.objects().remove(name);
        Ok(())
    }

    fn make(&self, _: &str) -> Result<(), DurableError> {
        Ok(())
    }

    fn url(&self) -> &'static str {
        "memory"
    }
}
