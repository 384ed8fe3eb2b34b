//! "Did you mean": the nearest known name.

/// The nearest candidate, if it is near enough.
pub(crate) fn nearest<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let written = bare(written);
    let limit = match written.chars().count() {
        ..3 => 0,
        count => count / 3,
    };
    candidates
        .into_iter()
        .map(|candidate| (distance(&written, &bare(candidate)), candidate))
        .filter(|(distance, candidate)| {
            *distance <= limit || (written.len() > 3 && bare(candidate).starts_with(&written))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The candidate that differs only in case and underscores.
pub(crate) fn same<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let written = bare(written);
    candidates.into_iter().find(|candidate| bare(candidate) == written)
}

/// Removes case and underscores, which are misremembered first.
fn bare(name: &str) -> String {
    name.chars().filter(|c| *c != '_').flat_map(char::to_lowercase).collect()
}

/// Edit distance with insertions, removals, substitutions and swaps of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &y) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && x == b[j - 1] && a[i - 1] == y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised() {
        let names = ["map", "filter", "flat_map", "reduce_by_key", "reduce"];
        assert_eq!(nearest("fitler", names), Some("filter"));
        assert_eq!(nearest("mapp", names), Some("map"));
        assert_eq!(nearest("reduceByKey", names), Some("reduce_by_key"));
        assert_eq!(nearest("sort", names), None);
    }
}
