//! The documents, for `cargo test --doc`: their programs compile, and those with a `main` that tests hold.

/// The program in the README compiles.
#[doc = include_str!("../README.md")]
struct Readme;

/// The examples of the operators compile.
#[doc = include_str!("../docs/operators.md")]
struct Operators;

/// The corrected program of each mistake compiles.
#[doc = include_str!("../docs/errors.md")]
struct Errors;

#[doc = include_str!("../docs/start.md")]
struct Start;

#[doc = include_str!("../docs/programs.md")]
struct Programs;

#[doc = include_str!("../docs/event_time.md")]
struct EventTime;

#[doc = include_str!("../docs/state.md")]
struct State;

#[doc = include_str!("../docs/joins.md")]
struct Joins;

#[doc = include_str!("../docs/testing.md")]
struct Testing;

#[doc = include_str!("../docs/how_it_works.md")]
struct HowItWorks;

#[doc = include_str!("../docs/from_other_systems.md")]
struct OtherSystems;

#[doc = include_str!("../docs/inputs.md")]
struct Inputs;

#[doc = include_str!("../docs/outputs.md")]
struct Outputs;

#[doc = include_str!("../docs/operation.md")]
struct Operation;

#[doc = include_str!("../docs/guarantees.md")]
struct Guarantees;
