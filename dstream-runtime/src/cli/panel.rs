//! The part of a terminal that is drawn again while a job runs: one line about the last batch, and below it
//! results of each output. Lines are never longer than the terminal is wide.

use std::io::{stderr, stdout};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::termios::tcgetwinsize;

use super::words::clip;

/// How many records of each output and batch are shown, except by `print`, which says how many.
pub(super) const PREVIEW: u32 = 3;

/// The most records of a `print` that are drawn again.
pub(super) const MAX_PRINT: u32 = 100;

/// Where it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Terminal {
    Out,
    Err,
}

impl Terminal {
    /// Columns and rows.
    fn size(self) -> (usize, usize) {
        let size = match self {
            Self::Out => tcgetwinsize(stdout()),
            Self::Err => tcgetwinsize(stderr()),
        };
        // A terminal that does not know its size says 0.
        let size = size.ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
        size.map_or((80, 24), |size| (size.ws_col.into(), size.ws_row.into()))
    }
}

/// A line for the batch, and some for each output.
#[derive(Clone)]
pub(super) struct Panel {
    terminal: Terminal,
    lines: MultiProgress,
    text: ProgressBar,
}

impl Panel {
    pub(super) fn new(terminal: Terminal) -> Self {
        let target = match terminal {
            Terminal::Out => ProgressDrawTarget::stdout(),
            Terminal::Err => ProgressDrawTarget::stderr(),
        };
        let lines = MultiProgress::with_draw_target(target);
        let style = ProgressStyle::with_template("{msg}");
        let text = ProgressBar::new_spinner();
        let text =
            lines.add(text.with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner())));
        Self { terminal, lines, text }
    }

    /// How wide a line may be.
    pub(super) fn width(&self) -> usize {
        // The last column would move the cursor on.
        self.terminal.size().0.saturating_sub(1)
    }

    /// Shows these lines instead of those before; the last ones do not fit if there are too many.
    pub(super) fn show(&self, lines: &[String]) {
        let (width, rows) = (self.width(), self.terminal.size().1);
        let lines = lines.iter().take(rows.saturating_sub(1).max(1));
        let lines: Vec<String> = lines.map(|line| clip(&line.replace('\t', "  "), width)).collect();
        self.text.set_message(lines.join("\n"));
        self.text.tick();
    }

    /// Writes something else above it.
    pub(super) fn suspend(&self, f: impl FnOnce()) {
        self.lines.suspend(f);
    }

    /// Leaves the terminal as it was.
    pub(super) fn clear(&self) {
        // It is not drawn again, also not below what is written later.
        self.text.finish_and_clear();
    }
}
