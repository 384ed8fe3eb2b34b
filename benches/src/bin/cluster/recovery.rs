//! Kills processes of a live job and measures the delay of results, batch by batch.
//!
//! The kill comes at a random instant of a batch interval, drawn from a seed; the instants of a case's runs
//! are spread evenly. Delays come from the job's log, which must contain every batch. The runs of a case are
//! drawn in one figure, like the paper's figures 10 to 13, beside their data.

mod drawing;
mod outcome;
mod processes;

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::ValueEnum;
use dstream_bench::data::SplitMix;
use dstream_bench::runs::Spread;

use self::drawing::Figure;
use self::outcome::{Batches, Outcome, Shown};
use self::processes::Setup;
use crate::started::Started;

/// Measures the delay of results when processes are killed
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The processes to kill.
    #[arg(value_enum, default_values = ["worker", "far", "master", "two"])]
    who: Vec<Who>,
    /// Checkpoint intervals.
    #[arg(long, value_delimiter = ',', default_value = "2s,10s")]
    checkpoint: Vec<String>,
    /// Runs of each case, in turns.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Seed of the instants and of the choice of workers.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The job; its batch interval is a second.
    #[arg(long, default_value = "word_count_window")]
    job: String,
    /// Workers.
    #[arg(long, default_value_t = 4)]
    workers: u32,
    /// Records per second.
    #[arg(long, default_value_t = 100_000)]
    rate: u64,
    /// Batches before the kill, which fill the job's window.
    #[arg(long, default_value_t = 33)]
    before: u64,
    /// Batches after it.
    #[arg(long, default_value_t = 10)]
    after: u64,
    /// The directory for figures and data.
    #[arg(long, default_value = "benches/recovery")]
    out: PathBuf,
}

/// The process to kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Who {
    /// A worker, without replacement.
    Worker,
    /// A worker started separately, as on another host: its master must detect the loss.
    Far,
    /// The master, restarted at once.
    Master,
    /// Two workers at once.
    Two,
}

impl Who {
    fn name(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Far => "far",
            Self::Master => "master",
            Self::Two => "two",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Worker => "a worker killed",
            Self::Far => "a separately started worker killed",
            Self::Master => "the master killed and started again",
            Self::Two => "two workers killed at once",
        }
    }

    /// The aim in milliseconds; `excess` is the allowed excess for a single worker.
    fn aim(self, checkpoint: &str) -> Aim {
        match (self, checkpoint) {
            (Self::Master, _) => Aim::Again(2_000.0),
            (_, "2s") => Aim::Excess(200.0),
            _ => Aim::Excess(1_000.0),
        }
    }
}

/// An aim.
#[derive(Debug, Clone, Copy)]
enum Aim {
    /// Longest excess of the delay, in milliseconds.
    Excess(f64),
    /// Results again within this many milliseconds of the kill.
    Again(f64),
}

impl Aim {
    fn text(self) -> String {
        match self {
            Self::Excess(ms) => format!("aim: at most {ms:.0} ms more than normal"),
            Self::Again(ms) => format!("aim: results again within {ms:.0} ms"),
        }
    }

    fn is_met(self, outcome: &Outcome) -> bool {
        match self {
            Self::Excess(ms) => outcome.excess_ms <= ms,
            Self::Again(ms) => outcome.again_ms <= ms,
        }
    }
}

/// Warm-up batches, not measured.
const WARM: u64 = 5;

/// A process to kill and a checkpoint interval.
struct Case<'o> {
    options: &'o Options,
    who: Who,
    checkpoint: &'o str,
    /// Phase of the first run's kill within a batch interval.
    phase: f64,
    outcomes: Vec<Outcome>,
}

pub(crate) fn measure(options: &Options) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(&options.out)?;
    let mut random = SplitMix::new(options.seed);
    let mut cases = Vec::new();
    for who in &options.who {
        for checkpoint in &options.checkpoint {
            let phase = f64::from(random.below(1 << 16)) / f64::from(1 << 16);
            cases.push(Case { options, who: *who, checkpoint, phase, outcomes: Vec::new() });
        }
    }
    for _ in 0..options.runs {
        for case in &mut cases {
            case.run(&mut random)?;
            // Keep the data if a later run fails.
            case.write()?;
        }
    }
    println!();
    for case in &cases {
        println!("{}", case.summary());
    }
    Ok(())
}

impl Case<'_> {
    fn run(&mut self, random: &mut SplitMix) -> Result<(), Box<dyn Error>> {
        let share = self.outcomes.len() as f64 / self.options.runs.max(1) as f64;
        let phase = (self.phase + share).fract();
        let (seen, killed_ms) = match self.who {
            Who::Worker => self.workers(1, phase, random)?,
            Who::Two => self.workers(2, phase, random)?,
            Who::Far => self.far(phase, random)?,
            Who::Master => self.master(phase)?,
        };
        let outcome = seen.outcome(WARM, killed_ms)?;
        println!(
            "{}, states saved every {}, killed {:3.0} ms after a batch: delay {:.0} ms before, at most {:.0} ms \
             after ({:+.0} ms), results again after {:.0} ms",
            self.who.title(),
            self.checkpoint,
            outcome.phase_ms(seen.interval_ms()),
            outcome.normal.median,
            outcome.worst_ms,
            outcome.excess_ms,
            outcome.again_ms,
        );
        self.outcomes.push(outcome);
        Ok(())
    }

    fn setup(&self) -> Setup {
        let Options { job, rate, workers, .. } = self.options;
        let (job, checkpoint) = (job.clone(), self.checkpoint.to_owned());
        Setup { job, rate: *rate, workers: *workers, checkpoint }
    }

    /// The last batch before the kill, and the last one measured.
    fn fault(&self) -> (u64, u64) {
        let fault = WARM + self.options.before;
        (fault, fault + 1 + self.options.after)
    }

    /// Kills workers started by their master.
    fn workers(
        &self,
        victims: usize,
        phase: f64,
        random: &mut SplitMix,
    ) -> Result<(Batches, f64), Box<dyn Error>> {
        let job = self.setup().together()?;
        let workers = || {
            let family = job.family().into_iter();
            family.filter(|(name, _)| name != "master").map(|(_, pid)| pid).collect()
        };
        let result = self.lose(&job, workers, victims, phase, random)?;
        job.interrupt()?;
        job.end()?;
        Ok(result)
    }

    /// Kills a worker started separately.
    fn far(&self, phase: f64, random: &mut SplitMix) -> Result<(Batches, f64), Box<dyn Error>> {
        let cluster = self.setup().apart()?;
        self.lose(&cluster.master, || cluster.workers(), 1, phase, random)
    }

    fn lose(
        &self,
        job: &Started,
        workers: impl Fn() -> Vec<u32>,
        victims: usize,
        phase: f64,
        random: &mut SplitMix,
    ) -> Result<(Batches, f64), Box<dyn Error>> {
        let (fault, last) = self.fault();
        let mut seen = Batches::default();
        until(job, fault, &mut seen)?;
        let (mut workers, mut killed) = (workers(), Vec::new());
        for _ in 0..victims {
            let left = u32::try_from(workers.len())?;
            if left == 0 {
                return Err("fewer workers than are to be killed".into());
            }
            killed.push(workers.swap_remove(random.below(left) as usize));
        }
        let killed_ms = wait_for_phase(&seen, phase)?;
        killed.into_iter().try_for_each(processes::kill)?;
        until(job, last, &mut seen)?;
        match job.all_said().iter().any(|news| news["event"] == "recovering") {
            true => Ok((seen, killed_ms)),
            false => Err("nothing was recovered: the run is void".into()),
        }
    }

    fn master(&self, phase: f64) -> Result<(Batches, f64), Box<dyn Error>> {
        let (setup, (fault, last)) = (self.setup(), self.fault());
        let mut cluster = setup.apart()?;
        let mut seen = Batches::default();
        until(&cluster.master, fault, &mut seen)?;
        let killed_ms = wait_for_phase(&seen, phase)?;
        let said = cluster.restart(&setup)?;
        for news in said.iter().filter(|news| news["event"] == "batch") {
            seen.add(shown(news)?);
        }
        let resumed = cluster.master.wait_for("resumed")?;
        let number = |key: &str| resumed[key].as_u64().ok_or(format!("no {key}: {resumed}"));
        seen.settle(number("first")?.saturating_sub(number("again")?), killed_ms);
        until(&cluster.master, last, &mut seen)?;
        Ok((seen, killed_ms))
    }

    fn spread(&self, value: fn(&Outcome) -> f64) -> Spread {
        Spread::of(self.outcomes.iter().map(value).collect())
    }

    fn summary(&self) -> String {
        let [normal, excess, again] =
            [|o: &Outcome| o.normal.median, |o: &Outcome| o.excess_ms, |o: &Outcome| o.again_ms]
                .map(|value| {
                    let Spread { median, min, max } = self.spread(value);
                    format!("{median:5.0} ms ({min:.0} to {max:.0})")
                });
        let aim = self.who.aim(self.checkpoint);
        let met = self.outcomes.iter().filter(|outcome| aim.is_met(outcome)).count();
        format!(
            "{:6} every {:4}: normal {normal}, worst excess {excess}, results again {again}; {}: {met} of {}",
            self.who.name(),
            self.checkpoint,
            aim.text(),
            self.outcomes.len(),
        )
    }

    /// Writes the figure and its data.
    fn write(&self) -> Result<(), Box<dyn Error>> {
        let options = self.options;
        let data = serde_json::json!({
            "killed": self.who.name(), "checkpoint": self.checkpoint, "job": options.job,
            "records_per_second": options.rate, "workers": options.workers, "seed": options.seed,
            "normal_ms": self.spread(|outcome| outcome.normal.median),
            "excess_ms": self.spread(|outcome| outcome.excess_ms),
            "again_ms": self.spread(|outcome| outcome.again_ms),
            "runs": self.outcomes,
        });
        let file = options.out.join(format!("{}-{}", self.who.name(), self.checkpoint));
        fs::write(file.with_extension("json"), format!("{data}\n"))?;
        let runs: Vec<Vec<(f64, f64)>> = self
            .outcomes
            .iter()
            .map(|outcome| {
                let at = |shown: &Shown| (shown.end_ms - outcome.killed_ms) / 1e3;
                outcome.batches.iter().map(|shown| (at(shown), shown.delay_ms)).collect()
            })
            .collect();
        let normal = self.spread(|outcome| outcome.normal.median).median;
        let aim = self.who.aim(self.checkpoint);
        let (Aim::Excess(above) | Aim::Again(above)) = aim;
        let at = match aim {
            Aim::Excess(_) => normal + above,
            Aim::Again(_) => above,
        };
        let figure = Figure {
            title: &format!("{}, states saved every {}", self.who.title(), self.checkpoint),
            runs: &runs,
            aim: (at, &aim.text()),
            normal,
            span: (-10.0, options.after as f64 + 1.0),
        };
        fs::write(file.with_extension("svg"), figure.svg())?;
        Ok(())
    }
}

/// Reads the job's batch events up to one.
fn until(job: &Started, last: u64, seen: &mut Batches) -> Result<(), Box<dyn Error>> {
    while seen.last().is_none_or(|shown| shown.batch < last) {
        seen.add(shown(&job.wait_for("batch")?)?);
    }
    Ok(())
}

/// The batch of a log line.
fn shown(news: &serde_json::Value) -> Result<Shown, Box<dyn Error>> {
    if news["batches"] != 1 {
        return Err(format!("not every batch has a line: {news}").into());
    }
    let number = |key: &str| news[key].as_f64().ok_or_else(|| format!("no {key}: {news}"));
    // Rounded to a tenth of a millisecond.
    let (end_ms, delay_ms) = (number("batch_time")?, (number("delay_ms")? * 10.0).round() / 10.0);
    Ok(Shown { batch: number("batch")? as u64, end_ms, delay_ms })
}

/// Waits for a phase of the interval after the next batch; returns the time.
fn wait_for_phase(seen: &Batches, phase: f64) -> Result<f64, Box<dyn Error>> {
    let last = seen.last().ok_or("no batch yet")?;
    let at = last.end_ms + (1.0 + phase) * seen.interval_ms();
    std::thread::sleep(Duration::from_secs_f64((at - unix_ms()).max(0.0) / 1e3));
    Ok(unix_ms())
}

fn unix_ms() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs_f64() * 1e3
}
