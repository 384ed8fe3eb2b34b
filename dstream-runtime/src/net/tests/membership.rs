//! Which processes get in, which do not, and what both sides are told.

use std::time::Duration;

use super::super::trust::Token;
use super::*;
use crate::wire::{Hello, MessageKind, Refusal};

fn refusal(outcome: Result<Identity, NetError>) -> Refusal {
    match outcome.unwrap_err() {
        NetError::Refused { refusal, .. } => refusal,
        other => panic!("{other}"),
    }
}

#[test]
fn a_token_buys_a_certificate_and_that_a_connection() {
    let world = World::new();
    let master = world.master();
    let token = world.token(Role::Worker, 1);
    let identity = join(&world.join_options(&master, token)).unwrap();
    assert_eq!(identity.authority(), world.authority.fingerprint());
    assert!(matches!(master.next(), NetEvent::Joined { subject, .. } if subject.name == "w1"));

    let mut options = BindOptions::new(identity, PLAN);
    options.wall = world.wall();
    let worker = Node::bind(options);
    worker.net().connect(master.endpoint.local_addr());
    assert_eq!(worker.connected().1.role, Role::Master);
    let (_, subject) = master.connected();
    assert_eq!((subject.role, &*subject.job, &*subject.name), (Role::Worker, "job", "w1"));
}

#[test]
fn both_sides_hear_why_a_token_is_refused() {
    let world = World::new();
    let master = world.master();
    let try_with = |token: Token| {
        let ours = refusal(join(&world.join_options(&master, token)));
        assert_eq!(ours, master.refused());
        ours
    };
    let token = world.token(Role::Worker, 1);
    join(&world.join_options(&master, token.clone())).unwrap();
    assert!(matches!(master.next(), NetEvent::Joined { .. }));
    assert_eq!(try_with(token), Refusal::TokenUsedUp { uses: 1 });

    let token = world.token(Role::Worker, 1);
    let unknown = token.to_text().replace("dstream1", "");
    assert!(Token::from_text(&unknown).is_err());
    let mut unknown = token.clone();
    unknown.secret.0[0] ^= 1;
    assert_eq!(try_with(unknown), Refusal::TokenUnknown);

    let mut as_client = world.join_options(&master, token.clone());
    as_client.hello.role = Role::Client;
    let wrong = Refusal::TokenRole { allowed: Role::Worker, asked: Role::Client };
    assert_eq!(refusal(join(&as_client)), wrong);
    assert_eq!(master.refused(), wrong);

    world.pass(Duration::from_secs(601));
    assert_eq!(try_with(token), Refusal::TokenExpired);
}

#[test]
fn what_does_not_fit_is_refused_before_the_token_is_used() {
    let world = World::new();
    let master = world.master();
    let token = world.token(Role::Worker, 1);
    let refused = |change: &dyn Fn(&mut JoinOptions)| {
        let mut options = world.join_options(&master, token.clone());
        change(&mut options);
        let ours = refusal(join(&options));
        assert_eq!(ours, master.refused());
        ours
    };
    let plan = refused(&|join| join.hello.plan = 5);
    assert_eq!(plan, Refusal::Plan { expected: PLAN, found: 5 });
    let version = refused(&|join| join.hello.version = "0.0.9".into());
    assert!(matches!(version, Refusal::Version { found, .. } if found == "0.0.9"));
    assert!(matches!(refused(&|join| join.hello.job = "other".into()), Refusal::Job { .. }));
    assert!(matches!(refused(&|join| join.hello.role = Role::Master), Refusal::Pair { .. }));
    join(&world.join_options(&master, token)).unwrap();
}

#[test]
fn another_clusters_token_is_refused_by_its_fingerprint() {
    let (ours, theirs) = (World::new(), World::new());
    let master = ours.master();
    let token = theirs.token(Role::Worker, 1);
    let refused = refusal(join(&ours.join_options(&master, token)));
    let (expected, found) =
        (theirs.authority.fingerprint().short(), ours.authority.fingerprint().short());
    assert_eq!(refused, Refusal::OtherAuthority { expected, found });
    assert_eq!(master.refused(), Refusal::NotOurs);
}

#[test]
fn a_token_is_told_to_masters_only() {
    let world = World::new();
    let token = world.token(Role::Worker, 1);
    let worker = world.node(Role::Worker, "w2");
    assert_eq!(refusal(join(&world.join_options(&worker, token.clone()))), Refusal::NoAuthority);
    let standby = world.node(Role::Master, "m2");
    assert_eq!(refusal(join(&world.join_options(&standby, token.clone()))), Refusal::NoAuthority);
    let master = world.master();
    join(&world.join_options(&master, token)).unwrap();
}

#[test]
fn an_unreachable_master_is_not_a_refusal() {
    let world = World::new();
    let master = world.master();
    let mut options = world.join_options(&master, world.token(Role::Worker, 1));
    drop(master);
    options.limit = Duration::from_millis(50);
    let error = join(&options).unwrap_err();
    assert!(matches!(error, NetError::Broken { reason: CloseReason::Unreachable, .. }), "{error}");
}

/// Connects a node made of `options` to the master; returns the close reason and the refusal.
fn turned_down(master: &Node, options: BindOptions) -> (CloseReason, Refusal) {
    let node = Node::bind(options);
    node.net().connect(master.endpoint.local_addr());
    (node.closed(), master.refused())
}

#[test]
fn another_clusters_certificate_is_refused_on_both_sides() {
    let (ours, theirs) = (World::new(), World::new());
    let master = ours.master();
    // It distrusts this master as well, and notices first.
    let (reason, refusal) = turned_down(&master, theirs.options(Role::Worker, "w"));
    assert_eq!(reason, CloseReason::Refused(Refusal::NotOurs));
    assert_eq!(refusal, Refusal::NotOurs);
}

#[test]
fn a_forged_certificate_is_refused_by_the_server() {
    let (ours, theirs) = (World::new(), World::new());
    let master = ours.master();
    // It trusts this master, so only the master can notice.
    let dir = TempDir::new().unwrap();
    let (own, other) = (dir.path().join("own"), dir.path().join("other"));
    theirs.identity(Role::Worker, "w").write(&own).unwrap();
    ours.identity(Role::Worker, "w").write(&other).unwrap();
    let load = |path| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    };
    let mut forged = load(&own);
    forged["authority"] = load(&other)["authority"].clone();
    std::fs::write(&own, serde_json::to_vec(&forged).unwrap()).unwrap();
    let identity = Identity::read(&own, ours.now()).unwrap().unwrap();
    let mut options = BindOptions::new(identity, PLAN);
    options.wall = ours.wall();
    let (reason, refusal) = turned_down(&master, options);
    assert_eq!(reason, CloseReason::Refused(Refusal::NotOurs));
    assert_eq!(refusal, Refusal::NotOurs);
    let text = reason.to_string();
    assert!(text.contains("not issued by this cluster's authority"), "{text}");
}

#[test]
fn an_expired_certificate_is_refused() {
    let world = World::new();
    let old = world.options(Role::Worker, "w");
    world.pass(Duration::from_secs(25 * 3600));
    let master = world.master();
    let (reason, refusal) = turned_down(&master, old);
    assert_eq!(reason, CloseReason::Refused(Refusal::CertificateTime));
    assert_eq!(refusal, Refusal::CertificateTime);
}

#[test]
fn another_plan_version_job_or_role_is_refused_with_the_same_words() {
    let world = World::new();
    let master = world.master();
    let with = |change: &dyn Fn(&mut Hello)| {
        let mut options = world.options(Role::Worker, "w");
        change(&mut options.hello);
        let (reason, refusal) = turned_down(&master, options);
        assert_eq!(reason, CloseReason::Refused(refusal.clone()));
        refusal
    };
    assert_eq!(with(&|hello| hello.plan = 9), Refusal::Plan { expected: PLAN, found: 9 });
    assert!(matches!(with(&|hello| hello.version = "9".into()), Refusal::Version { .. }));
    assert!(matches!(with(&|hello| hello.job = "other".into()), Refusal::Job { .. }));
    let claimed = with(&|hello| hello.role = Role::Client);
    assert_eq!(claimed, Refusal::Role { claimed: Role::Client, certified: Role::Worker });
}

#[test]
fn clients_do_not_talk_to_clients() {
    let world = World::new();
    let client = world.node(Role::Client, "c1");
    let (reason, refusal) = turned_down(&client, world.options(Role::Client, "c2"));
    let pair = Refusal::Pair { from: Role::Client, to: Role::Client };
    assert_eq!((reason, refusal), (CloseReason::Refused(pair.clone()), pair));
}

#[test]
fn a_public_address_must_be_asked_for() {
    let world = World::new();
    let mut options = world.options(Role::Worker, "w");
    options.addr = "0.0.0.0:0".parse().unwrap();
    let error = Endpoint::bind(options.clone(), |_| ()).unwrap_err();
    assert!(matches!(error, NetError::Public { .. }) && error.to_string().contains("--listen"));
    Endpoint::bind(options.clone().at(options.addr), |_| ()).unwrap();
}

#[test]
fn a_process_cannot_even_say_what_its_role_may_not() {
    let world = World::new();
    let (master, client) = (world.master(), world.node(Role::Client, "c"));
    let (to_master, _) = client.meet(&master);
    let placed = crate::sched::message::ToMaster::Placed { epoch: crate::id::Epoch(1) };
    let (kind, from, to) = (MessageKind::ToMaster, Role::Client, Role::Master);
    let error = client.net().send(to_master, &placed).unwrap_err();
    assert_eq!(error, SendError::Role { kind, from, to });
}

#[test]
fn certificates_are_renewed_at_two_thirds_of_their_life() {
    let world = World::new();
    let master = world.master();
    let worker = world.node(Role::Worker, "w");
    worker.meet(&master);
    let old = worker.net().identity().unwrap().valid_until();
    world.pass(Duration::from_secs(17 * 3600));
    // The clock is rechecked at events, otherwise once a minute.
    for node in [&worker, &master] {
        node.net().quic().renew.notify_one();
        let NetEvent::Renewed { until } = node.next() else { panic!("not renewed") };
        assert_eq!(until, old + Duration::from_secs(17 * 3600));
        assert_eq!(node.net().identity().unwrap().valid_until(), until);
    }
    // The old certificates would have expired by now.
    world.pass(Duration::from_secs(8 * 3600));
    let other = world.node(Role::Worker, "w2");
    other.meet(&worker);
    other.meet(&master);
}

#[test]
fn a_renewal_that_cannot_be_had_is_reported() {
    let world = World::new();
    let worker = world.node(Role::Worker, "w");
    world.pass(Duration::from_secs(17 * 3600));
    worker.net().quic().renew.notify_one();
    let NetEvent::RenewalFailed { why, .. } = worker.next() else { panic!("nothing said") };
    assert!(why.contains("no master"), "{why}");
}

#[test]
fn what_is_wrong_with_the_authority_is_told_to_its_own_driver_only() {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let master = world.master();
    let token = world.token(Role::Worker, 1);
    // Opens the token's file to all users.
    for entry in fs::read_dir(world.dir.path().join("tokens")).unwrap() {
        fs::set_permissions(entry.unwrap().path(), fs::Permissions::from_mode(0o666)).unwrap();
    }
    assert_eq!(refusal(join(&world.join_options(&master, token))), Refusal::AuthorityFailed);
    let NetEvent::AuthorityFailed { why } = master.next() else { panic!("nothing said") };
    assert!(why.contains("chmod 600"), "{why}");
    assert_eq!(master.refused(), Refusal::AuthorityFailed);
}
