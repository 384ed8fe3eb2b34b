//! Our CSV output is read back by our CSV input, and by Python.

use std::fs;

use serde_json::Value;

use super::{Got, check, echo, inputs, reference, told};
use crate::job::Job;

#[test]
fn csv_is_read_back_by_us_and_by_python() {
    let inputs = inputs("json");
    let right = inputs.right(|_, _| true);
    let good = Got { dead: 0, ..right };
    // As options of URLs, and of Python.
    let dialects: [(&str, &[&str]); 4] = [
        ("", &[]),
        ("delimiter=tab&null=NA", &["delimiter=\t"]),
        ("delimiter=%3B&quote='", &["delimiter=;", "quotechar='"]),
        ("delimiter=pipe&null=", &["delimiter=|"]),
    ];
    for (n, (dialect, python)) in dialects.into_iter().enumerate() {
        let out = inputs.dir.path().join(format!("out{n}"));
        let job = Job::example("echo").source("values", inputs.path("json").display());
        let url = format!("csv+file://{}?fsync=false&{dialect}", out.display());
        job.sink("json", url).run().code(0);

        let parts = inputs.dir.path().join(format!("parts{n}"));
        fs::create_dir(&parts).expect("there is room");
        for batch in fs::read_dir(&out).expect("it is there") {
            let batch = batch.expect("it can be listed").path();
            for part in fs::read_dir(&batch).expect("a batch is a directory") {
                let part = part.expect("it can be listed").path();
                if part.extension().is_some_and(|extension| extension == "csv") {
                    let name = format!("{}-{}", batch.display(), part.display()).replace('/', "-");
                    fs::copy(&part, parts.join(name)).expect("there is room");
                }
            }
        }
        let path = parts.display().to_string();
        let args = [&["read", "csv", &path], python].concat();
        let mut read = Got::default();
        for line in reference(&args).lines() {
            let file: Value = serde_json::from_str(line).expect("JSON");
            assert_eq!(file["dead"], 0, "{dialect}: {}", file["file"]);
            read.records.extend(file["records"].as_array().expect("a list").iter().map(told));
        }
        let mut read = read.sorted();
        if dialect.contains("NA") {
            // Python does not know the text for nothing.
            let shown = |text: &String| text.replacen(" \"NA\" ", " \"\" ", 1);
            let both = |all: &Got| {
                let records = all.records.iter().map(shown).collect();
                Got { records, dead: 0 }.sorted()
            };
            assert!(both(&read) == both(&good), "{dialect}: Python");
            read = good.clone();
        }
        assert!(read == good, "{dialect}: Python");
        for options in ["", "&split=20&batch=500"] {
            let done = echo("csv", &format!("{path}?{dialect}{options}")).run().code(0);
            check(&done, &good, &format!("{dialect}{options}"));
        }
    }
}
