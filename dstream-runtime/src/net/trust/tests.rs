use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::wire::Role;

const NOW: Duration = Duration::from_secs(1_800_000_000);
const HOUR: Duration = Duration::from_secs(3600);

fn authority() -> (TempDir, Authority) {
    let dir = TempDir::new().unwrap();
    let authority = Authority::open(dir.path(), "page_views", NOW).unwrap();
    (dir, authority)
}

fn grant(uses: u32) -> Grant {
    Grant { role: Role::Worker, uses, life: HOUR }
}

#[test]
fn an_authority_is_the_same_when_opened_again() {
    let (dir, first) = authority();
    let again = Authority::open(dir.path(), "page_views", NOW + HOUR).unwrap();
    assert_eq!(again.fingerprint(), first.fingerprint());
    again.identity(Role::Master, "m", NOW + HOUR).unwrap().check(NOW + HOUR).unwrap();
}

#[test]
fn a_directory_serves_one_job() {
    let (dir, _authority) = authority();
    let error = Authority::open(dir.path(), "sessions", NOW).unwrap_err();
    assert!(error.to_string().contains("not that of the job `sessions`"), "{error}");
}

#[test]
fn everything_secret_is_for_its_owner_only() {
    let (dir, authority) = authority();
    let token = authority.token(grant(1), NOW).unwrap();
    token.write(&dir.path().join("token")).unwrap();
    authority.identity(Role::Client, "c", NOW).unwrap().write(&dir.path().join("id")).unwrap();
    let mut dirs = vec![dir.path().to_owned()];
    let mut files = 0;
    while let Some(at) = dirs.pop() {
        for entry in fs::read_dir(at).unwrap().map(Result::unwrap) {
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            if entry.file_type().unwrap().is_dir() {
                assert_eq!(mode, 0o700, "{:?}", entry.path());
                dirs.push(entry.path());
            } else {
                assert_eq!(mode, 0o600, "{:?}", entry.path());
                files += 1;
            }
        }
    }
    assert_eq!(files, 5);
}

#[test]
fn an_open_token_file_is_refused() {
    let (dir, authority) = authority();
    let path = dir.path().join("token");
    authority.token(grant(1), NOW).unwrap().write(&path).unwrap();
    for (mode, fine) in
        [(0o600, true), (0o400, true), (0o440, true), (0o644, false), (0o620, false)]
    {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(Token::read(&path).is_ok(), fine, "{mode:o}");
    }
}

#[test]
fn the_text_of_a_token_is_all_or_nothing() {
    let (_dir, authority) = authority();
    let text = authority.token(grant(1), NOW).unwrap().to_text();
    let read = Token::from_text(&format!(" {text}\n")).unwrap();
    assert_eq!((read.authority(), read.role()), (authority.fingerprint(), Role::Worker));
    assert_eq!(read.to_text(), text);
    for at in 0..text.len() {
        assert!(Token::from_text(&text[..at]).is_err(), "cut at {at}");
        let mut changed = text.clone().into_bytes();
        changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
        let changed = String::from_utf8(changed).unwrap();
        let error = Token::from_text(&changed).unwrap_err().to_string();
        let secret = text.split('.').nth(3).unwrap();
        assert!(!error.contains(&secret[..8]), "{error}");
    }
}

#[test]
fn debug_texts_hold_no_secret() {
    let (_dir, authority) = authority();
    let token = authority.token(grant(1), NOW).unwrap();
    let secret = token.to_text().split('.').nth(3).unwrap()[..8].to_owned();
    let number = format!("{}, {}", token.secret.0[0], token.secret.0[1]);
    let identity = authority.identity(Role::Worker, "w", NOW).unwrap();
    let all = format!("{token:?} {authority:?} {identity:?}");
    assert!(!all.contains(&secret) && !all.contains(&number), "{all}");
}

#[test]
fn a_token_is_used_as_often_as_it_says_by_however_many_processes() {
    let (dir, authority) = authority();
    let token = authority.token(grant(20), NOW).unwrap();
    let redeemed: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let own = Authority::open(dir.path(), "page_views", NOW).unwrap();
                    let tries =
                        (0..10).map(|_| own.redeem(&token.secret, Role::Worker, NOW).unwrap());
                    tries.filter(Result::is_ok).count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(redeemed, 20);
    let refused = authority.redeem(&token.secret, Role::Worker, NOW).unwrap();
    assert_eq!(refused, Err(Refusal::TokenUsedUp { uses: 20 }));
}

#[test]
fn a_token_expires_and_leaves_nothing() {
    let (dir, authority) = authority();
    let token = authority.token(grant(3), NOW).unwrap();
    let redeem = |now| authority.redeem(&token.secret, Role::Worker, now).unwrap();
    assert_eq!(redeem(NOW + HOUR - Duration::from_millis(1)), Ok(()));
    assert_eq!(redeem(NOW + HOUR), Err(Refusal::TokenExpired));
    authority.token(grant(1), NOW + HOUR).unwrap();
    assert_eq!(fs::read_dir(dir.path().join("tokens")).unwrap().count(), 1);
    assert_eq!(redeem(NOW), Err(Refusal::TokenUnknown));
}

#[test]
fn a_token_is_for_its_role_and_never_for_a_master() {
    let (_dir, authority) = authority();
    let token = authority.token(grant(1), NOW).unwrap();
    let wrong = Err(Refusal::TokenRole { allowed: Role::Worker, asked: Role::Client });
    assert_eq!(authority.redeem(&token.secret, Role::Client, NOW).unwrap(), wrong);
    assert!(authority.token(Grant { role: Role::Master, ..grant(1) }, NOW).is_err());
    assert!(authority.token(grant(0), NOW).is_err());
    let other = TokenSecret([7; 32]);
    assert_eq!(authority.redeem(&other, Role::Worker, NOW).unwrap(), Err(Refusal::TokenUnknown));
}

#[test]
fn certificates_say_who_their_holder_is() {
    let (_dir, authority) = authority();
    for (role, name) in
        [(Role::Master, "m"), (Role::Worker, "host-1.example_2"), (Role::Client, "42")]
    {
        let identity = authority.identity(role, name, NOW).unwrap();
        assert_eq!(identity.subject(), &Subject::new(role, "page_views", name).unwrap());
        identity.check(NOW).unwrap();
    }
    for name in ["", "a b", "-a", "a-", "a..b", "ä", "a/b", &"x".repeat(64)] {
        assert!(authority.identity(Role::Worker, name, NOW).is_err(), "{name:?}");
    }
}

#[test]
fn a_certificate_is_valid_for_its_life_and_renewed_at_two_thirds() {
    let (_dir, authority) = authority();
    let authority = authority.with_certificate_life(HOUR * 3);
    let identity = authority.identity(Role::Worker, "w", NOW).unwrap();
    assert_eq!(identity.renew_at(), NOW + HOUR * 2);
    assert_eq!(identity.valid_until(), NOW + HOUR * 3);
    identity.check(NOW + HOUR * 3).unwrap();
    assert!(identity.check(NOW + HOUR * 3 + Duration::from_secs(1)).is_err());
    // A clock that was set back invalidates nothing.
    identity.check(NOW - HOUR).unwrap();
    identity.check(Duration::from_secs(1)).unwrap();
}

#[test]
fn a_clock_that_was_wrong_when_the_authority_was_made_spoils_nothing() {
    let dir = TempDir::new().unwrap();
    let year = HOUR * 24 * 365;
    Authority::open(dir.path(), "page_views", NOW + year).unwrap();
    for now in [NOW + year, NOW, NOW - year] {
        let authority = Authority::open(dir.path(), "page_views", now).unwrap();
        let token = authority.token(grant(1), now).unwrap();
        assert_eq!(authority.redeem(&token.secret, Role::Worker, now - HOUR).unwrap(), Ok(()));
        authority.identity(Role::Worker, "w", now).unwrap().check(now - HOUR).unwrap();
    }
}

#[test]
fn an_identity_is_kept_until_it_expires() {
    let (dir, authority) = authority();
    let path = dir.path().join("worker");
    assert!(Identity::read(&path, NOW).unwrap().is_none());
    let identity = authority.identity(Role::Worker, "w", NOW).unwrap();
    identity.write(&path).unwrap();
    let read = Identity::read(&path, NOW).unwrap().unwrap();
    assert_eq!(format!("{read:?}"), format!("{identity:?}"));
    read.check(NOW).unwrap();
    assert!(Identity::read(&path, NOW + CERTIFICATE_LIFE).unwrap().is_none());
    fs::write(&path, b"{}").unwrap();
    assert!(Identity::read(&path, NOW).unwrap_err().to_string().contains("join again"));
}

#[test]
fn another_authority_of_the_same_name_certifies_nothing_here() {
    let (_dir, ours) = authority();
    let (_other_dir, theirs) = authority();
    let (own, stranger) = (
        ours.identity(Role::Worker, "w", NOW).unwrap(),
        theirs.identity(Role::Worker, "w", NOW).unwrap(),
    );
    assert_ne!(own.authority(), stranger.authority());
    let forged = Identity::read(&forge(&stranger, &own), NOW).unwrap().unwrap();
    assert!(forged.check(NOW).is_err());
}

/// Combines the key and certificate of one identity with the authority of another.
fn forge(of: &Identity, under: &Identity) -> std::path::PathBuf {
    let dir = TempDir::new().unwrap().keep();
    let (one, two) = (dir.join("one"), dir.join("two"));
    of.write(&one).unwrap();
    under.write(&two).unwrap();
    let load =
        |path| serde_json::from_slice::<serde_json::Value>(&fs::read(path).unwrap()).unwrap();
    let (mut forged, other) = (load(&one), load(&two));
    forged["authority"] = other["authority"].clone();
    fs::write(&one, serde_json::to_vec(&forged).unwrap()).unwrap();
    one
}
