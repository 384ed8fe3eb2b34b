//! Wrong usage: exit code 2, the mistake, and the alternatives.

use crate::job::Job;

#[test]
fn mistakes_say_what_would_be_right() {
    let cases: [(&[&str], &[&str]); 14] = [
        (&["--source", "line=x"], &["there is no source `line`", "there are: lines"]),
        (&["--sink", "counts=none:"], &["there is no sink `counts`", "matches", "lines.dead"]),
        (&["--source", "lines"], &["write --source NAME=URL"]),
        (&["--source", "lines=a", "--source", "lines=b"], &["given twice"]),
        (&["--source", "lines=kafka://broker/topic"], &["unknown scheme `kafka`", "tcp"]),
        (&["--source", "lines=tcp://somewhere"], &["expected `tcp://HOST:PORT`"]),
        (&["--source", "lines=x?batsh=1"], &["did you mean `batch`?"]),
        (&["--sink", "matches=cvs+file://out"], &["did you mean `csv+file://DIR`?"]),
        (&["--interval", "5 parsecs"], &["--interval", "500ms"]),
        (&["--interval", "0s"], &["at least 1ms"]),
        (&["--partitions", "0"], &["--partitions", "from 1 to 4096"]),
        (&["--patern", "x"], &["--patern", "--pattern"]),
        (&["plan", "--svg", "--dot"], &["cannot be used with"]),
        (&["savepoint", ""], &["a value is required", "NAME"]),
    ];
    for (arguments, texts) in cases {
        let done = Job::example("grep").args(arguments).run().code(2).says(texts);
        assert!(done.out.is_empty(), "{}", done.said());
    }
}

#[test]
fn windows_keep_their_interval() {
    let done = Job::example("word_count").args(["--interval", "2s"]).run().code(2);
    done.says(&["--interval", "`windowed`", "1000 ms"]);
}

#[test]
fn help_names_streams_and_parameters() {
    let done = Job::example("grep").args(["--help"]).run().code(0);
    let help = done.out.join("\n");
    for text in ["--pattern", "What a line must contain", "source lines", "sink   matches"] {
        assert!(help.contains(text), "{text}: {help}");
    }
}
