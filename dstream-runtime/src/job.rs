//! Jobs, as generated code presents them.

use clap::{ArgMatches, Args, Command, FromArgMatches};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::exec::job::{Bindings, Builder, BuiltJob};
use crate::plan::Plan;

/// What the parameters of a job are. `#[dstream::params]` implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the parameters of a job",
    label = "this is not marked as the parameters of a job",
    note = "write `#[dstream::params]` before `struct {Self}`: that makes its fields options of the command line"
)]
pub trait JobParams: Args + Serialize + DeserializeOwned + Send + Sync + 'static {}

/// A compiled stream program. `#[dstream::job]` implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no job",
    label = "this is no job",
    note = "a job is a function with `#[dstream::job]` before it"
)]
pub trait Job: Copy + Send + Sync + 'static {
    /// What the job is told on its command line; parsed once, and the same on every worker.
    type Params: JobParams;

    /// The constant tables.
    fn plan(&self) -> &'static Plan;

    /// Makes the stages.
    fn build(&self, params: &'static Self::Params, builder: &mut Builder);
}

/// What a job was compiled into.
pub struct Compiled<P: 'static> {
    /// The constant tables.
    pub plan: &'static Plan,
    /// Makes the stages.
    pub build: fn(&'static P, &mut Builder),
}

/// The parameters of a job that has none.
#[derive(Debug, Clone, Args, Serialize, serde::Deserialize)]
pub struct NoParams {}

impl JobParams for NoParams {}

/// A job whose parameters' type is forgotten: what a binary with several jobs holds.
pub trait AnyJob: Sync {
    /// The constant tables.
    fn plan(&self) -> &'static Plan;

    /// Adds the job's parameters to a command line.
    fn augment(&self, command: Command) -> Command;

    /// Builds the job from a parsed command line.
    ///
    /// # Errors
    /// When a parameter is missing or malformed.
    fn build(&self, matches: &ArgMatches, bindings: Bindings) -> Result<BuiltJob, clap::Error>;
}

impl<J: Job> AnyJob for J {
    fn plan(&self) -> &'static Plan {
        Job::plan(self)
    }

    fn augment(&self, command: Command) -> Command {
        J::Params::augment_args(command)
    }

    fn build(&self, matches: &ArgMatches, bindings: Bindings) -> Result<BuiltJob, clap::Error> {
        Ok(build(*self, J::Params::from_arg_matches(matches)?, bindings))
    }
}

/// A job for a binary. What is none is refused at the place where it is named.
pub fn job<J: Job>(job: J) -> Box<dyn AnyJob> {
    Box::new(job)
}

/// Builds a job. Its parameters live as long as the process, so that kernels can borrow from them.
pub fn build<J: Job>(job: J, params: J::Params, bindings: Bindings) -> BuiltJob {
    let mut builder = Builder::new(Job::plan(&job), bindings);
    Job::build(&job, Box::leak(Box::new(params)), &mut builder);
    builder.finish()
}
