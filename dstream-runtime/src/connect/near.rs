//! Unknown names: what they may have been meant to be.

/// What is unknown, what it may have been meant to be, and what there is, which begins with `has`.
pub(crate) fn unknown(kind: &str, name: &str, has: &str, known: &[&str]) -> String {
    let meant = nearest(name, known).map(|name| format!("; did you mean `{name}`?"));
    let meant = meant.unwrap_or_default();
    let list: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    format!("unknown {kind} `{name}`{meant} ({has}: {})", list.join(", "))
}

/// The known name that a name may have been meant to be: few letters away.
pub(crate) fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|candidate| (distance(name, candidate), *candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(3))
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance: how many letters have to be inserted, removed or replaced. One row at a time.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested() {
        let known = ["batch", "split"];
        let said = unknown("option", "batsh", "known", &known);
        assert_eq!(said, "unknown option `batsh`; did you mean `batch`? (known: `batch`, `split`)");
        assert!(!unknown("option", "zzz", "known", &known).contains("mean"));
        assert_eq!(nearest("", &known), None);
        assert_eq!(nearest("splits", &known), Some("split"));
        assert_eq!(nearest("x", &[]), None);
    }
}
