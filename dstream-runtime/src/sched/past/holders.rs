//! Which workers of the time before may come to a new master with what clients have sent.
//!
//! A worker is written down before it can hold anything ([`Guard::HolderIsWritten`]), so that any durable part of the
//! journal names all that hold what this part knows of. One that has ended is not waited for; one that ran in the process
//! of a master before has ended with it. Bounded: who is there, and who was lost in the last half minute.
//!
//! [`Guard::HolderIsWritten`]: crate::guards::Guard::HolderIsWritten

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::sched::message::HolderChange;

/// Workers that may hold what clients have sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holders {
    /// By name, whether a worker runs in its master's process.
    names: BTreeMap<String, bool>,
    /// There may be others: part of the journal was damaged.
    others: bool,
}

impl Holders {
    /// Takes in the next change.
    pub(super) fn apply(&mut self, change: &HolderChange) {
        match change {
            HolderChange::Comes { name, inside } => {
                self.names.insert(name.clone(), *inside);
            }
            HolderChange::Gone { name } => {
                self.names.remove(name);
            }
            HolderChange::NoOthers => self.others = false,
        }
    }

    /// What was written of them may be lost in part.
    pub(super) fn doubt(&mut self) {
        self.others = true;
    }

    /// Names of workers that may come to a new master: those in the process of the master before have ended.
    pub fn may_come(&self) -> impl Iterator<Item = &str> {
        self.names.iter().filter(|(_, inside)| !**inside).map(|(name, _)| name.as_str())
    }

    /// Whether workers may come that are not named.
    #[must_use]
    pub fn has_others(&self) -> bool {
        self.others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_come_is_who_came_outside_of_a_master_and_has_not_gone() {
        let comes = |name: &str, inside| HolderChange::Comes { name: name.to_owned(), inside };
        let gone = |name: &str| HolderChange::Gone { name: name.to_owned() };
        let mut holders = Holders::default();
        let changes =
            [comes("b", false), comes("a", false), comes("i", true), gone("b"), gone("x")];
        changes.iter().for_each(|change| holders.apply(change));
        assert_eq!(holders.may_come().collect::<Vec<_>>(), ["a"]);
        // A name stands for the last worker that has it.
        holders.apply(&comes("i", false));
        holders.apply(&comes("a", true));
        assert_eq!(holders.may_come().collect::<Vec<_>>(), ["i"]);
        assert!(!holders.has_others());
        holders.doubt();
        assert!(holders.has_others());
        holders.apply(&HolderChange::NoOthers);
        assert!(!holders.has_others());
    }
}
