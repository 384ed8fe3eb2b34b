//! Every mistake that the compiler reports: code, message, and help.
//!
//! Messages say what is wrong; help says what is allowed and what to write instead. The reporting code fills
//! in `{name}`. Codes are stable: a removed mistake leaves a gap.

/// One mistake.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Its stable code.
    pub code: &'static str,
    /// The message.
    pub message: &'static str,
    /// The help.
    pub help: &'static str,
}

macro_rules! mistakes {
    ($($(#[$doc:meta])* $code:ident $name:ident: $message:literal => $help:literal;)*) => {
        $(
            $(#[$doc])*
            pub static $name: Mistake =
                Mistake { code: stringify!($code), message: $message, help: $help };
        )*

        /// All of them, by code.
        pub static ALL: &[&Mistake] = &[$(&$name),*];
    };
}

mistakes! {
    // E00xx: the attribute and the signature.

    /// The attribute is on something else than a function.
    E0001 NOT_A_FUNCTION: "`#[dstream::{macro}]` goes on a function"
        => "write `#[dstream::{macro}] fn name(…) {…}`";
    /// An argument of the attribute that does not exist.
    E0002 UNKNOWN_ATTRIBUTE: "a job has no setting `{name}`"
        => "the only setting is `interval`: `#[dstream::job(interval = \"1s\")]`";
    /// `interval` without a value.
    E0003 MISSING_INTERVAL: "`interval` needs a value"
        => "write a duration as text, like `interval = \"500ms\"` or `interval = \"1s\"`";
    /// An interval that is invalid.
    E0004 BAD_INTERVAL: "`{text}` isn't a valid batch interval"
        => "write a number with a unit: `\"500ms\"`, `\"1.5s\"`, `\"2min\"`, `\"1h\"`";
    /// An interval that is zero or too long.
    E0005 INTERVAL_RANGE: "a batch interval of {text} is out of range"
        => "it must be at least 1ms and at most 24h";
    /// The same setting twice.
    E0006 REPEATED_ATTRIBUTE: "`{name}` is set twice"
        => "keep one of them";
    /// `async fn`.
    E0010 ASYNC_FN: "{what} cannot be `async`"
        => "it only describes the computation, and never waits: remove `async`";
    /// `unsafe fn`.
    E0011 UNSAFE_FN: "{what} cannot be `unsafe`"
        => "remove `unsafe`; a closure inside may have an `unsafe` block";
    /// Generics.
    E0012 GENERIC_FN: "{what} cannot be generic"
        => "write the types out: {instead}";
    /// `const fn`.
    E0013 CONST_FN: "{what} cannot be `const`"
        => "remove `const`: it is turned into a plan, which is a constant already";
    /// `extern fn`.
    E0014 EXTERN_FN: "{what} has no ABI"
        => "remove `extern`";
    /// A job that returns something.
    E0015 RETURN_TYPE: "a job returns nothing"
        => "remove the return type; results leave by `.save(url)` or `.print()`";
    /// Several parameters.
    E0016 MANY_PARAMETERS: "a job takes at most one parameter"
        => "put the values into one struct with `#[dstream::params]` before it, and take `params: &Params`";
    /// A parameter by value.
    E0017 PARAMETER_BY_VALUE: "a job takes its parameters by reference"
        => "write `{name}: &{type}`";
    /// A parameter that is a pattern.
    E0018 PARAMETER_PATTERN: "a parameter must be a plain name here"
        => "write `{instead}` and take the fields where they are used";
    /// `self`.
    E0019 SELF_PARAMETER: "{what} is a free function, not a method"
        => "move it out of the `impl`, and remove `self`";
    /// An operator function without a stream.
    E0020 NO_STREAM_PARAMETER: "the operator function `{name}` takes no stream"
        => "give it one: `fn {name}(records: Stream<T>, …) -> Stream<U>`; a function of records needs no `#[dstream::operator]`";
    /// An operator function that returns no stream.
    E0021 NO_STREAM_RETURNED: "the operator function `{name}` returns no stream"
        => "declare the stream that it makes: `-> Stream<T>`";
    /// An operator function without a tail expression.
    E0022 NO_TAIL: "the operator function `{name}` does not end with a stream"
        => "end the body with the stream that it returns, without a semicolon";
    /// An operator function with an output.
    E0023 OUTPUT_IN_OPERATOR: "an operator function has no outputs of its own"
        => "return the stream, and write `.{output}(…)` in the job";
    /// An operator function that calls itself.
    E0024 RECURSION: "operator functions call each other in a circle: {circle}"
        => "a plan is finite: remove one of the calls";
    /// A mutable or by-reference stream parameter.
    E0025 STREAM_REFERENCE: "streams are passed by value, not by reference"
        => "remove the `&`: a stream can be used as often as you like";

    // E01xx: operators and their arguments.

    /// No such operator.
    E0101 UNKNOWN_OPERATOR: "streams have no operator `{name}`"
        => "{help}";
    /// Wrong number of arguments.
    E0102 WRONG_ARITY: "`{name}` takes {expected}, not {found}"
        => "write `.{usage}`";
    /// Something else where a function is needed.
    E0103 NOT_A_CLOSURE: "`{name}` needs a function here"
        => "write a closure, `{example}`, or the path of a function";
    /// A closure with the wrong number of parameters.
    E0104 CLOSURE_PARAMETERS: "the closure of `{name}` takes {expected}, not {found}"
        => "write `{example}`{pair}";
    /// An async closure.
    E0105 ASYNC_CLOSURE: "the closure of `{name}` cannot be `async`"
        => "kernels never wait: remove `async`, and read what is needed from a stream";
    /// Type arguments on an operator.
    E0106 TURBOFISH: "`{name}` takes no type arguments"
        => "remove `::<…>`; types follow from the closure, whose parameters and result can be annotated";
    /// Something else where a stream is needed.
    E0107 NOT_A_STREAM: "`{name}` needs another stream here"
        => "pass the name of a stream, or a stream expression: `.{usage}`";
    /// Something else where a number is needed.
    E0108 NOT_A_NUMBER: "`{name}` needs a number here"
        => "write it out, like `{example}`; it is at least 1";
    /// A closure where a value is needed.
    E0109 NOT_A_VALUE: "`{name}` needs {what} here, not a closure"
        => "write `.{usage}`";
    /// An output without a URL.
    E0110 SAVE_WITHOUT_URL: "`save` needs to know where"
        => "write `.save(\"json+file://out/name\")`, or `.print()` to see the records in the terminal";
    /// An empty URL.
    E0111 EMPTY_URL: "this URL is empty"
        => "write where to {what}, like `{example}`";
    /// An obvious float as a key.
    E0112 FLOAT_KEY: "a float cannot be a key"
        => "equal floats need not be the same bits: use an integer, such as `(x * 100.0).round() as i64`, or text";
    /// Something else where an aggregate is needed.
    E0113 NOT_AN_AGGREGATE: "`{name}` needs an aggregate here"
        => "write one as a call: `.{usage}`";
    /// An argument of a name that the operator does not have.
    E0120 UNKNOWN_ARGUMENT: "`{name}` has no argument `{argument}`"
        => "{help}";
    /// An argument twice.
    E0121 ARGUMENT_TWICE: "`{argument}` is given twice"
        => "keep one of them";
    /// An argument that means nothing alone.
    E0122 ARGUMENT_ALONE: "`{argument}` means nothing without `{needs}`"
        => "add `{example}`, or remove it";

    // E02xx: windows and time.

    /// A window or slide that is not written out.
    E0201 DURATION_NOT_LITERAL: "the {what} of `{name}` must be a duration written as text"
        => "write `.{usage}`: it is part of the plan, so it cannot be computed when the job starts";
    /// A malformed duration.
    E0202 BAD_DURATION: "`{text}` isn't a valid duration"
        => "write a number with a unit: `\"500ms\"`, `\"30s\"`, `\"1.5s\"`, `\"2min\"`, `\"1h\"`, `\"30d\"`";
    /// Zero.
    E0203 ZERO_DURATION: "a {what} of zero contains nothing"
        => "it must be at least {least}";
    /// No multiple of the interval.
    E0204 NOT_OF_INTERVAL: "a {what} of {text} isn't a multiple of the job's interval of {interval}"
        => "use {below}, or another `interval`";
    /// No multiple of the parent's slide.
    E0205 NOT_OF_SLIDE: "a {what} of {text} isn't a multiple of the {slide} at which `{parent}` slides"
        => "use {below}, or another slide for `{parent}`";
    /// Two streams of different slides.
    E0206 DIFFERENT_SLIDES: "`{name}` needs streams that emit together: `{left}` emits every {left_slide}, `{right}` every {right_slide}"
        => "give both the same slide, with `.window(length, slide)`";
    /// Longer than the plan's tables can hold.
    E0207 TOO_LONG: "a {what} of {text} is too long"
        => "a window may span {most} batches at most";
    /// A timeout of zero.
    E0208 ZERO_TIME: "`{name}` with a time of zero remembers nothing"
        => "it must be at least 1ms";

    /// A window by event time over records that have lost their times.
    E0209 TIMES_LOST: "`{name}` would be a window of arrival time: the records of `{stream}` have no event times any more"
        => "an operator that works per batch has made them; give the window to the stream before it, or say their times again with `.event_time(…)`";
    /// An operator per batch over the results of windows.
    E0210 WINDOWS_MIXED: "`{name}` works per batch, and a batch of `{stream}` may have results of several windows"
        => "work on each window with `.window(length)` and `.{name}(…)`, if that reduces (one of the same length gets all results of it in one batch), or with `.top_k(…)`";
    /// A union of streams with and without times.
    E0212 TIMES_DIFFER: "`{left}` and `{right}` can't be united: their records don't have times of one kind"
        => "give both `.event_time(…)`, or neither; the results of windows unite with results of windows";
    /// A time span that is too long.
    E0213 TOO_LONG_TIME: "a {what} of {text} is too long"
        => "it may be a thousand years at most";

    /// A join by event time of records that have no times.
    E0214 NO_TIMES: "`{name}` meets records by their event times, and those of `{stream}` have none"
        => "say when they happened, with `.event_time(…)`: both streams need it";
    /// A range of times that is empty.
    E0215 MEETS_NOTHING: "`{name}` from {earliest} to {latest} meets nothing"
        => "the first difference must not be greater than the second, as in `\"-5m\", \"1m\"`";
    /// Something over windows of event time that does not reduce them.
    E0216 NOT_OVER_WINDOWS: "`{name}` does not work on the windows of `{stream}`: a batch holds parts of several windows"
        => "reduce each window first, with `.reduce_by_key(…)`, `.fold_by_key(…)`, `.group_by_key()`, `.count_by_value()`, `.distinct()`, `.reduce(…)` or `.count()`; unite streams before their windows";
    /// Sessions of records without times.
    E0217 NEEDS_EVENT_TIME: "`{name}` needs the times of records, and those of `{stream}` have none"
        => "say when each happened, with `.event_time(|record| record.at, \"10s\")`, before it";

    // E03xx: streams and their names.

    /// Unknown stream.
    E0301 UNKNOWN_STREAM: "no stream is called `{name}` here"
        => "{suggestion}define it before it is used: `let {name} = …;`";
    /// A stream that nothing uses.
    E0302 UNUSED_STREAM: "the stream `{name}` is not used"
        => "prefix it with `_` to keep it for later, remove it, or {way}";
    /// Two streams of one name.
    E0303 SAME_NAME: "two streams are called `{name}`"
        => "streams are known by their names, in queries and metrics too: call this one something else";
    /// One name for a stream and a value.
    E0304 SHADOWED: "`{name}` is already {what}"
        => "a name means one thing in a job: call this one something else";
    /// A second name for a stream.
    E0305 ALIAS: "`{alias}` would be a second name for `{name}`"
        => "use `{name}` itself: a stream can be used as often as you like";
    /// A stream in an ordinary expression.
    E0306 STREAM_AS_VALUE: "the stream `{name}` is used in an ordinary expression"
        => "a stream isn't a value when the job runs: it can only have operators called on it, or be passed to one, as in `{name}.map(…)`, `other.join({name})`";
    /// A stream in a closure.
    E0307 STREAM_IN_CLOSURE: "the stream `{name}` is used in a closure"
        => "a closure sees one record at a time; bring two streams together with `.join(…)` or `.union(…)`";
    /// A pattern for a stream.
    E0308 STREAM_PATTERN: "a stream is bound to one plain name"
        => "write `let name = …;`";
    /// `let mut`.
    E0309 LET_MUT: "nothing can be mutable in {where}"
        => "remove `mut`{instead}";
    /// A type on a stream.
    E0310 STREAM_TYPE: "the type of a stream is not written"
        => "remove `: {type}`; it follows from the closures, whose parameters and result can be annotated";
    /// A stream expression that goes nowhere.
    E0311 NO_EFFECT: "this stream goes nowhere"
        => "bind it, `let name = …;`{way}";
    /// A binding of an output.
    E0312 LET_OF_OUTPUT: "`{output}` makes no stream that could be bound"
        => "write the output as a statement of its own: `name.{output}(…);`";
    /// An output in the middle.
    E0313 OUTPUT_IN_CHAIN: "nothing can follow `{output}`"
        => "name the stream, and use it twice: `let name = …; name.{output}(…); name.…`";
    /// A job without output.
    E0314 NO_OUTPUT: "the job `{name}` has no output"
        => "add one: `stream.save(\"json+file://out/name\");` or `stream.print();`";
    /// A pattern for a value.
    E0315 LET_PATTERN: "a value is bound to one plain name here"
        => "write `let name = …;` and take it apart where it is used";
    /// A `let` without a value.
    E0316 LET_WITHOUT_VALUE: "this name gets no value"
        => "write `let {name} = …;`";
    /// An attribute in the body.
    E0317 BODY_ATTRIBUTE: "`#[{name}]` means nothing here"
        => "remove it; the only attribute in {where} is `#[allow_nondeterminism = \"why\"]`";

    /// A name of generated code.
    E0318 RESERVED_NAME: "names that begin with `__dstream` are reserved"
        => "call it something else: generated code has names of its own there";

    // E033x: tables.

    /// A table where a stream is.
    E0330 TABLE_AS_STREAM: "`{name}` takes a stream, and `{stream}` is a table"
        => "a table is met by the records of a stream: `stream.join({stream})`; to process its own records, read it with `source::…`";
    /// A table on the left of a join.
    E0331 TABLE_ON_LEFT: "`{stream}` is a table, and a table is on the right of `{name}`"
        => "write `stream.join({stream})`: each record of the stream meets the table";
    /// An operator that meets no table.
    E0332 NO_TABLE_FORM: "`{name}` meets two streams, and `{stream}` is a table"
        => "use `.join(…)`, `.left_outer_join(…)` or `.subtract_by_key(…)`, whose records meet all of the table";
    /// What is no table any more.
    E0333 CHANGES_OF_TABLE: "`{stream}` has only the changes of a table, and `{name}` would meet those of one batch"
        => "call `.latest_by_key()` last: change the records of the stream before it";
    /// A window of arrival time with a table.
    E0334 WINDOW_WITH_TABLE: "`{left}` is a window, and `{name}` with a table works on every batch"
        => "join the stream before `.window(…)`, and window what comes out";

    // E04xx: sources and operator functions.

    /// Unknown source.
    E0401 UNKNOWN_SOURCE: "there is no `{module}::{name}`"
        => "{suggestion}the {module}s are: {list}";
    /// A source without its type.
    E0402 SOURCE_WITHOUT_TYPE: "`{module}::{name}` needs to know what a record is"
        => "write `{usage}` with a type that derives `Record`";
    /// A source with a type it does not take.
    E0403 SOURCE_WITH_TYPE: "`{module}::{name}` takes no type: its records are lines of text"
        => "write `{usage}`";
    /// Wrong number of arguments.
    E0404 SOURCE_ARGUMENTS: "`{module}::{name}` takes one argument, where to read, not {found}"
        => "write `{usage}`";
    /// Several types.
    E0405 SOURCE_TYPES: "`{module}::{name}` takes one type"
        => "write `{usage}`";
    /// Unknown operator function.
    E0410 UNKNOWN_FUNCTION: "`{name}` is not known as a function of streams"
        => "mark it: `#[dstream::operator] fn {last}(…) -> Stream<…>`, and import it with `use`";
    /// Wrong number of arguments for an operator function.
    E0411 FUNCTION_ARITY: "`{name}` takes {expected}, not {found}"
        => "write `{usage}`";
    /// A value where a stream parameter is.
    E0412 FUNCTION_NEEDS_STREAM: "the parameter `{parameter}` of `{name}` is a stream"
        => "pass the name of a stream, or a stream expression";
    /// A stream where a value parameter is.
    E0413 FUNCTION_NEEDS_VALUE: "the parameter `{parameter}` of `{name}` isn't a stream"
        => "pass a value of type `{type}`";

    // E05xx: statements that do not belong in a body.

    /// `if`.
    E0501 IF: "{where} has no `if`"
        => "the plan is fixed when it is compiled: choose records with `.filter(…)`, or decide inside a closure or a plain `let`";
    /// `match`.
    E0502 MATCH: "{where} has no `match`"
        => "the plan is fixed when it is compiled: match inside a closure, such as that of `.filter_map(…)`, or a plain `let`";
    /// `for`.
    E0503 FOR: "{where} has no `for`"
        => "operators already work on every record: use `.map(…)` or `.flat_map(…)`";
    /// `while`, `loop`.
    E0504 LOOP: "{where} has no `{keyword}`"
        => "a job runs batch after batch by itself: state from batch to batch is kept by `.running_reduce(…)`, `.track(…)` or a window";
    /// `return`.
    E0505 RETURN: "{where} has no `return`"
        => "{instead}";
    /// `break`, `continue`.
    E0506 BREAK: "{where} has no `{keyword}`"
        => "leave records out with `.filter(…)`";
    /// `?`.
    E0507 TRY: "{where} has no `?`: nothing is returned to"
        => "handle errors in a closure: `.filter_map(|x| x.ok())` leaves out what failed";
    /// `.await`.
    E0508 AWAIT: "{where} has no `.await`"
        => "streams arrive by themselves: call operators on them, such as `.map(…)`";
    /// A block.
    E0509 BLOCK: "{where} has no blocks"
        => "write the statements without `{…}`";
    /// An assignment.
    E0510 ASSIGNMENT: "{where} assigns nothing"
        => "bind a new name with `let`; state from batch to batch is kept by `.running_reduce(…)` or `.track(…)`";
    /// A nested item.
    E0511 ITEM: "{where} has no `{what}`"
        => "define it outside of the function";
    /// A macro.
    E0512 MACRO: "{where} calls no macros such as `{name}!`"
        => "{instead}";
    /// Any other expression.
    E0513 EXPRESSION: "this statement computes nothing that is part of the plan"
        => "statements are `let name = …;` and outputs, `stream.save(url);` or `stream.print();`";
    /// `let … else`.
    E0514 LET_ELSE: "{where} has no `let … else`"
        => "leave records out with `.filter_map(…)`, or use `unwrap_or` in a plain `let`";

    // E06xx: determinism.

    /// A call whose result differs from run to run.
    E0601 NONDETERMINISTIC: "`{what}` can differ when a task runs again: {why}"
        => "{instead}\nif it cannot change the result, write `#[allow_nondeterminism = \"why\"]` before the closure or its `let`";
    /// An allowance without its reason.
    E0602 ALLOW_WITHOUT_REASON: "`allow_nondeterminism` needs a reason"
        => "write `#[allow_nondeterminism = \"why it cannot change the result\"]`";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_ordered() {
        for pair in ALL.windows(2) {
            assert!(pair[0].code < pair[1].code, "{} before {}", pair[0].code, pair[1].code);
        }
    }

    #[test]
    fn every_message_has_a_way_out() {
        for mistake in ALL {
            assert!(!mistake.help.is_empty(), "{}", mistake.code);
            assert!(!mistake.message.ends_with('.'), "{}", mistake.code);
        }
    }
}
