//! Who receives, and who is told to listen.

use super::*;

fn receivers(urls: &[&str]) -> Receivers {
    let open = |(id, url): (usize, &&str)| PushSource::open(url, SourceId(id as u16)).ok();
    Receivers::new(urls.iter().enumerate().map(open).collect())
}

fn placed(receivers: &mut Receivers, workers: &[u32]) -> Vec<(u16, u32)> {
    receivers.placed(&workers.iter().copied().map(WorkerId).collect::<Vec<_>>(), |_| true);
    listening(receivers)
}

/// Who is told to listen, by source.
fn listening(receivers: &mut Receivers) -> Vec<(u16, u32)> {
    told(receivers.assign(Instant::now()))
}

fn told(all: Vec<(SourceId, WorkerId, bool)>) -> Vec<(u16, u32)> {
    let told = all.into_iter();
    told.filter(|(.., listens)| *listens).map(|(source, worker, _)| (source.0, worker.0)).collect()
}

fn url(worker: u32) -> String {
    format!("tcp://10.0.0.{worker}:9000")
}

#[test]
fn as_many_listen_as_are_wanted_and_streams_are_spread() {
    let mut two = receivers(&["tcp://0.0.0.0:1?receivers=2", "tcp://0.0.0.0:2", "tcp://0.0.0.0:3"]);
    assert_eq!(placed(&mut two, &[1]), [(0, 1), (1, 1), (2, 1)]);
    // Another one comes: nothing moves, and what was missing is there.
    assert_eq!(placed(&mut two, &[1, 2]), [(0, 2)]);
    assert_eq!(placed(&mut two, &[1, 2, 3]), []);
    let mut spread = receivers(&["tcp://0.0.0.0:1?receivers=2", "tcp://0.0.0.0:2"]);
    assert_eq!(placed(&mut spread, &[1, 2, 3]), [(0, 1), (0, 2), (1, 3)]);
}

#[test]
fn no_receiver_is_too_few() {
    for (url, is_sound) in [("receivers=0", false), ("receivers=two", false), ("receivers=1", true)]
    {
        let url = format!("tcp://0.0.0.0:1?{url}");
        assert_eq!(PushSource::open(&url, SourceId(0)).is_ok(), is_sound, "{url}");
    }
}

#[test]
fn a_receiver_that_is_lost_or_leaves_moves_and_the_others_stay() {
    let mut all = receivers(&["http://0.0.0.0:1/views?receivers=2"]);
    assert_eq!(placed(&mut all, &[1, 2, 3, 4]), [(0, 1), (0, 2)]);
    for worker in [1, 2] {
        assert_eq!(all.opened(SourceId(0), WorkerId(worker), url(worker)), Listens::Stays);
    }
    // One that was open with another master is one too many.
    assert_eq!(all.opened(SourceId(0), WorkerId(3), url(3)), Listens::IsTooMany);
    all.gone(WorkerId(1));
    assert_eq!(listening(&mut all), [(0, 3)]);
    assert_eq!(all.opened(SourceId(0), WorkerId(3), url(3)), Listens::Stays);
    // One that leaves goes on until it has received everything.
    assert!(all.drains(WorkerId(2)));
    assert_eq!(listening(&mut all), []);
    all.closed(SourceId(0), WorkerId(2));
    assert_eq!(listening(&mut all), [(0, 4)]);
    let seen: Vec<_> = all.seen().map(|seen| (seen.worker.0, seen.url.to_owned())).collect();
    assert_eq!(seen, [(3, url(3))]);
}

#[test]
fn a_worker_that_cannot_listen_rests_while_others_try_and_then_tries_again() {
    let (mut all, begun) = (receivers(&["tcp://0.0.0.0:1"]), Instant::now());
    let at = |ms| begun + Duration::from_millis(ms);
    let cannot = |all: &mut Receivers, worker: u32, ms| {
        let why = "the address is in use".to_owned();
        all.cannot_listen(SourceId(0), WorkerId(worker), why, at(ms))
    };
    all.placed(&[1, 2].map(WorkerId), |_| true);
    assert_eq!(told(all.assign(at(0))), [(0, 1)]);
    assert_eq!(cannot(&mut all, 1, 10), (true, false));
    assert_eq!(told(all.assign(at(10))), [(0, 2)]);
    assert_eq!(cannot(&mut all, 2, 20), (true, false));
    assert_eq!((told(all.assign(at(20))), all.due()), (vec![], Some(at(210))));
    let seen: Vec<_> = all.seen().map(|seen| (seen.worker.0, seen.why.is_some())).collect();
    assert_eq!(seen, [(1, true), (2, true)]);
    assert_eq!(told(all.assign(at(210))), [(0, 1)]);
    assert_eq!(cannot(&mut all, 1, 211), (false, false), "it is said once");
    // Where one has ever listened it is never given up.
    assert_eq!(told(all.assign(at(7000))), [(0, 1)]);
    assert_eq!(cannot(&mut all, 1, 7000), (false, false), "the other one has not tried so long");
    assert_eq!(told(all.assign(at(7000))), [(0, 2)]);
    assert_eq!(cannot(&mut all, 2, 7001), (false, true));
    all.opened(SourceId(0), WorkerId(2), url(2));
    assert_eq!(cannot(&mut all, 1, 9000), (true, false));
    assert_eq!(cannot(&mut all, 1, 90_000), (false, false));
}

#[test]
fn a_worker_that_listened_with_another_master_goes_before_one_that_was_told_to() {
    let (mut all, begun) = (receivers(&["tcp://0.0.0.0:1"]), Instant::now());
    all.goes_on(true, begun);
    all.placed(&[1, 2].map(WorkerId), |_| true);
    assert_eq!((told(all.assign(begun)), all.due()), (vec![], Some(begun + COMES_AGAIN)));
    assert_eq!(told(all.assign(begun + COMES_AGAIN)), [(0, 1)]);
    let instead = all.opened(SourceId(0), WorkerId(2), url(2));
    assert_eq!(instead, Listens::InsteadOf(WorkerId(1)));
    assert_eq!(all.opened(SourceId(0), WorkerId(1), url(1)), Listens::IsTooMany);
    assert_eq!((told(all.assign(begun + COMES_AGAIN)), all.due()), (vec![], None));
}

#[test]
fn a_worker_that_is_lost_before_its_placement_is_told_receives_nothing() {
    let mut all = receivers(&["tcp://0.0.0.0:1"]);
    placed(&mut all, &[1, 2, 3]);
    // Both are lost, and then the core says what it had decided when it knew of one of them.
    [1, 3].into_iter().for_each(|lost| all.gone(WorkerId(lost)));
    all.placed(&[2, 3].map(WorkerId), |worker| worker == WorkerId(2));
    assert_eq!(listening(&mut all), [(0, 2)]);
    assert_eq!(all.all(), BTreeSet::from([WorkerId(2)]), "nothing waits for the other");
}

#[test]
fn what_was_received_is_counted_where_it_was() {
    let mut all = receivers(&["tcp://0.0.0.0:1?receivers=2"]);
    placed(&mut all, &[1, 2]);
    for (worker, records) in [(1, 5), (2, 7), (2, 1)] {
        let receiver = WorkerId(worker);
        assert_eq!(all.opened(SourceId(0), receiver, url(worker)), Listens::Stays);
        let received_block = ReceivedBlock {
            receiver,
            number: records,
            copy: None,
            bytes: 10 * records,
            client: None,
        };
        let how = all.register(SourceId(0), receiver, received_block, records);
        assert_eq!(how, Some(Ok(Registered::Taken)));
    }
    all.turned_away(SourceId(0), WorkerId(2), 3);
    all.turned_away(SourceId(0), WorkerId(2), 4);
    let seen: Vec<_> =
        all.seen().map(|s| (s.worker.0, s.records, s.waiting, s.turned_away)).collect();
    assert_eq!(seen, [(1, 5, 50, 0), (2, 8, 80, 7)]);
}

#[test]
fn a_slow_receiver_moves_and_nothing_moves_back() {
    let mut all = receivers(&["tcp://0.0.0.0:1"]);
    let (source, first) = (SourceId(0), WorkerId(1));
    assert_eq!(placed(&mut all, &[1, 2, 3]), [(0, 1)]);
    all.opened(source, first, url(1));
    all.is_slow(first, true);
    let moved = all.assign(Instant::now());
    assert_eq!(moved, [(source, first, false), (source, WorkerId(2), true)]);
    assert_eq!(all.opened(source, WorkerId(2), url(2)), Listens::Stays);
    all.is_slow(first, false);
    assert_eq!(listening(&mut all), []);
    // Where all are slow, one of them has to.
    (1..=3).for_each(|worker| all.is_slow(WorkerId(worker), true));
    assert_eq!(listening(&mut all), []);
    all.gone(WorkerId(2));
    assert_eq!(listening(&mut all), [(0, 1)]);
}

#[test]
fn a_slow_receiver_goes_on_where_no_other_can_listen() {
    let mut all = receivers(&["tcp://10.0.0.1:9000"]);
    let (source, first) = (SourceId(0), WorkerId(1));
    assert_eq!(placed(&mut all, &[1, 2]), [(0, 1)]);
    all.opened(source, first, url(1));
    all.is_slow(first, true);
    let mut now = Instant::now();
    for _ in 0..TRIES {
        assert_eq!(told(all.assign(now)), [(0, 2)]);
        all.cannot_listen(source, WorkerId(2), "no such address".to_owned(), now);
        now += RETRY_MOST;
    }
    assert_eq!(told(all.assign(now - RETRY_MOST)), [(0, 1)]);
    all.opened(source, first, url(1));
    assert_eq!(told(all.assign(now + 9 * RETRY_MOST)), []);
}
