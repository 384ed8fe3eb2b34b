//! Who may be connected.
//!
//! As many clients as the option `connections` says. One more takes the place of the client that has been idle for
//! longest; if all are busy it is turned away. Pure bookkeeping: no sockets, no waiting.

use std::collections::BTreeMap;

/// Clients that leave hold sockets for a moment: no more of them than there are places, or than this.
const LEAVING: usize = 64;

/// The clients that are connected.
#[derive(Debug)]
pub(super) struct Seats {
    limit: usize,
    next: u64,
    /// By client, since when it is idle, counted in changes; none of one that is busy.
    seated: BTreeMap<u64, Option<u64>>,
    /// Those that are idle, the longest first.
    idle: BTreeMap<u64, u64>,
    /// Clients that were told to leave and have not yet.
    leaving: usize,
    /// How many were turned away.
    pub(super) turned_away: u64,
}

/// What becomes of a client that connects.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seat {
    /// It has a place.
    Taken(u64),
    /// It has the place of another one, which has to leave.
    Instead {
        /// The client.
        of: u64,
        /// The one that leaves.
        leaves: u64,
    },
    /// All are busy.
    Full,
}

impl Seats {
    pub(super) fn new(limit: usize) -> Self {
        let (seated, idle) = (BTreeMap::new(), BTreeMap::new());
        Self { limit, next: 0, seated, idle, leaving: 0, turned_away: 0 }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// A client connects. It is idle until its first request.
    pub(super) fn come(&mut self) -> Seat {
        let mut leaves = None;
        if self.seated.len() >= self.limit {
            let may_leave = self.leaving < self.limit.max(LEAVING);
            let longest = self.idle.first_key_value().filter(|_| may_leave);
            let Some((since, other)) = longest.map(|(since, other)| (*since, *other)) else {
                self.turned_away += 1;
                return Seat::Full;
            };
            self.idle.remove(&since);
            self.seated.remove(&other);
            self.leaving += 1;
            leaves = Some(other);
        }
        let id = self.number();
        self.seated.insert(id, None);
        self.rest(id);
        match leaves {
            None => Seat::Taken(id),
            Some(leaves) => Seat::Instead { of: id, leaves },
        }
    }

    /// A request of a client has come.
    pub(super) fn work(&mut self, id: u64) {
        if let Some(since) = self.seated.get_mut(&id).and_then(Option::take) {
            self.idle.remove(&since);
        }
    }

    /// A client has its answer.
    pub(super) fn rest(&mut self, id: u64) {
        let now = self.number();
        if let Some(since) = self.seated.get_mut(&id)
            && since.is_none()
        {
            *since = Some(now);
            self.idle.insert(now, id);
        }
    }

    /// A client has gone.
    pub(super) fn go(&mut self, id: u64) {
        match self.seated.remove(&id) {
            Some(Some(since)) => drop(self.idle.remove(&since)),
            Some(None) => {}
            None => self.leaving = self.leaving.saturating_sub(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_idle_gives_way() {
        let mut seats = Seats::new(3);
        let ids: Vec<u64> = (0..3)
            .map(|_| match seats.come() {
                Seat::Taken(id) => id,
                other => panic!("{other:?}"),
            })
            .collect();
        // The first asks and is answered: the second is idle for longest then.
        seats.work(ids[0]);
        seats.rest(ids[0]);
        let Seat::Instead { of: fourth, leaves } = seats.come() else { panic!("it is full") };
        assert_eq!(leaves, ids[1]);
        for id in [ids[0], ids[2], fourth] {
            seats.work(id);
        }
        assert_eq!((seats.come(), seats.turned_away), (Seat::Full, 1));
        seats.rest(ids[2]);
        assert!(matches!(seats.come(), Seat::Instead { leaves, .. } if leaves == ids[2]));
        // What one that leaves still does changes nothing.
        seats.work(ids[1]);
        seats.rest(ids[1]);
        assert_eq!(seats.seated.len(), 3);
        seats.go(fourth);
        assert!(matches!(seats.come(), Seat::Taken(_)));
        seats.go(ids[1]);
        seats.go(ids[2]);
        assert_eq!((seats.leaving, seats.seated.len()), (0, 3));
    }

    #[test]
    fn those_that_do_not_leave_are_bounded() {
        for limit in [2, LEAVING + 1] {
            let mut seats = Seats::new(limit);
            for _ in 0..limit {
                assert!(matches!(seats.come(), Seat::Taken(_)));
            }
            for _ in 0..limit.max(LEAVING) {
                assert!(matches!(seats.come(), Seat::Instead { .. }));
            }
            assert_eq!(seats.come(), Seat::Full);
        }
    }
}
