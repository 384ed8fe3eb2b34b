//! Which partitions get the pieces of a batch's input, so that each worker reads in proportion to its weight.
//!
//! Pieces stay in their order: the first one is that of the first place. Workers of full weight take turns. A slow one
//! reads its share and no more, because a batch waits for its slowest reader; by that share it is judged.

/// The weight of a worker that is as fast as the others.
pub(crate) const FULL: u32 = 1000;

/// A worker that may read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'p> {
    /// What it reads in proportion to the others.
    pub(crate) weight: u32,
    /// Its partitions, in ascending order.
    pub(crate) places: &'p [usize],
}

/// A part of what can be divided anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The partition.
    pub(crate) place: usize,
    /// The reader, by its index.
    pub(crate) reader: usize,
    /// Where it ends, in bytes from the beginning of the first.
    pub(crate) end: u64,
    /// Its reader is slow: it takes in nothing that does not end before that.
    pub(crate) is_slow: bool,
}

/// Divides something that can be divided anywhere into pieces of about `size` bytes, and smaller ones for slow readers;
/// in the order of their places, of which there is one at least. The `turn` says who is first of those with full weight.
#[must_use]
pub(crate) fn pieces(bytes: u64, size: u64, readers: &[Reader<'_>], turn: u64) -> Vec<Piece> {
    let most = usize::try_from(bytes.div_ceil(size.max(1))).unwrap_or(usize::MAX).max(1);
    let (full, total) = weights(readers);
    let slow = |reader: &Reader<'_>| reader.weight < full && !reader.places.is_empty();
    let share = |reader: &Reader<'_>| {
        let share = u128::from(bytes) * u128::from(reader.weight) / u128::from(total);
        u64::try_from(share).unwrap_or(u64::MAX)
    };
    let mut counts = fair(most, readers, turn, false);
    let many = counts.iter().sum::<usize>().max(1) as u64;
    let rest = bytes - readers.iter().filter(|reader| slow(reader)).map(share).sum::<u64>();
    let mut pieces = Vec::new();
    for (at, reader) in readers.iter().enumerate() {
        let is_slow = slow(reader);
        counts[at] += usize::from(is_slow && share(reader) > 0);
        let bytes = if is_slow { share(reader) } else { rest / many };
        let places = reader.places.iter().take(counts[at]);
        pieces.extend(places.map(|place| (*place, at, bytes, is_slow)));
    }
    pieces.sort_unstable();
    let mut end = 0;
    let piece = |(place, reader, bytes, is_slow)| {
        end += bytes;
        Piece { place, reader, end, is_slow }
    };
    pieces.into_iter().map(piece).collect()
}

/// The partitions that get as many pieces of about the same size as there are already, in ascending order: one each, as
/// far as there are enough.
#[must_use]
pub(crate) fn places(pieces: usize, readers: &[Reader<'_>], turn: u64) -> Vec<usize> {
    let counts = fair(pieces, readers, turn, true);
    let taken = readers.iter().zip(counts).flat_map(|(reader, count)| &reader.places[..count]);
    let mut places: Vec<usize> = taken.copied().collect();
    places.sort_unstable();
    places
}

/// The largest weight of a reader, and the sum of all.
fn weights(readers: &[Reader<'_>]) -> (u32, u64) {
    let weights = || readers.iter().filter(|reader| !reader.places.is_empty()).map(|r| r.weight);
    (weights().max().unwrap_or(0), weights().map(u64::from).sum::<u64>().max(1))
}

/// How many of these pieces of the same size each reader gets. Slow ones get some only if they are to be `placed` all,
/// and no more than their share unless the others have no room for more.
fn fair(pieces: usize, readers: &[Reader<'_>], turn: u64, placed: bool) -> Vec<usize> {
    let (full, total) = weights(readers);
    let part = |weight: u32| (pieces as u64 * u64::from(weight) / total) as usize;
    let count = |reader: &Reader<'_>| match placed && reader.weight < full {
        true => part(reader.weight).min(reader.places.len()),
        false => 0,
    };
    let mut counts: Vec<usize> = readers.iter().map(count).collect();
    let first = (turn % readers.len().max(1) as u64) as usize;
    for _ in counts.iter().sum()..pieces {
        let may = |at: usize| placed || readers[at].weight >= full;
        let has_room = |at: &usize| may(*at) && counts[*at] < readers[*at].places.len();
        let next = (0..readers.len()).filter(has_room).min_by_key(|at| {
            let since = (at + readers.len() - first) % readers.len();
            (readers[*at].weight < full, counts[*at], since)
        });
        let Some(next) = next else { break };
        counts[next] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is done with three workers of these weights whose partitions alternate.
    fn of_three<T>(weights: [u32; 3], then: impl FnOnce(&[Reader<'_>]) -> T) -> T {
        let owned: [Vec<usize>; 3] = [0, 1, 2].map(|worker| (worker..9).step_by(3).collect());
        let readers = owned.iter().zip(weights);
        let readers: Vec<_> = readers.map(|(places, weight)| Reader { weight, places }).collect();
        then(&readers)
    }

    fn places_of(pieces: usize, weights: [u32; 3], turn: u64) -> Vec<usize> {
        of_three(weights, |readers| places(pieces, readers, turn))
    }

    fn by_worker(places: &[usize]) -> [usize; 3] {
        [0, 1, 2].map(|worker| places.iter().filter(|place| **place % 3 == worker).count())
    }

    /// Places, and how many bytes each has.
    fn pieces_of(bytes: u64, weights: [u32; 3], turn: u64) -> Vec<(usize, u64)> {
        let all = of_three(weights, |readers| pieces(bytes, 100, readers, turn));
        let starts = [0].into_iter().chain(all.iter().map(|piece| piece.end));
        all.iter().zip(starts).map(|(piece, start)| (piece.place, piece.end - start)).collect()
    }

    #[test]
    fn those_of_the_same_weight_take_turns() {
        let first: Vec<_> = (0..4).map(|turn| places_of(1, [1000; 3], turn)).collect();
        assert_eq!(first, [[0], [1], [2], [0]]);
        assert_eq!(places_of(2, [1000; 3], 2), [0, 2]);
        assert_eq!(places_of(9, [1000; 3], 5), (0..9).collect::<Vec<_>>());
        let first: Vec<_> = (0..4).map(|turn| pieces_of(90, [1000; 3], turn)).collect();
        assert_eq!(first, [[(0, 90)], [(1, 90)], [(2, 90)], [(0, 90)]]);
        assert_eq!(pieces_of(400, [1000; 3], 1), [(0, 100), (1, 100), (2, 100), (4, 100)]);
        assert_eq!(pieces_of(0, [1000; 3], 1), [(1, 0)]);
    }

    #[test]
    fn of_pieces_that_are_there_a_slow_worker_reads_no_more_than_its_share() {
        let cases = [(1, 150, 0), (6, 150, 0), (7, 500, 1), (6, 500, 1), (6, 999, 1)];
        for (pieces, weight, slow) in cases {
            for turn in 0..3 {
                let places = places_of(pieces, [weight, 1000, 1000], turn);
                assert_eq!(by_worker(&places)[0], slow, "{places:?}");
            }
        }
        // The others have no room for more.
        assert_eq!(by_worker(&places_of(8, [150, 1000, 1000], 0)), [2, 3, 3]);
        assert_eq!(places_of(1, [150, 400, 300], 0), [1], "where all are slow");
    }

    #[test]
    fn of_what_can_be_divided_a_slow_worker_always_reads_its_share() {
        assert_eq!(pieces_of(90, [250, 1000, 1000], 0), [(0, 10), (1, 80)]);
        assert_eq!(pieces_of(90, [250, 1000, 1000], 2), [(0, 10), (2, 80)]);
        assert_eq!(pieces_of(90, [1000, 1000, 250], 0), [(0, 80), (2, 10)]);
        let large = pieces_of(9000, [250, 1000, 1000], 0);
        let expected =
            [(0, 1000), (1, 1333), (2, 1333), (4, 1333), (5, 1333), (7, 1333), (8, 1333)];
        assert_eq!(large, expected);
        assert_eq!(pieces_of(2, [250, 1000, 1000], 1), [(1, 2)], "it is too little");
    }

    #[test]
    fn there_are_as_many_places_as_pieces_and_no_more_than_exist() {
        assert!(places(3, &[], 1).is_empty() && pieces(9, 1, &[], 1).is_empty());
        let readers = [Reader { weight: 1, places: &[] }, Reader { weight: 1, places: &[4, 7] }];
        assert_eq!(places(1, &readers, 0), [4]);
        assert_eq!(places(5, &readers, 0), [4, 7]);
        for turn in 0..12 {
            for pieces in 0..=9 {
                let all = places_of(pieces, [700, 1000, 90], turn);
                assert_eq!(all.len(), pieces);
                assert!(all.windows(2).all(|pair| pair[0] < pair[1]), "{all:?}");
                let bytes = pieces as u64 * 70;
                let parts = pieces_of(bytes, [700, 1000, 90], turn);
                let sum: u64 = parts.iter().map(|(_, bytes)| bytes).sum();
                assert!(!parts.is_empty() && sum <= bytes && sum + 9 >= bytes, "{parts:?}");
            }
        }
    }
}
