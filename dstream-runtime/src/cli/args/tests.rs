//! Command lines, and what becomes of them.

use std::time::Duration;

use super::verb::StopArgs;
use super::*;
use crate::plan::example;

#[derive(Debug, Args)]
struct Parameters {
    #[arg(long, default_value_t = 10)]
    k: usize,
}

#[derive(Debug, Args)]
struct Required {
    #[arg(long)]
    pattern: String,
}

#[derive(Debug, Args)]
struct Clashing {
    #[arg(long = "workers")]
    hands: u32,
}

/// A job of the example plan with those parameters.
struct Example(fn(Command) -> Command);

const EXAMPLE: Example = Example(Parameters::augment_args);

impl AnyJob for Example {
    fn plan(&self) -> &'static Plan {
        &example::PLAN
    }
    fn augment(&self, command: Command) -> Command {
        (self.0)(command)
    }
    fn build(&self, _: &ArgMatches, _: Bindings) -> Result<BuiltJob, clap::Error> {
        Err(clap::Error::new(ErrorKind::Io))
    }
    fn params_json(&self, _: &ArgMatches) -> Result<String, clap::Error> {
        unreachable!("these tests run no job")
    }
    fn build_from(&self, _: &str, _: Bindings) -> Result<BuiltJob, String> {
        unreachable!("these tests run no job")
    }
    fn boxed(&self) -> Box<dyn AnyJob + Send> {
        unreachable!("these tests run no job")
    }
}

fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(OsString::from).collect()
}

fn parsed(line: &str) -> Result<Invocation<'static>, String> {
    parse(&[&EXAMPLE], words(line)).map_err(|error| error.to_string())
}

#[track_caller]
fn refused(line: &str) -> String {
    let text = parsed(line).err().unwrap_or_else(|| panic!("{line} is taken"));
    // The message, without the usage below it.
    text.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn options_of_the_engine_and_of_the_job_stand_side_by_side() {
    let Invocation { engine, verb, .. } =
        parsed("job --k 3 --partitions 4 --cores 1 --summary json").unwrap();
    assert_eq!((engine.partitions, engine.cores), (4, Some(1)));
    assert_eq!(engine.summary, SummaryFormat::Json);
    assert!(verb.is_none());
    let plan = parsed("job plan --svg").unwrap().verb;
    assert!(matches!(plan, Some(Verb::Plan(p)) if p.svg));
    assert!(parsed("job --partitions 0").is_err());
    assert!(parsed("job plan --svg --dot").is_err());
}

#[test]
fn a_job_of_several_has_to_be_named() {
    let jobs: [&dyn AnyJob; 2] = [&EXAMPLE, &EXAMPLE];
    let choice =
        |line: &str| parse(&jobs, words(line)).map(|_| ()).map_err(|error| error.to_string());
    let name = example::PLAN.job;
    assert!(choice("job").unwrap_err().contains(name));
    assert!(choice("job --job unknown").unwrap_err().contains("unknown"));
    assert_eq!(choice(&format!("job --job {name}")), Ok(()));
    assert_eq!(choice(&format!("job --job={name} plan")), Ok(()));
}

#[test]
fn bindings_name_streams_of_the_job() {
    let source = example::PLAN.sources[0].name;
    let sink = example::PLAN.outputs[0].name;
    let bound = |line: &str| bindings(&example::PLAN, &parsed(line).unwrap().engine);
    let good = bound(&format!("job --source {source}=a=b --sink {source}.dead=none:")).unwrap();
    assert_eq!(good.sources[source], "a=b");
    assert_eq!(good.sinks[&format!("{source}.dead")], "none:");
    assert!(bound("job --sink unknown=none:").unwrap_err().contains(sink));
    for (option, name) in [("--source", source), ("--sink", sink)] {
        let misspelt: String = name.chars().rev().take(1).chain(name.chars().skip(1)).collect();
        let error = bound(&format!("job {option} {misspelt}=none:")).unwrap_err();
        assert!(error.contains(&format!("did you mean `{name}`?")), "{error}");
    }
    assert!(bound(&format!("job --source {source}")).unwrap_err().contains("NAME=URL"));
    let twice = bound(&format!("job --sink {sink}=none: --sink {sink}=stdout:"));
    assert!(twice.unwrap_err().contains("twice"));
}

#[test]
fn roles_have_defaults() {
    let local = parsed("job").unwrap().cluster;
    assert_eq!((local.role, local.workers, local.memory), (Role::Local, None, 2 << 30));
    let master = parsed("job --role master --listen [::]:7077 --workers 3 --state s").unwrap();
    assert_eq!(master.cluster.role, Role::Master);
    assert_eq!(master.cluster.listen, Some("[::]:7077".parse().unwrap()));
    assert_eq!(master.target.state, Some("s".into()));
    let worker =
        parsed("job --role worker --master a:1,b:2 --token-file t --memory 64MiB").unwrap();
    assert_eq!(worker.target.master, ["a:1", "b:2"]);
    assert_eq!(worker.cluster.memory, 64 << 20);
    assert!(parsed("job --role worker --master a:1 --cores 2 --name w --listen 0.0.0.0:0").is_ok());
    assert!(parsed("job --workers 0").is_ok());
    let durable = |line: &str| parsed(line).unwrap().cluster.checkpoint;
    assert_eq!(durable("job --state s"), Some(Duration::from_secs(10)));
    assert_eq!(durable("job --workers 2 --state s"), Some(Duration::from_secs(10)));
    assert_eq!(durable("job --state s --checkpoint 2s"), Some(Duration::from_secs(2)));
    assert_eq!(durable("job --workers 2"), None);
    // The state of a master is also where its authority is.
    assert_eq!(durable("job --role master --state s"), None);
}

#[test]
fn options_that_do_not_fit_a_role_say_why() {
    for (line, texts) in [
        ("job --listen 127.0.0.1:1", ["--listen does not fit --role local", "--role master"]),
        ("job --master a:1", ["--master does not fit --role local", "for workers"]),
        ("job --checkpoint 2s", ["--checkpoint", "--state DIR"]),
        ("job --workers 0 --checkpoint 2s", ["--checkpoint", "--state DIR"]),
        ("job --state x --overwrite", ["--overwrite", "another --state"]),
        ("job --state=~/run", ["--state ~/run: only a shell", "\"$HOME/run\""]),
        ("job --standby", ["--standby does not fit --role local", "waits for another"]),
        ("job --role master --standby", ["--standby", "--checkpoint INTERVAL"]),
        (
            "job --role master --ingest durable",
            ["--ingest durable: records are kept", "--checkpoint INTERVAL"],
        ),
        (
            "job --role worker --master a:1 --ingest durable",
            ["--ingest does not fit --role worker", "give it to the master"],
        ),
        ("job --name x", ["--name does not fit --role local", "name of a worker"]),
        ("job --token-file x", ["--token-file does not fit", "needs none"]),
        ("job --role master --cores 2", ["--cores does not fit --role master", "runs no tasks"]),
        ("job --role master --memory 1GiB", ["--memory does not fit --role master", "workers"]),
        ("job --role master --workers 0", ["--workers 0", "at least one"]),
        ("job --role master --master a:1", ["--master does not fit --role master", "for workers"]),
        ("job --role master --token-file t", ["--token-file does not fit", "makes tokens"]),
        ("job --role worker", ["has to know its master", "--token-file FILE"]),
        ("job --role worker --master a:1 --workers 2", ["--workers does not fit", "master"]),
        ("job --role worker --master a:1 --k 2", ["--k does not fit --role worker", "master"]),
        ("job --role worker --master a:1 --partitions 8", ["--partitions", "told by its master"]),
        ("job --role worker --master a:1 --source x=y", ["--source", "give it to the master"]),
        ("job --role worker --master a:1 --interval 1s", ["--interval", "told by its master"]),
    ] {
        let message = refused(line);
        for text in texts {
            assert!(message.contains(text), "{line}: {message}");
        }
    }
    for line in ["job --role boss", "job --role master --listen 7077", "job --memory 12", "job -w"]
    {
        refused(line);
    }
}

#[test]
fn a_worker_needs_no_parameters_of_the_job() {
    let job = Example(Required::augment_args);
    let taken = |line: &str| parse(&[&job], words(line)).is_ok();
    assert!(!taken("job"));
    assert!(!taken("job --role master"));
    assert!(taken("job --role master --pattern x"));
    assert!(taken("job --role worker --master a:1"));
    assert!(taken("job --role=worker --master a:1"));
    assert!(!taken("job --role worker --master a:1 --pattern x"));
    assert!(taken("job status"));
}

#[test]
fn a_parameter_cannot_have_the_name_of_an_option() {
    let job = Example(Clashing::augment_args);
    let error = parse(&[&job], words("job")).err().unwrap().to_string();
    assert!(error.contains("`hands` has the name of an option"), "{error}");
}

#[test]
fn verbs_reach_a_master_from_either_side() {
    for line in [
        "job status --json --master a:1,b:2 --token-file t --state s",
        "job --master a:1,b:2 --token-file t --state s status --json",
    ] {
        let Invocation { target, verb, .. } = parsed(line).unwrap();
        let master = vec!["a:1".to_owned(), "b:2".to_owned()];
        let (token_file, state) = (Some("t".into()), Some("s".into()));
        assert_eq!(target, TargetArgs { master, token_file, state }, "{line}");
        assert!(matches!(verb, Some(Verb::Status(FormArgs { json: true }))));
    }
    let verb = |line: &str| parsed(line).unwrap().verb.unwrap();
    assert!(matches!(verb("job stop --now"), Verb::Stop(StopArgs { now: true })));
    assert!(matches!(verb("job drain w1"), Verb::Drain(d) if d.worker == "w1"));
    assert!(matches!(verb("job send --stream views f"), Verb::Send(s) if s.stream == "views"));
    let Verb::Token(token) = verb("job token --role client --uses 3 --expires 7d --out -") else {
        panic!("another verb")
    };
    assert_eq!((token.holder, token.uses, token.expires.as_secs()), (Holder::Client, 3, 604_800));
    assert!(parsed("job drain").is_err());
    assert!(parsed("job token --expires soon").is_err());
}

#[test]
fn help_has_groups_and_the_order_of_use() {
    let help = refused_whole("job --help");
    let mut rest = help.as_str();
    for text in [
        "Commands:",
        "plan",
        "token",
        "status",
        "workers",
        "drain",
        "stop",
        "send",
        "Parameters of the job:",
        "--k",
        "Engine:",
        "--job",
        "--source",
        "--sink",
        "--interval",
        "--partitions",
        "--cores",
        "--summary",
        "--log",
        "Cluster:",
        "--role",
        "--workers",
        "--master",
        "--token-file",
        "--state",
        "--listen",
        "--name",
        "--memory",
        "Streams of this job:",
    ] {
        let at = rest.find(text).unwrap_or_else(|| panic!("no {text} in its place in\n{help}"));
        rest = &rest[at + text.len()..];
    }
}

#[test]
fn help_says_each_default_once() {
    for line in [
        "job --help",
        "job -h",
        "job plan --help",
        "job token --help",
        "job savepoint --help",
        "job send --help",
        "job stop --help",
    ] {
        let help = refused_whole(line);
        let words: Vec<&str> = help.split_whitespace().collect();
        let entries = words.join(" ");
        // An option's own text begins with its name, which no text about another option has in front.
        for entry in entries.split(" --") {
            assert!(entry.matches("[default:").count() <= 1, "{line}: {entry}");
        }
        for dialect in ["It is", "set aside", "come to"] {
            assert!(!help.contains(dialect), "{line}: {dialect}: {help}");
        }
    }
}

#[test]
fn help_names_every_scheme() {
    let help = refused_whole("job --help");
    for scheme in [
        "`-`",
        "named pipe",
        "file://",
        "tcp://",
        "http://",
        "generate://words",
        "generate://page_views",
    ] {
        assert!(help.contains(scheme), "{scheme}: {help}");
    }
    for scheme in
        ["text+file://", "csv+file://", "json+file://", "csv+stdout:", "json+stdout:", "none:"]
    {
        assert!(help.contains(scheme), "{scheme}: {help}");
    }
}

fn refused_whole(line: &str) -> String {
    parsed(line).err().unwrap()
}
