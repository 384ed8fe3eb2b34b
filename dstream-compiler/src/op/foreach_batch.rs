//! `foreach_batch`

use super::{Arg, Effect, Lower, Operator, Sink};

const FUNCTION: Arg =
    Arg::Function { parameters: 2, example: "|batch, rows| store(&batch.to_string(), rows)" };

pub(super) static OPERATOR: Operator = Operator {
    name: "foreach_batch",
    usage: "foreach_batch(|batch, rows| store(&batch.to_string(), rows))",
    forms: &[&[FUNCTION]],
    doc: "hands the records of each batch to a function, partition by partition",
    details: "An output is a statement of its own. The function runs on the master, after the batch is committed; a partition \
              without records is left out. It returns nothing, or a `Result<(), E>`: an error is tried again for as long as \
              `--sink-patience` says, then the job stops with it. After an error or a restart it may be given the same records \
              again, under the same key: `batch.to_string()` is `job/output/time/partition`, where the time is the end of the \
              batch. A store that keeps the key in the transaction of the records has each of them exactly once.",
    example: "pairs.foreach_batch(|batch, rows| println!(\"{batch}: {} pairs\", rows.len()))",
    partitioning: Effect::Keeps,
    uniqueness: Effect::Keeps,
    lower: Lower::Output(|arguments| Sink::Function(Box::new(arguments.function().clone()))),
    ..Operator::BASE
};
