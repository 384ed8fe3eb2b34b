//! A store in memory for tests, shared by several masters, with faults at chosen steps.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Durable, DurableError, Put, Store};

/// A fault of a changing operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Not done, and an error is returned.
    Refused,
    /// Done, but an error is returned.
    Unsaid,
    /// Done, but never synced.
    Unsynced,
    /// The process dies before it; no later operation happens.
    DiesBefore,
    /// The process dies after it.
    DiesBehind,
}

/// The durable content, shared by all processes.
#[derive(Default)]
pub(super) struct Objects(Mutex<BTreeMap<String, Vec<u8>>>);

impl Objects {
    pub(super) fn all(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn names(&self, prefix: &str) -> Vec<String> {
        self.all().keys().filter(|name| name.starts_with(prefix)).cloned().collect()
    }

    /// A process's view with faults: `fault` is asked before each changing step, with the step's number from
    /// 0 and the object's name.
    pub(super) fn with(
        self: &Arc<Self>,
        faults: impl FnMut(u64, &str) -> Option<Fault> + Send + 'static,
    ) -> Durable {
        let process = Process { faults: Box::new(faults), steps: 0, dead: false };
        Durable::of(Arc::new(MemoryStore {
            objects: Arc::clone(self),
            process: Mutex::new(process),
        }))
    }

    /// A process's view without faults.
    pub(super) fn sound(self: &Arc<Self>) -> Durable {
        self.with(|_, _| None)
    }
}

type Faults = Box<dyn FnMut(u64, &str) -> Option<Fault> + Send>;

struct Process {
    faults: Faults,
    steps: u64,
    dead: bool,
}

struct MemoryStore {
    objects: Arc<Objects>,
    process: Mutex<Process>,
}

fn failed<T>(name: &str) -> Result<T, DurableError> {
    let error = Arc::new(io::Error::other("a fault of the test"));
    Err(DurableError::Failed { object: name.to_owned(), doing: "go on", error })
}

impl MemoryStore {
    fn alive(&self, name: &str) -> Result<(), DurableError> {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        if process.dead { failed(name) } else { Ok(()) }
    }

    fn change<T>(&self, name: &str, change: impl FnOnce() -> T) -> Result<T, DurableError> {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        if process.dead {
            return failed(name);
        }
        let step = process.steps;
        process.steps += 1;
        let fault = (process.faults)(step, name);
        process.dead = matches!(fault, Some(Fault::DiesBefore | Fault::DiesBehind));
        drop(process);
        match fault {
            None => Ok(change()),
            Some(Fault::Refused | Fault::DiesBefore) => failed(name),
            Some(Fault::Unsynced) => {
                change();
                let (object, why) = (name.to_owned(), "a fault of the test".to_owned());
                Err(DurableError::Unsynced { object, why })
            }
            Some(Fault::Unsaid | Fault::DiesBehind) => {
                change();
                failed(name)
            }
        }
    }
}

impl Store for MemoryStore {
    fn put(&self, name: &str, parts: &[&[u8]]) -> Result<Put, DurableError> {
        self.change(name, || {
            let mut objects = self.objects.all();
            match objects.contains_key(name) {
                true => Put::Exists,
                false => {
                    objects.insert(name.to_owned(), parts.concat());
                    Put::Created
                }
            }
        })
    }

    fn get(&self, name: &str) -> Result<Vec<u8>, DurableError> {
        self.alive(name)?;
        let found = self.objects.all().get(name).cloned();
        found.ok_or_else(|| DurableError::NotFound { object: name.to_owned() })
    }

    fn exists(&self, name: &str) -> Result<bool, DurableError> {
        self.alive(name)?;
        Ok(self.objects.all().contains_key(name))
    }

    fn list(&self, dir: &str) -> Result<Vec<String>, DurableError> {
        self.alive(dir)?;
        let below = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        Ok(self.objects.names(&below))
    }

    fn remove(&self, name: &str) -> Result<(), DurableError> {
        self.change(name, || drop(self.objects.all().remove(name)))
    }

    fn make(&self, dir: &str) -> Result<(), DurableError> {
        self.alive(dir)
    }

    fn url(&self) -> &str {
        "memory://"
    }
}
