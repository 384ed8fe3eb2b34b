//! Headers without a needed column: one error, or one refusal, that names it.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::process::Signal;
use serde_json::Value;

use super::{PATIENCE, address, dir_with, echo, post};

#[test]
fn of_a_file_they_are_one_error_at_once() {
    for (text, why) in [
        ("name,nn\na,1\nb,2\n", "has no column `n` (did you mean `nn`?); it has `name`, `nn`"),
        ("x\ry\rz", "tr '\\r' '\\n'"),
        ("name,note,n\ra,b,1\rc,d,2\r", "tr '\\r' '\\n'"),
        ("\"name,n\na,1\n", "has a quoted field that is still open"),
        ("\n\n", "has no columns `name`, `n`; it has none"),
    ] {
        for options in ["", "?batch_records=1"] {
            let dir = dir_with(&[("bad.csv", text)]);
            let path = dir.path().join("bad.csv");
            let done = echo("csv", &format!("{}{options}", path.display())).run().code(1);
            let errors: Vec<&String> =
                done.err.iter().filter(|line| line.contains("\"error\"")).collect();
            assert_eq!(errors.len(), 1, "{}", done.said());
            let message: Value = serde_json::from_str(errors[0]).expect("JSON");
            let message = message["message"].as_str().expect("a text");
            assert!(message.contains(why) && message.contains("bad.csv"), "{message}");
            assert!(done.out.is_empty(), "{}", done.said());
        }
    }
}

#[test]
fn of_a_later_file_they_name_it_and_what_came_before_is_there() {
    let dir = dir_with(&[
        ("1.csv", "name,n\na,1\n"),
        ("2.csv", "nam,n\nb,2\n"),
        ("3.csv", "name,n\nc,3\n"),
    ]);
    let done = echo("csv", &dir.path().display().to_string()).run().code(1);
    let done = done.says(&["2.csv", "no column `name` (did you mean `nam`?)"]);
    assert_eq!(done.out.iter().filter(|line| line.contains("\"a\"")).count(), 1, "{}", done.said());
}

#[test]
fn a_connection_is_closed_and_the_job_goes_on() {
    let mut job = echo("csv", "tcp://127.0.0.1:0").start();
    let address = address(&mut job);
    let mut bad = TcpStream::connect(address).expect("it listens");
    bad.write_all(b"nome,n\na,1\n").expect("it receives");
    bad.set_read_timeout(Some(PATIENCE)).expect("it is a socket");
    let mut said = String::new();
    // Bytes unread at the close may reset the connection.
    let _ = bad.read_to_string(&mut said);
    assert!(said.is_empty() || said.contains("no column `name` (did you mean `nome`?)"), "{said}");
    job.wait("a dead letter", |job| job.out.iter().any(|line| line.contains("\"reason\"")));
    let mut good = TcpStream::connect(address).expect("it listens");
    good.write_all(b"n,name\n1,a\n").expect("it receives");
    job.wait("a record", |job| job.out.len() == 2);
    job.signal(Signal::TERM);
    let done = job.end().code(0);
    assert!(done.out[0].contains("did you mean `nome`?"), "{}", done.said());
    assert!(done.out[0].contains("the connection is closed"), "{}", done.said());
}

#[test]
fn a_request_is_refused_and_the_job_goes_on() {
    let mut job = echo("csv", "http://127.0.0.1:0/in").start();
    let address = address(&mut job);
    let (status, body) = post(address, b"nome,n\na,1\n");
    assert!(status.contains(" 400 "), "{status}");
    assert!(body.contains("no column `name` (did you mean `nome`?)"), "{body}");
    assert!(post(address, b"n,name\n1,a\n").0.contains(" 200 "));
    job.wait("a record", |job| job.out.len() == 1);
    job.signal(Signal::TERM);
    job.end().code(0);
}
