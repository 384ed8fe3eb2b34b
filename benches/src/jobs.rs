//! The jobs, in any style: the work per batch, and its distribution over threads.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::counts::Counts;
use crate::input::{end_of_lines, parts};
use crate::output::Output;

/// Batches per window.
const WINDOW: usize = 30;

/// Rows of `top_k_window` per batch.
const TOP: usize = 10;

/// The input and options of every job.
#[derive(Debug, Clone, Copy)]
pub struct Setup<'a> {
    /// The input.
    pub text: &'a [u8],
    /// Threads that share a batch.
    pub threads: usize,
    /// Lines per batch.
    pub batch_records: usize,
}

/// Returns the lines that contain a pattern, in order.
pub fn grep<C: Counts>(setup: Setup<'_>, pattern: &str, output: &mut Output) {
    let search = |part: &'_ [u8], found: &mut dyn FnMut(&[u8])| C::grep(part, pattern, found);
    if setup.threads == 1 {
        return search(setup.text, &mut |line| output.line(line));
    }
    let ranges = parts(setup.text, setup.threads);
    let found = std::thread::scope(|scope| {
        let searches: Vec<_> = ranges
            .into_iter()
            .map(|range| {
                scope.spawn(|| {
                    let mut lines = Vec::new();
                    C::grep(&setup.text[range], pattern, |line| lines.push(line));
                    lines
                })
            })
            .collect();
        searches.into_iter().map(|search| search.join().expect("a search")).collect::<Vec<_>>()
    });
    found.into_iter().flatten().for_each(|line| output.line(line));
}

/// Counts the words of every batch.
pub fn word_count<C: Counts>(setup: Setup<'_>, output: &mut Output) {
    per_batch(setup, C::add_words, |counts| {
        counts.each(|word, n| output.row(word, n));
    });
}

/// Sums the bytes of every URL and batch.
pub fn csv_sum<C: Counts>(setup: Setup<'_>, output: &mut Output) {
    // The header is not part of the first batch.
    let text = &setup.text[end_of_lines(setup.text, 1)..];
    let setup = Setup { text, ..setup };
    per_batch(setup, C::add_csv, |counts| {
        counts.each(|url, bytes| output.row(url, bytes));
    });
}

/// Counts the words of the last 30 batches, in every batch.
pub fn word_count_window<C: Counts>(setup: Setup<'_>, output: &mut Output) {
    per_window::<C>(setup, |_, window| {
        window.each(|word, n| output.row(word, n));
    });
}

/// Both of the above.
pub fn word_count_both<C: Counts>(setup: Setup<'_>, output: &mut Output) {
    per_window::<C>(setup, |batch, window| {
        batch.each(|word, n| output.row(word, n));
        window.each(|word, n| output.row(word, n));
    });
}

/// The 10 most frequent words of the last 30 batches, in every batch; equal counts are ordered
/// alphabetically.
pub fn top_k_window<C: Counts>(setup: Setup<'_>, output: &mut Output) {
    per_window::<C>(setup, |_, window| {
        // The least is on top: of equal counts, the alphabetically last.
        let mut top = BinaryHeap::<Reverse<(u64, Reverse<Box<[u8]>>)>>::with_capacity(TOP);
        window.each(|word, n| {
            if let Some(Reverse((least, Reverse(last)))) = top.peek()
                && top.len() == TOP
            {
                if (n, Reverse(word)) < (*least, Reverse(&**last)) {
                    return;
                }
                top.pop();
            }
            top.push(Reverse((n, Reverse(word.into()))));
        });
        for Reverse((n, Reverse(word))) in top.into_sorted_vec() {
            output.row(&word, n);
        }
    });
}

/// Maintains the sums of the last batches by adding new ones and subtracting old ones; passes batch and
/// window to `emit`.
fn per_window<C: Counts>(setup: Setup<'_>, mut emit: impl FnMut(&C, &C)) {
    let mut window = C::default();
    let mut panes = VecDeque::new();
    per_batch::<C>(setup, C::add_words, |counts| {
        window.merge(counts);
        let mut left = C::default();
        if panes.len() == WINDOW
            && let Some(pane) = panes.pop_front()
        {
            window.subtract(&pane);
            left = pane;
            left.clear();
        }
        emit(counts, &window);
        panes.push_back(std::mem::replace(counts, left));
    });
}

/// Computes the sums of every batch on all threads, passes them on, and clears them.
fn per_batch<C: Counts>(
    setup: Setup<'_>,
    fill: impl Fn(&mut C, &[u8]) + Sync,
    mut emit: impl FnMut(&mut C),
) {
    let mut counts: Vec<C> = (0..setup.threads).map(|_| C::default()).collect();
    let mut rest = setup.text;
    while !rest.is_empty() {
        let batch;
        (batch, rest) = rest.split_at(end_of_lines(rest, setup.batch_records));
        let Some((first, others)) = counts.split_first_mut() else {
            return;
        };
        let mut ranges = parts(batch, setup.threads).into_iter().map(|range| &batch[range]);
        let mine = ranges.next().unwrap_or_default();
        std::thread::scope(|scope| {
            for (counts, part) in others.iter_mut().zip(ranges) {
                scope.spawn(|| fill(counts, part));
            }
            fill(first, mine);
        });
        for other in others.iter_mut() {
            first.merge(other);
            other.clear();
        }
        emit(first);
        first.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data;
    use crate::expert::ExpertCounts;
    use crate::plain::PlainCounts;

    type Job = fn(Setup<'_>, &mut Output);

    /// Rows and checksum of a job.
    fn run(text: &[u8], threads: usize, job: impl Fn(Setup<'_>, &mut Output)) -> (u64, u64) {
        let mut output = Output::new(None).unwrap();
        job(Setup { text, threads, batch_records: 1000 }, &mut output);
        (output.rows, output.checksum)
    }

    fn agree(text: &[u8], jobs: [Job; 2]) {
        let expected = run(text, 1, jobs[0]);
        assert!(expected.0 > 0);
        for (threads, job) in [(2, jobs[0]), (1, jobs[1]), (2, jobs[1])] {
            assert_eq!(run(text, threads, job), expected);
        }
    }

    #[test]
    fn both_styles_give_the_same_with_any_threads() {
        let (mut text, mut rows) = (Vec::new(), Vec::new());
        data::write_words(40_000, 1, &mut text).unwrap();
        data::write_csv(40_000, 1, &mut rows).unwrap();
        text.extend_from_slice(b"a line of averyveryverylongword\n\n  and one without an end");
        agree(&text, [word_count::<PlainCounts>, word_count::<ExpertCounts>]);
        agree(&text, [word_count_window::<PlainCounts>, word_count_window::<ExpertCounts>]);
        agree(&text, [top_k_window::<PlainCounts>, top_k_window::<ExpertCounts>]);
        agree(&rows, [csv_sum::<PlainCounts>, csv_sum::<ExpertCounts>]);
        for pattern in ["end", "line", &data::word(500)] {
            let expected = run(&text, 1, |setup, out| grep::<PlainCounts>(setup, pattern, out));
            assert!(expected.0 > 0);
            for threads in [1, 2] {
                let got = run(&text, threads, |s, out| grep::<ExpertCounts>(s, pattern, out));
                assert_eq!(got, expected);
                let got = run(&text, threads, |s, out| grep::<PlainCounts>(s, pattern, out));
                assert_eq!(got, expected);
            }
        }
    }

    #[test]
    fn windows_forget() {
        let text: String = (0..40).map(|n| format!("w{n}\n")).collect();
        let mut output = Output::new(None).unwrap();
        let setup = Setup { text: text.as_bytes(), threads: 1, batch_records: 1 };
        word_count_window::<PlainCounts>(setup, &mut output);
        // 1 + 2 + … + 29 words while the window fills, then 30 at each of 11 batches.
        assert_eq!(output.rows, 29 * 30 / 2 + 30 * 11);
    }
}
