//! Workers that start before their master, after it, and in the middle of a job.

use serde_json::json;

use super::crew::{Cluster, Tap, assert_same_lines, of_views, partitions, views_expected};

#[test]
fn a_master_waits_for_its_workers_and_says_so() {
    let cluster = Cluster::new("page_views");
    let mut master = of_views(cluster.master(2)).start();
    let addr = master.listening();
    let status = cluster.status();
    assert_eq!(status["phase"], json!({"waiting": {"have": 0, "want": 2}}), "{status}");

    assert_eq!(cluster.ask(&["workers"]).code(0).out, ["no worker has joined"]);

    let mut first = cluster.worker("w1", addr).start();
    master.event_with("waiting", |event| event["have"] == 1);
    let done = cluster.ask(&["status"]).code(0);
    let said = done.out.join("\n");
    assert!(said.contains("waits for workers: 1 of 2"), "{said}");
    assert!(said.contains("w1") && said.contains("joining"), "{said}");

    let mut second = cluster.worker("w2", addr).start();
    let (one, two) = (first.placed(1), second.placed(1));
    assert_eq!((&one["partitions"], &two["partitions"]), (&json!(4), &json!(4)));
    let done = master.end().code(0);
    assert_same_lines(&done.out, &views_expected());
    first.event("over");
    second.event("over");
    first.end().code(0);
    second.end().code(0);
    // The master has ended.
    cluster.ask(&["status"]).code(1).says(&["no master of `page_views`", "--state"]);
}

#[test]
fn workers_may_be_there_before_their_master() {
    let cluster = Cluster::new("page_views");
    // Its own loopback address: no other process may listen there.
    let pid = std::process::id().to_be_bytes();
    let own = ([127, 100 + (pid[1] & 15), pid[2], pid[3] | 1], 0);
    let mut before = of_views(cluster.master_at(own.into(), 2)).start();
    let addr = before.listening();
    cluster.ask(&["stop"]).code(0);
    before.end().code(0);

    let mut first = cluster.worker("w1", addr).start();
    let mut second = cluster.worker("w2", addr).start();
    let warning = first.event("warning");
    assert!(warning.to_string().contains(&format!("no master answers at {addr}")), "{warning}");
    let master = of_views(cluster.master_at(addr, 2)).start();
    first.placed(1);
    second.placed(1);
    assert_same_lines(&master.end().code(0).out, &views_expected());
    first.end().code(0);
    second.end().code(0);
}

#[test]
fn workers_that_join_in_the_middle_take_over_partitions() {
    let cluster = Cluster::new("page_views");
    let mut master = of_views(cluster.master(1)).unread().start();
    let mut tap = Tap::on(&mut master);
    let addr = master.listening();
    let mut workers = vec![cluster.worker("w1", addr).start()];
    for (n, each) in [(2, 4), (3, 2), (4, 2)] {
        tap.read(1000);
        let name = format!("w{n}");
        let mut worker = cluster.worker(&name, addr).start();
        let placed = worker.placed(1);
        assert_eq!(partitions(&cluster.status(), &name), placed["partitions"].as_u64());
        assert!(placed["partitions"].as_u64() >= Some(each), "{placed}");
        workers.push(worker);
    }
    tap.read_all();
    master.end().code(0);
    assert_same_lines(&tap.lines, &views_expected());
    for worker in workers {
        worker.end().code(0);
    }
}

#[test]
fn a_worker_that_was_there_needs_no_token_any_more() {
    let cluster = Cluster::new("page_views");
    let mut master = of_views(cluster.master(1)).unread().start();
    let mut tap = Tap::on(&mut master);
    let addr = master.listening();
    let mut stays = cluster.worker("w1", addr).start();
    stays.placed(1);
    let mut comes = cluster.worker("w2", addr).start();
    comes.placed(1);
    cluster.ask(&["drain", "w2"]).code(0);
    tap.read(8000);
    comes.event("drained");
    comes.end().code(0);
    // It kept its certificate.
    let mut again = cluster.stranger("w2", addr).start();
    again.placed(1);
    assert_eq!(again.events("certified").count(), 0);
    tap.read_all();
    master.end().code(0);
    assert_same_lines(&tap.lines, &views_expected());
    again.end().code(0);
    stays.end().code(0);
}
