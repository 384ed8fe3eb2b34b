//! What becomes of files while nothing reads them.

use super::follow::append;
use super::*;
use crate::source::Position;

/// Cuts once, of which it gives the lines and the position.
fn cut(source: &mut dyn Source) -> (String, Position) {
    let cut = source.cut(3).unwrap();
    (String::from_utf8(read(&cut).unwrap().concat()).unwrap(), cut.position.unwrap())
}

/// All that a source gives from there on: to its end, or to the first cut that brings nothing.
fn on(path: &Path, options: &str, position: &Position) -> Result<String, SourceError> {
    let mut source = source(path, options);
    source.resume(position)?;
    let mut all = String::new();
    loop {
        let cut = source.cut(3)?;
        all += &String::from_utf8(read(&cut)?.concat()).unwrap();
        if cut.ended || cut.inputs.is_empty() {
            return Ok(all);
        }
    }
}

fn fails(path: &Path, options: &str, position: &Position) -> String {
    on(path, options, position).unwrap_err().to_string()
}

#[test]
fn files_that_come_while_nothing_reads() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in ["b", "d", "f"] {
        fs::write(at(name), format!("{name}1\n{name}2\n")).unwrap();
    }
    let options = "batch_records=3";
    let (first, position) = cut(&mut *source(dir.path(), options));
    assert_eq!(first, "b1\nb2\nd1\n");
    // Before the file that is read, and behind it.
    for name in ["a", "c", "e", "g"] {
        fs::write(at(name), format!("{name}\n")).unwrap();
    }
    assert_eq!(on(dir.path(), options, &position).unwrap(), "d2\ne\nf1\nf2\ng\n");
    // Files that were cut may go.
    fs::remove_file(at("b")).unwrap();
    assert_eq!(on(dir.path(), options, &position).unwrap(), "d2\ne\nf1\nf2\ng\n");
    for name in ["e", "g"] {
        fs::remove_file(at(name)).unwrap();
    }
    fs::rename(at("f"), at("h")).unwrap();
    let error = fails(dir.path(), options, &position);
    assert!(error.contains("of 1 files that were to be read after `") && error.contains("/d`"));
    fs::rename(at("h"), at("f")).unwrap();
    fs::remove_file(at("d")).unwrap();
    let error = fails(dir.path(), options, &position);
    assert!(error.contains("/d: is gone, and it had not been read to its end"), "{error}");
}

#[test]
fn a_file_that_is_not_what_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    let options = "batch_records=2";
    fs::write(&file, "11\n22\n33\n44\n").unwrap();
    let (_, position) = cut(&mut *source(&file, options));
    fs::write(&file, "11\n22\n33\n44\n55\n66").unwrap();
    assert_eq!(on(&file, options, &position).unwrap(), "33\n44\n");
    fs::write(&file, "11\n22\n33\n").unwrap();
    let error = fails(&file, options, &position);
    assert!(error.contains("/file: shrank while"), "{error}");
    fs::write(&file, "another file\n").unwrap();
    let error = fails(&file, options, &position);
    assert!(error.contains("/file: is not what it was: no line begins at byte 6"), "{error}");
}

#[test]
fn what_cannot_be_read_of_bounded_files_is_given_up_if_that_is_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let options = "batch_records=3";
    let text = numbered(1000);
    // What happens to the file that is being read, and to those behind it; what is read then.
    type Change<'a> = (&'a dyn Fn(), &'a str, u64);
    let changes: [Change<'_>; 4] = [
        (&|| fs::remove_file(at("b")).unwrap(), "c1\nc2\n", 3),
        (&|| fs::write(at("b"), "b\n").unwrap(), "c1\nc2\n", 3),
        (&|| fs::remove_file(at("c")).unwrap(), "b2\n", 0),
        (&|| fs::write(at("c.gz"), &gzip(text.as_bytes())[..900]).unwrap(), "b2\nc1\nc2\n", 0),
    ];
    for (change, expected, lost) in changes {
        for name in ["a", "b", "c"] {
            fs::write(at(name), format!("{name}1\n{name}2\n")).unwrap();
        }
        let (first, position) = cut(&mut *source(dir.path(), options));
        assert_eq!(first, "a1\na2\nb1\n");
        change();
        assert!(on(dir.path(), options, &position).is_err());
        let mut skips = source(dir.path(), options);
        skips.give_up_unread(true);
        skips.resume(&position).unwrap();
        let (mut all, mut news) = (String::new(), skips.news());
        loop {
            let cut = skips.cut(1).unwrap();
            all += &String::from_utf8(read(&cut).unwrap().concat()).unwrap();
            let more = skips.news();
            news.warnings.extend(more.warnings);
            news.lost += more.lost;
            if cut.ended {
                break;
            }
        }
        assert!(all.starts_with(expected), "{all} {expected}");
        assert_eq!((news.warnings.len(), news.lost.min(3)), (1, lost), "{news:?}");
        let _ = fs::remove_file(at("c.gz"));
    }
}

#[test]
fn a_compressed_file_that_is_not_what_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file.gz");
    let (text, options) = (numbered(1000), "batch_records=500");
    fs::write(&file, gzip(text.as_bytes())).unwrap();
    let (first, position) = cut(&mut *source(&file, options));
    let length = first.len();
    assert_eq!(on(&file, options, &position).unwrap(), text[length..]);
    fs::write(&file, gzip(b"short\n")).unwrap();
    assert!(fails(&file, options, &position).contains("/file.gz: shrank while nothing read it"));
    // As long as it was, and with less in it, or with other lines.
    let padded = |text: &str| [gzip(text.as_bytes()), vec![0; 20_000]].concat();
    for other in ["short\n".to_owned(), "x".repeat(length * 2)] {
        fs::write(&file, padded(&other)).unwrap();
        let error = fails(&file, options, &position);
        let moved = format!("no line begins at byte {length} of its decompressed data any more");
        assert!(error.contains(&moved) || error.contains("is damaged"), "{error}");
    }
    // So are ranges of it.
    fs::write(&file, gzip(text.as_bytes())).unwrap();
    let cut = source(&file, options).cut(2).unwrap();
    fs::write(&file, gzip(b"short\n")).unwrap();
    let error = source(&file, options).input(&cut.inputs[0].ranges).err().unwrap().to_string();
    assert!(error.contains("/file.gz: is not what it was"), "{error}");
}

#[test]
fn ranges_past_the_end_of_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    for options in ["", "follow"] {
        fs::write(&file, "11\n22\n").unwrap();
        let cut = source(&file, options).cut(1).unwrap();
        let position = cut.position.clone().unwrap();
        let mut again = source(&file, options);
        again.resume(&position).unwrap();
        assert!(again.input(&cut.inputs[0].ranges).is_ok());
        fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(3).unwrap();
        let error = again.input(&cut.inputs[0].ranges).err().unwrap().to_string();
        assert!(error.contains("/file: shrank: 6 bytes of it had been read, and it has 3"));
        fs::remove_file(&file).unwrap();
        if options == "follow" {
            // It was held open.
            again = source(&file, options);
            again.resume(&position).unwrap();
        }
        let error = again.input(&cut.inputs[0].ranges).err().unwrap().to_string();
        assert!(error.contains("/file: is gone"), "{error}");
    }
}

#[test]
fn a_followed_file_is_rotated_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    append(&at("log"), "1\n2\nhal");
    let mut first = source(dir.path(), "follow");
    let early = first.cut(1).unwrap();
    append(&at("log"), "f\n3\n");
    let late = first.cut(1).unwrap();
    let position = late.position.clone().unwrap();
    drop(first);
    append(&at("log"), "4\n");
    fs::rename(at("log"), at("log.1")).unwrap();
    append(&at("log"), "new\nhalf");
    let mut next = source(dir.path(), "follow");
    next.resume(&position).unwrap();
    // What was cut is read where it is now, and has the name that it had then.
    for (cut, expected) in [(&early, "1\n2\n"), (&late, "half\n3\n")] {
        let input = next.input(&cut.inputs[0].ranges).unwrap();
        let mut lines = Vec::new();
        let split = &cut.inputs[0].ranges[0].split;
        input
            .data
            .read(&mut |piece| {
                assert_eq!(piece.split, &**split);
                lines.extend_from_slice(piece.bytes);
            })
            .unwrap();
        assert_eq!(lines, expected.as_bytes());
        assert!(!input.carried().unwrap().unwrap().1.is_empty());
    }
    let cut = next.cut(1).unwrap();
    assert_eq!(read(&cut).unwrap().concat(), b"new\n4\n");
    // Lines of another file have been taken under this name.
    assert!(cut.inputs[0].ranges[0].split.ends_with("/log#2"));
    // A third process: of one file lines were cut under two names.
    let mut third = source(dir.path(), "follow");
    third.resume(&cut.position.clone().unwrap()).unwrap();
    for ranges in [&early, &late, &cut].map(|cut| &cut.inputs[0].ranges) {
        assert!(third.input(ranges).is_ok(), "{ranges:?}");
    }
    append(&at("log"), "\n");
    assert_eq!(read(&third.cut(1).unwrap()).unwrap().concat(), b"half\n");
}

#[test]
fn a_followed_file_vanishes() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in ["read", "unread"] {
        append(&at(name), "1\n2\n");
    }
    let (lines, position) = cut(&mut *source(dir.path(), "follow&batch_records=3"));
    assert_eq!(lines, "1\n2\n1\n");
    fs::remove_file(at("read")).unwrap();
    append(&at("read"), "new\n");
    assert_eq!(on(dir.path(), "follow", &position).unwrap(), "new\n2\n");
    fs::remove_file(at("unread")).unwrap();
    let options = "follow&settle=0ms";
    assert_eq!(on(dir.path(), options, &position).unwrap(), "new\n");
    let mut gone = source(dir.path(), options);
    gone.resume(&position).unwrap();
    let news = gone.news();
    assert!(news.warnings[0].contains("/unread: is gone: 2 bytes after byte 2"), "{news:?}");
    assert_eq!(news.lost, 2);
    assert!(
        fails(dir.path(), "follow&on_file_error=stop&settle=0ms", &position).contains("is gone")
    );
}

#[test]
fn a_followed_file_that_was_read_vanishes_while_nothing_reads() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in ["stays", "goes"] {
        append(&at(name), "1\n2\n");
    }
    let (lines, position) = cut(&mut *source(dir.path(), "follow"));
    assert_eq!(lines, "1\n2\n1\n2\n");
    append(&at("goes"), "3\n");
    fs::remove_file(at("goes")).unwrap();
    let mut next = source(dir.path(), "follow&settle=0ms");
    next.resume(&position).unwrap();
    let (lines, position) = cut(&mut *next);
    assert_eq!(lines, "");
    let news = next.news();
    assert_eq!((news.warnings.len(), news.lost), (1, 0), "{news:?}");
    let warning = &news.warnings[0];
    let named = warning.starts_with(&dir.path().display().to_string());
    assert!(named && warning.contains("1 file, of which 4 bytes had been read"), "{warning}");
    // It is said once.
    let mut next = source(dir.path(), "follow&settle=0ms");
    next.resume(&position).unwrap();
    cut(&mut *next);
    assert!(next.news().warnings.is_empty());
}

#[test]
fn positions_stay_short_in_large_directories() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..6000 {
        fs::write(dir.path().join(format!("{i:05}")), "1\n2\n").unwrap();
    }
    let (_, whole) = cut(&mut *source(dir.path(), "batch_records=6001"));
    assert!(whole.len() < 120, "{}", whole.len());
    let mut followed = source(dir.path(), "follow&batch_records=11001");
    let backlog = cut(&mut *followed).1.len();
    let done = cut(&mut *followed).1.len();
    assert!(backlog < 6000 * 40 && done < 2100 * 40, "{backlog} {done}");
    let mut next = source(dir.path(), "follow");
    next.resume(&cut(&mut *followed).1).unwrap();
    assert_eq!(cut(&mut *next).0, "");
}
