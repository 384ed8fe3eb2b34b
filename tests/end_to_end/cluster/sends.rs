//! `JOB send` and the client library with streams that take no records: refused at once, with the reason.

use std::fs;

use dstream::client::{Client, ClientError, ClientOptions};

use super::crew::Cluster;
use super::pushed::block_on;

#[test]
fn a_stream_that_takes_nothing_is_refused_at_once() {
    let dir = Cluster::new("grep");
    let file = dir.path("lines.txt");
    fs::write(&file, "a\nb\n").expect("there is room");
    let path = file.to_str().expect("it is UTF-8");
    // Before a master has started, and after it has ended.
    let no_master = ["no master of `grep`", "or the job has ended"];
    dir.ask(&["send", "--stream", "lines", path]).code(1).says(&no_master);
    let job = dir.master(1).source("lines", "generate://words?rate=100").sink("matches", "none:");
    let mut master = job.args(["--pattern", "x"]).start();
    let addr = master.listening();
    let worker = dir.worker("w1", addr).start();
    master.event("batch");
    let takes_nothing = [
        "records of `lines` are refused",
        "`lines` reads generate://words?rate=100 and takes no records from clients",
        "--source lines=tcp://HOST:PORT",
    ];
    dir.ask(&["send", "--stream", "lines", path]).code(1).says(&takes_nothing);
    let near = ["unknown stream `line`; did you mean `lines`?"];
    dir.ask(&["send", "--stream", "line", path]).code(2).says(&near);
    let error = |stream: &'static str| {
        let token = dir.state().join("client.token");
        block_on(async move {
            let client = Client::connect(ClientOptions::new("grep", addr, token)).await?;
            let opened = client.open(stream).await;
            client.close().await;
            opened.map(drop)
        })
    };
    let refused = |stream, texts: &[&str]| match error(stream) {
        Err(ClientError::Refused { why, .. }) => {
            assert!(texts.iter().all(|text| why.contains(text)), "{why}");
        }
        other => panic!("{other:?}"),
    };
    refused("lines", &takes_nothing[1..]);
    refused("line", &near);
    dir.ask(&["stop"]).code(0);
    master.end().code(0);
    worker.end().code(0);
    dir.ask(&["send", "--stream", "lines", path]).code(1).says(&no_master);
}
