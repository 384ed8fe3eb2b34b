//! The manifest of a published batch: what it holds and what it was made from.
//!
//! Two manifests agree when readers would see the same records: same parts, same content. What they
//! were made from is told, and decides nothing but what is said of two that do not agree.

use serde::{Deserialize, Serialize};

use super::{Batch, Origin};

/// The name of the manifest in the directory of its batch.
pub(super) const FILE: &str = "_manifest.json";
const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    version: u32,
    /// The job and its output; those of older versions did not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    job: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    /// Fingerprint of the plan, in hexadecimal.
    plan: String,
    /// The end of the batch's interval, in milliseconds.
    batch: u64,
    records: u64,
    parts: Vec<PartRow>,
    inputs: Vec<InputRow>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PartRow {
    pub(super) name: String,
    pub(super) records: u64,
    pub(super) bytes: u64,
    /// xxh3 of the file, in hexadecimal.
    pub(super) xxh3: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct InputRow {
    source: String,
    split: String,
    start: u64,
    end: u64,
}

/// A checksum or fingerprint as manifests show it.
pub(super) fn hex(hash: u64) -> String {
    format!("{hash:016x}")
}

impl Manifest {
    pub(super) fn new(batch: &Batch, parts: Vec<PartRow>) -> Self {
        let row = |(source, range): &(String, crate::source::Range)| InputRow {
            source: source.clone(),
            split: range.split.to_string(),
            start: range.start,
            end: range.end,
        };
        Self {
            version: VERSION,
            job: None,
            output: None,
            plan: hex(batch.plan),
            batch: batch.time.0,
            records: parts.iter().map(|part| part.records).sum(),
            parts,
            inputs: batch.inputs.iter().map(row).collect(),
        }
    }

    /// The same, as that of an output of a job.
    pub(super) fn of(self, job: &str, output: &str) -> Self {
        let named = |name: &str| Some(name.to_owned()).filter(|name| !name.is_empty());
        Self { job: named(job), output: named(output), ..self }
    }

    pub(super) fn job(&self) -> Option<&str> {
        self.job.as_deref()
    }

    pub(super) fn output(&self) -> Option<&str> {
        self.output.as_deref()
    }

    /// The end of the batch's interval, in milliseconds.
    pub(super) fn batch(&self) -> u64 {
        self.batch
    }

    pub(super) fn parts(&self) -> &[PartRow] {
        &self.parts
    }

    /// One line of JSON.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).expect("invariant: strings and numbers are JSON");
        bytes.push(b'\n');
        bytes
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if manifest.version != VERSION {
            return Err(format!("it has version {}, not {VERSION}", manifest.version));
        }
        Ok(manifest)
    }

    /// What `there` was made from, beside this one.
    pub(super) fn origin(&self, there: &Self) -> Origin {
        let sorted = |manifest: &Self| {
            let mut rows = manifest.inputs.clone();
            rows.sort_unstable();
            rows
        };
        match (self.plan == there.plan, sorted(self) == sorted(there)) {
            (false, _) => Origin::OtherProgram,
            (true, false) => Origin::OtherInput,
            (true, true) => Origin::Same,
        }
    }

    /// How the content of `there` differs from this one, if it does.
    pub(super) fn differs(&self, there: &Self) -> Option<String> {
        for part in &self.parts {
            let Some(old) = there.parts.iter().find(|old| old.name == part.name) else {
                return Some(format!("{} was not there", part.name));
            };
            if old.records != part.records {
                let (old, new) = (old.records, part.records);
                return Some(format!("{} had {old} records and now has {new}", part.name));
            }
            if old != part {
                return Some(format!("{} had other records", part.name));
            }
        }
        let gone = |old: &&PartRow| self.parts.iter().all(|part| part.name != old.name);
        there.parts.iter().find(gone).map(|old| format!("{} is missing now", old.name))
    }
}
