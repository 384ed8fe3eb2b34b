//! State of keys: what functions keep of them, timeouts, timers, removal; wherever the job is restarted. Judged by a
//! simple interpreter.

use std::collections::BTreeMap;

use dstream::prelude::*;
use dstream::testing::{Error, Run};

use crate::{Tested, published};

#[derive(Record, Clone, Debug)]
struct Event {
    user: String,
    amount: u64,
}

/// What is kept of a user.
#[derive(Record, Clone, Debug, Default)]
struct Session {
    events: u64,
    total: u64,
    note: String,
}

/// Removes the state.
const LAST: u64 = 9;
/// Sets two timers.
const TIMED: u64 = 7;
/// Cancels all timers.
const CANCEL: u64 = 8;
/// Changes nothing.
const IDLE: u64 = 0;

type Seen = (String, String, u64, u64);

#[dstream::job]
fn sessions() {
    let events = source::csv::<Event>("none");
    let by_user = events.key_by(|event| event.user);
    let plain = by_user.track(
        |user, event, session: &mut State<Session>| {
            if event.amount == IDLE {
                return None;
            }
            let kept = session.or_default();
            kept.events += 1;
            kept.total += event.amount;
            kept.note.push_str(user);
            let seen = (user, "seen", kept.events, kept.total + kept.note.len() as u64);
            if event.amount == LAST {
                session.remove();
            }
            Some(seen)
        },
        timeout = "4s",
        on_timeout = |user, session, ctx| [(user, "timed out", session.total, ctx.batch_time())],
    );
    let timed = by_user.track(
        |user, event, session: &mut State<Session>, ctx| {
            let now = ctx.batch_time();
            match event.amount {
                TIMED => {
                    ctx.timer(now + 2500);
                    ctx.timer(now + 6000);
                    ctx.timer(now + 6000);
                    ctx.timer(now);
                }
                CANCEL => ctx.cancel_timers(),
                LAST => drop(session.remove()),
                amount => session.or_default().total += amount,
            }
            None::<(&str, &str, u64, u64)>.or(Some((user, "seen", event.amount, now)))
        },
        timeout = "9s",
        on_timeout =
            |user, session, ctx| Some((user, "timed out", session.total, ctx.batch_time())),
        on_timer = |user, at, session: &mut State<Session>, ctx| {
            let now = ctx.batch_time();
            let total = session.get_mut().map(|kept| {
                kept.total += 100;
                kept.total
            });
            if total.is_some_and(|total| total > 250) {
                session.remove();
            } else if total.is_some_and(|total| total % 3 == 1) {
                ctx.timer(now + 1);
            }
            Some((user, "timer", at, total.unwrap_or(0)))
        },
    );
    let sums = by_user.map_values(|event| event.amount).update_state_by_key(
        |amounts, sum: Option<u64>| {
            let sum = sum.unwrap_or(0) + amounts.iter().sum::<u64>();
            (sum < 40).then_some(sum)
        },
    );
    plain.save("none:");
    timed.save("none:");
    sums.save("none:");
}

const BATCHES: u64 = 45;

fn input() -> Vec<Vec<Event>> {
    let mut seed = 3u64;
    let mut draw = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let batch = |t: u64| {
        let records = match t {
            1 => 60,
            12..=22 | 30 | 31 => 0,
            _ => draw(8),
        };
        (0..records)
            .map(|i| {
                let user = if t == 1 { i % 50 } else { draw(20) };
                Event { user: format!("user {user}"), amount: draw(10) }
            })
            .collect()
    };
    (1..=BATCHES).map(batch).collect()
}

fn seen(user: &str, what: &str, a: u64, b: u64) -> Seen {
    (user.to_owned(), what.to_owned(), a, b)
}

fn plain(input: &[Vec<Event>]) -> Vec<Vec<Seen>> {
    let mut states: BTreeMap<String, (Session, u64)> = BTreeMap::new();
    let batch = |(now, batch): (u64, &Vec<Event>)| {
        let mut out = Vec::new();
        states.retain(|user, (session, touched)| {
            let over = now - *touched > 4000;
            if over {
                out.push(seen(user, "timed out", session.total, now));
            }
            !over
        });
        for Event { user, amount } in batch {
            if let Some((_, touched)) = states.get_mut(user) {
                *touched = now;
            }
            if *amount == IDLE {
                continue;
            }
            let (session, _) = states.entry(user.clone()).or_insert((Session::default(), now));
            session.events += 1;
            session.total += amount;
            session.note.push_str(user);
            let size = session.total + session.note.len() as u64;
            out.push(seen(user, "seen", session.events, size));
            if *amount == LAST {
                states.remove(user);
            }
        }
        out.sort();
        out
    };
    (1..).map(|t| t * 1000).zip(input).map(batch).collect()
}

/// What is known of a user with timers.
#[derive(Default)]
struct Timed {
    total: Option<u64>,
    touched: u64,
    timers: Vec<u64>,
}

impl Timed {
    fn set(&mut self, at: u64) {
        if !self.timers.contains(&at) {
            self.timers.push(at);
        }
    }

    fn remove(&mut self) {
        if self.total.take().is_some() {
            self.timers.clear();
        }
    }

    /// What is due by now: timers, and the timeout if it is over; one after the other.
    fn wake(&mut self, user: &str, now: u64, out: &mut Vec<Seen>) {
        let mut due: Vec<(u64, bool)> =
            self.timers.iter().filter(|at| **at <= now).map(|at| (*at, false)).collect();
        if self.total.is_some() && now - self.touched > 9000 {
            due.push((self.touched + 9001, true));
        }
        due.sort();
        for (at, timeout) in due {
            if timeout {
                if let Some(total) = self.total.take() {
                    out.push(seen(user, "timed out", total, now));
                    self.timers.clear();
                }
                continue;
            }
            if !self.timers.contains(&at) {
                continue;
            }
            self.timers.retain(|other| *other != at);
            self.total = self.total.map(|total| total + 100);
            out.push(seen(user, "timer", at, self.total.unwrap_or(0)));
            match self.total {
                Some(total) if total > 250 => self.remove(),
                Some(total) if total % 3 == 1 => self.set(now + 1),
                _ => {}
            }
        }
    }
}

fn timed(input: &[Vec<Event>]) -> Vec<Vec<Seen>> {
    let mut users: BTreeMap<String, Timed> = BTreeMap::new();
    let batch = |(now, batch): (u64, &Vec<Event>)| {
        let mut out = Vec::new();
        for (user, state) in &mut users {
            state.wake(user, now, &mut out);
        }
        for Event { user, amount } in batch {
            let state = users.entry(user.clone()).or_default();
            match *amount {
                TIMED => [now + 2500, now + 6000, now].into_iter().for_each(|at| state.set(at)),
                CANCEL => state.timers.clear(),
                LAST => state.remove(),
                amount => state.total = Some(state.total.unwrap_or(0) + amount),
            }
            state.touched = now;
            out.push(seen(user, "seen", *amount, now));
        }
        out.sort();
        out
    };
    (1..).map(|t| t * 1000).zip(input).map(batch).collect()
}

fn sums(input: &[Vec<Event>]) -> Vec<Vec<(String, u64)>> {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    let batch = |batch: &Vec<Event>| {
        for Event { user, amount } in batch {
            *sums.entry(user.clone()).or_default() += amount;
        }
        sums.retain(|_, sum| *sum < 40);
        sums.clone().into_iter().collect()
    };
    input.iter().map(batch).collect()
}

fn same<R: PartialEq + std::fmt::Debug>(
    what: &str,
    found: Result<Vec<Vec<R>>, Error>,
    expected: &[Vec<R>],
) -> Tested {
    for (batch, (found, expected)) in (1..).zip(found?.iter().zip(expected)) {
        assert_eq!(found, expected, "{what}, batch {batch}");
    }
    Ok(())
}

#[test]
fn keys_keep_what_functions_say_until_they_time_out() -> Tested {
    let input = input();
    let (plain, timed, sums) = (plain(&input), timed(&input), sums(&input));
    for what in ["timed out", "timer"] {
        let times = timed.iter().flatten().filter(|(_, of, _, _)| of == what).count();
        assert!(times > 10, "{what}: {times}");
    }
    for partitions in [1, 3, 8] {
        for restarts in [&[][..], &[2, 3, 4, 5, 11], &[8, 15, 17, 18], &[21, 27, 33, 34]] {
            let run = Run::new(sessions).input("events", input.clone()).partitions(partitions);
            let run = restarts.iter().fold(run, |run, batch| run.restart_after(*batch));
            let done = run.run()?;
            same("plain", published::<Seen>(&done, "plain", BATCHES), &plain)?;
            same("timed", published::<Seen>(&done, "timed", BATCHES), &timed)?;
            same("sums", published::<(String, u64)>(&done, "sums", BATCHES), &sums)?;
        }
    }
    Ok(())
}
