//! Fuzz target: the URLs of outputs, and the manifests of batches that are there already.

use super::manifest::Manifest;
use super::{Batch, Sinks};
use crate::fuzzing::{Target, chosen, texts};
use crate::time::BatchTime;

pub(crate) const TARGETS: &[Target] = &[Target::new("outputs", outputs, seeds)];

fn outputs(bytes: &[u8]) {
    match bytes.split_first() {
        Some((0, text)) => {
            if let Ok(text) = std::str::from_utf8(text) {
                read_url(text);
            }
        }
        Some((1, manifest)) => {
            if let Ok(manifest) = Manifest::read(manifest) {
                let again = Manifest::read(&manifest.to_bytes()).expect("it was written");
                assert_eq!(again.to_bytes(), manifest.to_bytes());
            }
        }
        _ => {}
    }
}

fn read_url(text: &str) {
    if let Err(error) = Sinks::built_in().read(text) {
        assert!(error.to_string().contains(text));
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let urls = texts(&[
        "csv+file://out/x?header=true&fsync=false",
        "json+file:///srv/x",
        "text+file://x?fsync=false",
        "csv+stdout:?header",
        "none:",
        "stdout:",
        "file://out",
    ]);
    let batch = Batch { time: BatchTime(1000), parts: Vec::new(), inputs: [].into(), plan: 0xabcd };
    let empty = Manifest::new(&batch, Vec::new()).to_bytes();
    let full = br#"{"version":1,"plan":"00ff","batch":2000,"records":3,
        "parts":[{"name":"part-00000.csv","records":3,"bytes":12,"xxh3":"0123456789abcdef"}],
        "inputs":[{"source":"lines","split":"a.csv","start":0,"end":12}]}"#;
    chosen(0, urls).chain(chosen(1, vec![empty, full.to_vec()])).collect()
}
