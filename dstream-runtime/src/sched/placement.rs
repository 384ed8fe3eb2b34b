//! Which worker owns which partition: a pure function, so that everybody computes the same.
//!
//! Balanced: no worker owns two partitions more than another. Stable: a partition stays where it was
//! unless its owner has gone or must give some up to a newcomer; what a leaving worker owned is
//! spread over all the others.

use crate::id::{Epoch, WorkerId};

/// Places `partitions` on `members` (in ascending order), moving as few as possible away from where
/// they were `before` (empty at the start). The epoch decides who gets the remainder, so that it
/// is not always the same worker. No members: no placement.
#[must_use]
pub fn place(
    partitions: u32,
    members: &[WorkerId],
    before: &[WorkerId],
    epoch: Epoch,
) -> Vec<WorkerId> {
    if members.is_empty() {
        return Vec::new();
    }
    let (share, extra) = (partitions as usize / members.len(), partitions as usize % members.len());
    let mut owned = vec![0usize; members.len()];
    for owner in before.iter().filter_map(|owner| members.binary_search(owner).ok()) {
        owned[owner] += 1;
    }
    // Those who own most may keep one more than the share; then the turn goes round with the epoch.
    let turn = (epoch.0 % members.len() as u64) as usize;
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|member| {
        let since = (member + members.len() - turn) % members.len();
        (std::cmp::Reverse(owned[*member]), since)
    });
    let mut room = vec![share; members.len()];
    order.iter().take(extra).for_each(|member| room[*member] += 1);

    let mut placement: Vec<Option<usize>> = (0..partitions as usize)
        .map(|partition| {
            let owner = members.binary_search(before.get(partition)?).ok()?;
            room[owner] = room[owner].checked_sub(1)?;
            Some(owner)
        })
        .collect();
    // What is left goes round among those with room, so that a leaving worker's partitions spread.
    let mut at = turn;
    for owner in placement.iter_mut().filter(|owner| owner.is_none()) {
        let free =
            (0..members.len()).map(|step| (at + step) % members.len()).find(|m| room[*m] > 0);
        let Some(free) = free else { break };
        room[free] -= 1;
        *owner = Some(free);
        at = free + 1;
    }
    placement.into_iter().map(|owner| members[owner.unwrap_or(0)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(placement: &[WorkerId], members: &[WorkerId]) -> Vec<usize> {
        members.iter().map(|m| placement.iter().filter(|p| *p == m).count()).collect()
    }

    fn workers(ids: impl IntoIterator<Item = u32>) -> Vec<WorkerId> {
        ids.into_iter().map(WorkerId).collect()
    }

    #[test]
    fn is_balanced_for_any_number_of_workers() {
        for partitions in [1, 7, 8, 64, 257] {
            for n in 1..12 {
                let members = workers(0..n);
                let counts = counts(&place(partitions, &members, &[], Epoch(3)), &members);
                assert_eq!(counts.iter().sum::<usize>(), partitions as usize);
                let (min, max) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
                assert!(max - min <= 1, "{partitions} on {n}: {counts:?}");
            }
        }
    }

    #[test]
    fn a_leaving_workers_partitions_spread_over_all_others_which_keep_theirs() {
        let before = place(64, &workers(0..8), &[], Epoch(1));
        let left = workers((0..8).filter(|w| *w != 3));
        let after = place(64, &left, &before, Epoch(2));
        let mut heirs: Vec<_> = Vec::new();
        for (old, new) in before.iter().zip(&after) {
            if *old == WorkerId(3) {
                heirs.push(*new);
            } else {
                assert_eq!(old, new);
            }
        }
        heirs.sort_unstable();
        heirs.dedup();
        assert_eq!(heirs, left);
    }

    #[test]
    fn a_newcomer_takes_its_share_and_nobody_elses_partitions_move_between_others() {
        let before = place(60, &workers(0..5), &[], Epoch(1));
        let after = place(60, &workers(0..6), &before, Epoch(2));
        assert_eq!(counts(&after, &workers(0..6)), [10; 6]);
        assert!(before.iter().zip(&after).all(|(old, new)| old == new || *new == WorkerId(5)));
    }

    #[test]
    fn nobody_owns_nothing() {
        assert!(place(8, &[], &[], Epoch(1)).is_empty());
        assert_eq!(place(2, &workers([9]), &workers([1, 2]), Epoch(7)), workers([9, 9]));
    }
}
