//! The operations shared by both styles.

/// Sums by key, and the loops that fill them.
pub trait Counts: Default + Send {
    /// Counts the words of lines of text.
    fn add_words(&mut self, text: &[u8]);

    /// Sums the third field of rows of CSV by the second.
    fn add_csv(&mut self, rows: &[u8]);

    /// Adds other sums.
    fn merge(&mut self, other: &Self);

    /// Subtracts other sums, and drops keys that have nothing left.
    fn subtract(&mut self, other: &Self);

    /// Shows every key and its sum, in any order.
    fn each(&self, f: impl FnMut(&[u8], u64));

    /// Drops all keys and keeps the memory.
    fn clear(&mut self);

    /// Shows every line that holds the pattern.
    fn grep<'a>(text: &'a [u8], pattern: &str, f: impl FnMut(&'a [u8]));
}
