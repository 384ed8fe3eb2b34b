//! Compressed files are recognised by content, as by `zcat`, `zstdcat` and `file`; names of any bytes; and
//! limits of a process.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::job::{Ended, Job, binary, shell};
use crate::published::Published;

/// A shell script: `$GREP` prints all lines, `$FILES` writes them to files.
fn script(dir: &Path, script: &str) -> Job {
    let mut bash = Command::new("bash");
    bash.env("LC_ALL", "C.UTF-8");
    let job = format!("{} --pattern= --sink", binary("grep").display());
    bash.env("GREP", format!("{job} matches=stdout: --source"));
    bash.env("FILES", format!("{job} matches=text+file://out --source"));
    Job::of(bash).args(["-euc", script]).current_dir(dir)
}

fn grep(dir: &Path, source: &str) -> Ended {
    script(dir, &format!("$GREP lines='{source}'")).run()
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

#[test]
fn content_decides_as_it_does_for_zcat_and_zstdcat() {
    let dir = tempfile::tempdir().expect("a directory");
    let make = r"
        seq 1 4000 > text
        gzip -c text > text.gz; zstd -qc text > text.zst
        cat text.gz text.gz > members.gz; cat text.zst text.zst > frames.zst
        cp text.gz gzip_by_content.log; cp text.zst zstd_by_content.txt; cp text.gz really_gzip.zst
        cat text.gz /dev/zero | head -c 20000 > padded.gz
        { printf '\120\052\115\030\005\000\000\000hello'; cat text.zst; } > skippable.zst
    ";
    shell(dir.path(), make);
    for (file, cat) in [
        ("text.gz", "zcat"),
        ("text.zst", "zstdcat"),
        ("members.gz", "zcat"),
        ("frames.zst", "zstdcat"),
        ("gzip_by_content.log", "zcat <"),
        ("zstd_by_content.txt", "zstdcat"),
        ("really_gzip.zst", "zcat <"),
        ("padded.gz", "zcat"),
        ("skippable.zst", "zstdcat"),
    ] {
        let expected = shell(dir.path(), &format!("{cat} {file}"));
        for options in ["", "?batch_records=300"] {
            let done = grep(dir.path(), &format!("{file}{options}")).code(0);
            assert_eq!(done.out, lines(&expected), "{file}{options}: {}", done.said());
            assert!(!done.said().contains("warning"), "{}", done.said());
        }
    }
    // On workers, which read plain files themselves.
    let expected = shell(dir.path(), "zcat padded.gz");
    let done = script(dir.path(), "$GREP lines=padded.gz --workers 2").run().code(0);
    assert_eq!(done.out, lines(&expected));
}

#[test]
fn what_is_not_compressed_is_read_as_it_is_with_a_warning() {
    let dir = tempfile::tempdir().expect("a directory");
    shell(dir.path(), "seq 1 50 > plain.gz; seq 51 60 > other.zst; : > zero.gz");
    for workers in ["0", "2"] {
        let run = format!("$GREP lines='[po]*' --workers {workers}");
        let done = script(dir.path(), &run).run().code(0);
        let mut out: Vec<u32> =
            done.out.iter().map(|line| line.parse().expect("a number")).collect();
        out.sort_unstable();
        assert_eq!(out, (1..=60).collect::<Vec<_>>(), "{}", done.said());
        let warnings = done.err.iter().filter(|line| line.contains("is not compressed")).count();
        assert_eq!(warnings, 1, "once: {}", done.said());
    }
    let done = grep(dir.path(), "zero.gz").code(0).says(&["zero.gz: is empty"]);
    assert!(done.out.is_empty());
}

#[test]
fn other_data_after_compressed_data_is_an_error_after_all_that_is_good() {
    let dir = tempfile::tempdir().expect("a directory");
    shell(dir.path(), "seq 1 900 > text; gzip -c text > a.gz; zstd -qc text > b.zst");
    for (file, rest, says) in [
        ("a.gz", "printf trailing", "has other data after its compressed data, from byte"),
        ("b.zst", "printf trailing", "has other data after its compressed data, from byte"),
        ("a.gz", r"printf '\0\0x'", "has other data after its compressed data, from byte"),
        ("a.gz", r"printf '\037\213\010'", "is truncated near byte"),
    ] {
        let size = fs::metadata(dir.path().join(file)).expect("it is there").len();
        shell(dir.path(), &format!("{{ cat {file}; {rest}; }} > with.more"));
        let done = grep(dir.path(), "with.more?batch_records=100").code(1);
        assert_eq!(done.out, lines(&shell(dir.path(), "cat text")), "{}", done.said());
        let done = done.says(&["with.more", says]);
        if says.contains("other data") {
            let from = size + if rest.contains(r"\0\0x") { 2 } else { 0 };
            done.says(&[&format!("from byte {from} on"), &format!("truncate -s {from}")]);
        }
    }
}

#[test]
fn names_of_any_bytes_are_read_and_shown() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |bytes: &[u8]| dir.path().join(OsStr::from_bytes(bytes));
    fs::create_dir(path(b"in\xff")).expect("there is room");
    for (name, text) in [
        (&b"in\xff/caf\xe9.log"[..], "one\n\u{fffd}"),
        (b"in\xff/\xc3\xa9.log", "two\n"),
        (b"in\xff/100%E9.log", "three\n"),
    ] {
        let text = text.replace('\u{fffd}', "");
        fs::write(path(name), text).expect("there is room");
    }
    fs::write(path(b"in\xff/caf\xe9.bad"), b"\xfe\n").expect("there is room");
    for (url, expected) in [
        (r"$'in\xff'", &["one", "two", "three"][..]),
        (r"$'in\xff/*.log'", &["one", "two", "three"]),
        (r"'*/*.log'", &["one", "two", "three"]),
        (r"$'in\xff/caf\xe9.log?batch_records=1'", &["one"]),
        (r"'file:in%FF/caf%E9.log'", &["one"]),
        (r"$'in\xff/?.log'", &["two"]),
    ] {
        for workers in [0, 2] {
            let done = script(dir.path(), &format!("$GREP lines={url} --workers {workers}")).run();
            let mut out = done.code(0);
            out.out.sort_unstable();
            let mut expected = expected.to_vec();
            expected.sort_unstable();
            assert_eq!(out.out, expected, "{url}: {}", out.said());
        }
    }
    // Dead letters, manifests and errors.
    let run = r"$FILES lines=$'in\xff'";
    script(dir.path(), run).run().code(0).says(&["in%FF/caf%E9.bad:0"]);
    let published = Published::read(&path(b"out"));
    assert_eq!(published.lines().len(), 3);
    let manifest = fs::read(path(b"out/1000/_manifest.json")).expect("a manifest");
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    let text = manifest.to_string();
    for name in ["in%FF/caf%E9.log", "in%FF/é.log", "in%FF/100%25E9.log"] {
        assert!(text.contains(name), "{text}");
    }
    script(dir.path(), r"$GREP lines=$'\xff.gone'").run().code(1).says(&["%FF.gone"]);
}

#[test]
fn many_files_are_read_with_few_descriptors() {
    let dir = tempfile::tempdir().expect("a directory");
    let make = "mkdir in; for i in $(seq 500); do echo line $i > in/$i; done; for i in $(seq 501 700); do \
                echo line $i | gzip > in/$i.gz; done";
    shell(dir.path(), make);
    let expected: Vec<String> = (1..=700).map(|i| format!("line {i}")).collect();
    let check = |done: Ended| {
        let mut out = done.out.clone();
        out.sort_by_key(|line| line[5..].parse::<u32>().expect("a number"));
        assert!(out == expected, "{}", done.said());
    };
    let run = "ulimit -n 64; $GREP lines=in --cores 4";
    check(script(dir.path(), run).run().code(0));
    let run = "ulimit -n 64; exec $GREP 'lines=in?follow' --interval 50ms --log json";
    let mut job = script(dir.path(), run).start();
    job.wait("all lines", |job| job.out.len() >= 700);
    job.signal(rustix::process::Signal::TERM);
    check(job.end().code(0));
}

#[test]
fn a_file_that_may_grow_no_more_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    shell(dir.path(), "seq 1 100000 > text");
    let run = "ulimit -f 64; $FILES lines=text";
    let done = script(dir.path(), run).run().code(1);
    done.says(&["out", "File too large", "ulimit -f"]);
    let run = "ulimit -f 64; $GREP lines=text > published";
    script(dir.path(), run).run().code(1).says(&["standard output", "File too large", "ulimit -f"]);
}

#[test]
fn a_closed_standard_output_loses_nothing_in_silence() {
    let dir = tempfile::tempdir().expect("a directory");
    shell(dir.path(), "seq 1 10 > text");
    let closed = &["standard output", "it was closed when the job started", "/dev/null"];
    script(dir.path(), "$GREP lines=text >&-").run().code(1).says(closed);
    script(dir.path(), "${GREP%% *} plan >&-").run().code(1).says(closed);
    let run = "$FILES lines=text --summary json >&-";
    script(dir.path(), run).run().code(1).says(closed);
    assert!(!dir.path().join("out/1000").exists(), "nothing was run");
    // Standard output is not used, or the user wants none.
    script(dir.path(), "$FILES lines=text >&-").run().code(0);
    for null in ["> /dev/null", "1<> /dev/null"] {
        script(dir.path(), &format!("$GREP lines=text {null}")).run().code(0);
    }
    for answer in ["--help", "--version", "plan", "status --help"] {
        let full = format!("${{GREP%% *}} {answer} > /dev/full");
        let full = script(dir.path(), &full).run().code(1);
        full.says(&["cannot write to standard output", "No space left"]);
    }
    let send = script(dir.path(), "${GREP%% *} send --stream lines <&-").run().code(2);
    send.says(&["standard input cannot be read", "it was closed"]);
    script(dir.path(), "$GREP lines=- <&-").run().code(1).says(&["/dev/stdin", "it was closed"]);
}
