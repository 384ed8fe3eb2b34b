//! Tests: texts in files, some of which are compressed.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

/// Texts, and the end of the name of the file that each is in.
pub(super) type Texts = Vec<(String, &'static str)>;

/// Up to five texts of fewer than `lines` lines; the last line may lack its end.
pub(super) fn texts(lines: usize) -> impl Strategy<Value = Texts> {
    let text = proptest::collection::vec("[a-z]{0,40}", 0..lines)
        .prop_flat_map(|lines| (Just(lines.join("\n")), any::<bool>()))
        .prop_map(|(text, ends)| if ends { text + "\n" } else { text });
    let file = (text, prop_oneof![Just(""), Just(".gz"), Just(".zst")]);
    proptest::collection::vec(file, 1..6)
}

/// Up to three texts of up to four short lines, some of which are empty or have two columns.
pub(super) fn short_texts() -> impl Strategy<Value = Texts> {
    let file = ("([a,]{0,3}\n){0,3}[a,]{0,3}", prop_oneof![Just(""), Just(".gz"), Just(".zst")]);
    proptest::collection::vec(file, 1..4)
}

/// Writes texts into files that are called by their numbers, each with a time of its own: a followed file of the
/// same content and the same time as another one may be its copy, and waits.
pub(super) fn write(dir: &Path, texts: &[(String, &str)]) {
    for (i, (text, suffix)) in texts.iter().enumerate() {
        let bytes = match *suffix {
            ".gz" => gzip(text.as_bytes()),
            ".zst" => zstd::encode_all(text.as_bytes(), 1).unwrap(),
            _ => text.as_bytes().to_vec(),
        };
        let mut file = fs::File::create(dir.join(format!("{i}{suffix}"))).unwrap();
        file.write_all(&bytes).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(i as u64)).unwrap();
    }
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
