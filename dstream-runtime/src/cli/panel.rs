//! The part of a terminal that moves while a job runs: one line about the last batch, and below it the
//! first results of each output.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// How many records of each output and batch are shown.
pub(super) const PREVIEW: u32 = 3;

/// A line for the batch, and some for each output.
#[derive(Clone)]
pub(super) struct Panel {
    lines: MultiProgress,
    batch: ProgressBar,
    results: Vec<ProgressBar>,
}

impl Panel {
    /// For that many outputs.
    pub(super) fn new(outputs: usize) -> Self {
        let lines = MultiProgress::new();
        let line = || {
            let style = ProgressStyle::with_template("{wide_msg}");
            let line = ProgressBar::new_spinner();
            lines.add(line.with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner())))
        };
        let batch = line();
        let results = (0..outputs * PREVIEW as usize).map(|_| line()).collect();
        Self { lines, batch, results }
    }

    /// Shows a batch, and per output its name and first records.
    pub(super) fn show<'r>(
        &self,
        batch: String,
        outputs: impl Iterator<Item = (&'r str, &'r [String])>,
    ) {
        self.batch.set_message(batch);
        let mut free = self.results.iter();
        for (name, records) in outputs {
            for i in 0..PREVIEW as usize {
                let Some(line) = free.next() else { return };
                let name = if i == 0 { name } else { "" };
                let record = records.get(i).map_or("", String::as_str);
                line.set_message(format!("  {name:>14} │ {}", record.replace('\t', "  ")));
            }
        }
    }

    /// Writes something else above it.
    pub(super) fn suspend(&self, f: impl FnOnce()) {
        self.lines.suspend(f);
    }

    /// Leaves the terminal as it was.
    pub(super) fn clear(&self) {
        // Nobody may be looking any more.
        let _ = self.lines.clear();
    }
}
