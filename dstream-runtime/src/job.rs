//! Jobs, as provided by generated code.

use clap::error::ErrorKind;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::connectors::Connectors;
use crate::exec::job::{Bindings, Builder, BuiltJob};
use crate::plan::Plan;

/// The parameters of a job. `#[dstream::params]` implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the parameters of a job",
    label = "this is not marked as the parameters of a job",
    note = "write `#[dstream::params]` before `struct {Self}`: that makes its fields options of the command line"
)]
pub trait JobParams: Args + Serialize + DeserializeOwned + Send + Sync + 'static {}

/// A compiled stream program. `#[dstream::job]` implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a job",
    label = "this is not a job",
    note = "a job is a function with `#[dstream::job]` before it"
)]
pub trait Job: Copy + Send + Sync + 'static {
    /// The parameters from the command line: parsed once, equal on every worker.
    type Params: JobParams;

    /// The constant tables.
    fn plan(&self) -> &'static Plan;

    /// Makes the stages.
    fn build(&self, params: &'static Self::Params, builder: &mut Builder);
}

/// `#[dstream::job]` generates a function that returns the job.
#[diagnostic::do_not_recommend]
impl<F, J> Job for F
where
    F: Fn() -> J + Copy + Send + Sync + 'static,
    J: Job,
{
    type Params = J::Params;

    fn plan(&self) -> &'static Plan {
        self().plan()
    }

    fn build(&self, params: &'static Self::Params, builder: &mut Builder) {
        Job::build(&self(), params, builder);
    }
}

/// The compiled form of a job.
pub struct Compiled<P: 'static> {
    /// The constant tables.
    pub plan: &'static Plan,
    /// Makes the stages.
    pub build: fn(&'static P, &mut Builder),
}

/// Parameters of a job without parameters.
#[derive(Debug, Clone, Args, Serialize, serde::Deserialize)]
pub struct NoParams {}

impl JobParams for NoParams {}

/// A job with an erased parameter type, for binaries with several jobs.
pub trait AnyJob: Sync {
    /// The constant tables.
    fn plan(&self) -> &'static Plan;

    /// What the binary can read and write.
    fn connectors(&self) -> &'static Connectors {
        Connectors::built_in()
    }

    /// Adds the job's parameters to a command line.
    fn augment(&self, command: Command) -> Command;

    /// Builds the job from a parsed command line.
    ///
    /// # Errors
    /// When a parameter is missing or malformed.
    fn build(&self, matches: &ArgMatches, bindings: Bindings) -> Result<BuiltJob, clap::Error>;

    /// The job's parameters from a parsed command line, as JSON for workers.
    ///
    /// # Errors
    /// When a parameter is missing or malformed, or cannot be written as JSON.
    fn params_json(&self, matches: &ArgMatches) -> Result<String, clap::Error>;

    /// Builds the job from its parameters as JSON. Every process of a cluster, including the master, builds
    /// from the same text and so computes the same.
    ///
    /// # Errors
    /// When the text does not contain the parameters of this job.
    fn build_from(&self, params: &str, bindings: Bindings) -> Result<BuiltJob, String>;

    /// The same job as a value of its own, also for another thread.
    fn boxed(&self) -> Box<dyn AnyJob + Send>;
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

    fn params_json(&self, matches: &ArgMatches) -> Result<String, clap::Error> {
        let params = J::Params::from_arg_matches(matches)?;
        serde_json::to_string(&params).map_err(|error| {
            let message = format!("the parameters of the job cannot be written as JSON: {error}\n");
            clap::Error::raw(ErrorKind::ValueValidation, message)
        })
    }

    fn build_from(&self, params: &str, bindings: Bindings) -> Result<BuiltJob, String> {
        let params = serde_json::from_str(params).map_err(|error| {
            format!("the parameters of the job cannot be read from JSON: {error}, in {params}")
        })?;
        Ok(build(*self, params, bindings))
    }

    fn boxed(&self) -> Box<dyn AnyJob + Send> {
        Box::new(*self)
    }
}

/// A job of a binary that has connectors of its own.
pub struct Registered {
    /// The job.
    pub job: Box<dyn AnyJob + Send>,
    /// What the binary can read and write.
    pub connectors: &'static Connectors,
}

impl AnyJob for Registered {
    fn plan(&self) -> &'static Plan {
        self.job.plan()
    }

    fn connectors(&self) -> &'static Connectors {
        self.connectors
    }

    fn augment(&self, command: Command) -> Command {
        self.job.augment(command)
    }

    fn build(&self, matches: &ArgMatches, bindings: Bindings) -> Result<BuiltJob, clap::Error> {
        let built = self.job.build(matches, bindings)?;
        Ok(BuiltJob { connectors: self.connectors, ..built })
    }

    fn params_json(&self, matches: &ArgMatches) -> Result<String, clap::Error> {
        self.job.params_json(matches)
    }

    fn build_from(&self, params: &str, bindings: Bindings) -> Result<BuiltJob, String> {
        let built = self.job.build_from(params, bindings)?;
        Ok(BuiltJob { connectors: self.connectors, ..built })
    }

    fn boxed(&self) -> Box<dyn AnyJob + Send> {
        Box::new(Self { job: self.job.boxed(), connectors: self.connectors })
    }
}

/// A job for a binary. rustc reports other values where they are named.
pub fn job<J: Job>(job: J) -> Box<dyn AnyJob> {
    Box::new(job)
}

/// Builds a job. Its parameters are leaked, so that kernels can borrow from them.
pub fn build<J: Job>(job: J, params: J::Params, bindings: Bindings) -> BuiltJob {
    let mut builder = Builder::new(Job::plan(&job), bindings);
    Job::build(&job, Box::leak(Box::new(params)), &mut builder);
    builder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::SourceId;
    use crate::plan::example;
    use std::sync::Mutex;

    /// The parameters of the last job built.
    static SEEN: Mutex<Option<Parameters>> = Mutex::new(None);

    #[derive(Debug, Clone, PartialEq, Args, Serialize, serde::Deserialize)]
    struct Parameters {
        #[arg(long)]
        threshold: f64,
        #[arg(long)]
        pattern: Option<String>,
        #[arg(long, default_value_t = u64::MAX)]
        seed: u64,
        #[arg(long)]
        only: Vec<String>,
        #[arg(long)]
        strict: bool,
    }

    impl JobParams for Parameters {}

    #[derive(Clone, Copy)]
    struct Example;

    impl Job for Example {
        type Params = Parameters;
        fn plan(&self) -> &'static Plan {
            &example::PLAN
        }
        fn build(&self, params: &'static Parameters, builder: &mut Builder) {
            *SEEN.lock().unwrap() = Some(params.clone());
            builder.source::<crate::source::TextLines>(SourceId(0), "none");
        }
    }

    #[test]
    fn parameters_arrive_as_they_were_given() {
        let arguments = ["job", "--threshold", "0.30000000000000004", "--pattern", "a \"b\" \n é"];
        let more = ["--only", "x", "--only", "y", "--strict"];
        let matches = Example
            .augment(Command::new("job"))
            .try_get_matches_from(arguments.into_iter().chain(more))
            .unwrap();
        let json = Example.params_json(&matches).unwrap();
        AnyJob::build(&Example, &matches, Bindings::default()).unwrap();
        let here = SEEN.lock().unwrap().take().unwrap();
        let bound = Bindings {
            sources: [(example::PLAN.sources[0].name.to_owned(), "elsewhere".to_owned())].into(),
            ..Bindings::default()
        };
        let built = Example.build_from(&json, bound).unwrap();
        assert_eq!(SEEN.lock().unwrap().take(), Some(here));
        assert_eq!(built.sources[0].url, "elsewhere");
        let wrong = Example.build_from("{\"k\": 1}", Bindings::default()).err().unwrap();
        assert!(wrong.contains("missing field"), "{wrong}");
    }
}
