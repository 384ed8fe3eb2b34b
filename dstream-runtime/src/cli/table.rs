//! Tables for people: columns as wide as their widest cell.

use std::fmt::Write as _;

/// A column's heading, and whether it holds numbers, which stand to the right.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column(pub &'static str, pub Side);

/// Where cells stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// Lines of a table, indented by two; none if there are no rows.
pub(super) fn table<const N: usize>(columns: [Column; N], rows: &[[String; N]]) -> String {
    let mut text = String::new();
    if rows.is_empty() {
        return text;
    }
    let headings = columns.map(|column| column.0.to_owned());
    let width = |i: usize| {
        let cells = rows.iter().chain([&headings]);
        cells.map(|row| row[i].chars().count()).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    for row in [&headings].into_iter().chain(rows) {
        let mut line = String::from(" ");
        for ((cell, width), Column(_, side)) in row.iter().zip(widths).zip(columns) {
            // Writing to a String cannot fail.
            let _ = match side {
                Side::Left => write!(line, " {cell:<width$} "),
                Side::Right => write!(line, " {cell:>width$} "),
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let columns = [Column("NAME", Side::Left), Column("N", Side::Right)];
        let row = |name: &str, n: &str| [name.to_owned(), n.to_owned()];
        assert_eq!(
            table(columns, &[row("ä", "1"), row("longer", "234")]),
            "  NAME      N\n  ä         1\n  longer  234\n"
        );
        assert_eq!(table(columns, &[]), "");
    }
}
