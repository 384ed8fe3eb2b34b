//! `window_batches`

use super::lower::whole;
use super::window::{emit, length};
use super::{Arg, Begin, Effect, Keeps, Lower, Lowered, Operator, Read};

pub(super) static OPERATOR: Operator = Operator {
    name: "window_batches",
    usage: "window_batches(60, 10)",
    forms: &[&[Arg::LengthInBatches], &[Arg::LengthInBatches, Arg::SlideInBatches]],
    doc: "the records of the last batches, counted in batches",
    details: "As `window`, but its length and how often it emits are numbers of batches, whatever time these took: it means \
              the same over history, where a batch is a piece of the input (`?batch_records=`), as over live input. Both \
              numbers are multiples of how often its parent emits. The operators per batch after it work on the window.",
    example: "words.window_batches(60, 10)",
    partitioning: Effect::Keeps,
    lower: Lower::Head(Begin {
        words: |arguments| format!("window of {} batches", length(arguments)),
        lower: |arguments, _| {
            Lowered::reads([Read::rows()]).keeping(Keeps::Counted(length(arguments)))
        },
        emit,
        record: whole,
    }),
    ..Operator::BASE
};

#[cfg(test)]
mod tests {
    use crate::testing::{mistakes, phase, physical};

    #[test]
    fn it_is_a_window() {
        let plan = physical(
            "let lines = source::text(\"x:\");
             lines.window_batches(6, 2).window_batches(4).count().print();",
        );
        // So it is not refused over history.
        let mut states = plan.stages.iter().filter_map(|stage| stage.state.as_ref());
        assert!(states.all(|state| !state.timed));
        insta::assert_snapshot!(phase(&plan, "stages"), @r"
        stage 0  lines = source 0, per range of lines
          tail 0: rows
        stage 1  lines.window_batches = window of 6 batches flow 0, per partition, keeps 6 panes until end of the window, every 1 emits every 2
          tail 0: rows
        stage 2  lines.window_batches.window_batches = window of 4 batches flow 1, per partition, keeps 2 panes of 2 until end of the window, every 2 emits every 2
          tail 0: tally
        stage 3  lines.window_batches.window_batches.count = count flow 2, one task, every 2 emits every 2
          tail 0: output lines.window_batches.window_batches.count
        flow 0  rows, same partition from 0.0
        flow 1  rows, same partition from 1.0
        flow 2  counts, gathered from 2.0
        ");
    }

    #[test]
    fn its_numbers_are_written_out_and_fit_its_parent() {
        insta::assert_snapshot!(mistakes(
            "let lines = source::text(\"x:\");
             let n = 3;
             lines.window_batches(0).print();
             lines.window_batches(n).print();
             lines.window_batches(\"3s\").print();
             let slow = lines.window_batches(6, 3);
             slow.window_batches(7).print();
             slow.window_batches(6, 2).print();"
        ), @r#"
        0
          dstream[E0108]: `window_batches` needs a number here
          help: write it out, like `words.window_batches(60, 10)`; it is at least 1
        n
          dstream[E0108]: `window_batches` needs a number here
          help: write it out, like `words.window_batches(60, 10)`; it is at least 1
        "3s"
          dstream[E0108]: `window_batches` needs a number here
          help: write it out, like `words.window_batches(60, 10)`; it is at least 1
        7
          dstream[E0205]: a window of 7 batches isn't a multiple of the 3 batches at which `slow` slides
          help: use 6 or 9, or another slide for `slow`
        2
          dstream[E0205]: a slide of 2 batches isn't a multiple of the 3 batches at which `slow` slides
          help: use 3, or another slide for `slow`
        "#);
    }
}
