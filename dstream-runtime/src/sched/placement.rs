//! Which worker owns which partition: a pure function, so that every process computes the same.
//!
//! Balanced: no worker owns two partitions more than another of the same weight. A slow worker has less weight, and owns
//! nothing where its share is less than half a partition: all would wait for it. Stable: a partition stays where it was
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
    place_by_weight(partitions, members, &vec![1; members.len()], before, epoch)
}

/// The same, where members differ in weight (none is 0): shares are in proportion.
#[must_use]
pub fn place_by_weight(
    partitions: u32,
    members: &[WorkerId],
    weights: &[u32],
    before: &[WorkerId],
    epoch: Epoch,
) -> Vec<WorkerId> {
    if members.is_empty() {
        return Vec::new();
    }
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
    let mut room = shares(partitions, weights, &order);

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

/// How many partitions each member gets: in proportion to its weight, what is left to those with the
/// largest fractions, in this order.
fn shares(partitions: u32, weights: &[u32], order: &[usize]) -> Vec<usize> {
    let full = weights.iter().copied().max().unwrap_or(0);
    let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    let is_none =
        |weight: u32| weight < full && 2 * u64::from(partitions) * u64::from(weight) < total;
    let weights: Vec<u32> =
        weights.iter().map(|weight| if is_none(*weight) { 0 } else { *weight }).collect();
    let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum::<u64>().max(1);
    let part = |member: usize| u64::from(partitions) * u64::from(weights[member]);
    let mut shares: Vec<usize> =
        (0..weights.len()).map(|member| (part(member) / total) as usize).collect();
    let left = partitions as usize - shares.iter().sum::<usize>();
    let mut by_fraction = order.to_vec();
    by_fraction.sort_by_key(|member| std::cmp::Reverse(part(*member) % total));
    by_fraction.iter().take(left).for_each(|member| shares[*member] += 1);
    // No other worker has nothing as long as one has two.
    for member in 0..shares.len() {
        let most =
            (0..shares.len()).max_by_key(|other| (shares[*other], std::cmp::Reverse(*other)));
        let lacks = weights[member] > 0 && shares[member] == 0;
        if let Some(most) = most.filter(|most| lacks && shares[*most] > 1) {
            shares[most] -= 1;
            shares[member] += 1;
        }
    }
    shares
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
        let mut new_owners: Vec<_> = Vec::new();
        for (old, new) in before.iter().zip(&after) {
            if *old == WorkerId(3) {
                new_owners.push(*new);
            } else {
                assert_eq!(old, new);
            }
        }
        new_owners.sort_unstable();
        new_owners.dedup();
        assert_eq!(new_owners, left);
    }

    #[test]
    fn a_newcomer_takes_its_share_and_no_partition_moves_between_others() {
        let before = place(60, &workers(0..5), &[], Epoch(1));
        let after = place(60, &workers(0..6), &before, Epoch(2));
        assert_eq!(counts(&after, &workers(0..6)), [10; 6]);
        assert!(before.iter().zip(&after).all(|(old, new)| old == new || *new == WorkerId(5)));
    }

    #[test]
    fn every_worker_owns_a_partition() {
        assert!(place(8, &[], &[], Epoch(1)).is_empty());
        assert_eq!(place(2, &workers([9]), &workers([1, 2]), Epoch(7)), workers([9, 9]));
    }

    #[test]
    fn a_slow_worker_keeps_a_share_by_its_weight() {
        let members = workers(0..4);
        let before = place(8, &members, &[], Epoch(1));
        let slow = |weight, before: &[WorkerId], epoch| {
            let weights = [1000, weight, 1000, 1000];
            place_by_weight(8, &members, &weights, before, Epoch(epoch))
        };
        let after = slow(200, &before, 2);
        assert_eq!(counts(&after, &members)[1], 1);
        assert!(counts(&after, &members).iter().all(|count| *count <= 3));
        let moved = before.iter().zip(&after).filter(|(old, new)| old != new);
        assert!(moved.clone().count() == 1 && moved.clone().all(|(old, _)| *old == WorkerId(1)));
        assert_eq!(slow(200, &after, 3), after, "nothing more moves");
        assert_eq!(counts(&slow(1000, &after, 4), &members), [2; 4]);
        let many = place_by_weight(80, &members, &[1000, 500, 1000, 1000], &[], Epoch(1));
        assert_eq!(counts(&many, &members)[1], 11, "80 × 500 / 3500");
        // Of less than half a partition it keeps nothing, unless all are slow.
        assert_eq!(counts(&slow(190, &before, 2), &members), [2, 0, 3, 3]);
        let all = place_by_weight(8, &members, &[100; 4], &[], Epoch(1));
        assert_eq!(counts(&all, &members), [2; 4]);
        let few = place_by_weight(2, &members, &[1000, 1, 1000, 1000], &[], Epoch(1));
        assert_eq!(counts(&few, &members).iter().sum::<usize>(), 2);
    }
}
