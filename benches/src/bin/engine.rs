//! Compares the engine with hand-written programs: whole processes, from a file to results, in turns.
//!
//! ```text
//! cargo build --release -p dstream-bench
//! target/fat/engine --runs 7 --json target/engine.json
//! ```
#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;
use dstream_bench::data;
use dstream_bench::output::Output;
use dstream_bench::runs::{Run, Spread, run};
use serde::Serialize;

/// Compares the engine with hand-written programs
#[derive(Parser)]
struct Options {
    /// Only jobs whose name contains this.
    #[arg(default_value = "")]
    only: String,
    /// Lines of input.
    #[arg(long, default_value_t = 10_000_000)]
    rows: u64,
    /// Lines per batch.
    #[arg(long, default_value_t = 1_000_000)]
    batch_records: u64,
    /// Runs of each program; the median counts.
    #[arg(long, default_value_t = 7)]
    runs: usize,
    /// Threads of every program.
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    threads: Vec<u32>,
    /// Partitions of dstream.
    #[arg(long)]
    partitions: Option<u32>,
    /// Programs; the others are compared with the first. `plain`, `expert`, `dstream`, or `dstream-bytes`,
    /// which cuts equal batches by size instead of lines
    #[arg(long, value_delimiter = ',', default_value = "plain,expert,dstream,dstream-bytes")]
    programs: Vec<String>,
    /// Outputs: only counted, or written to files.
    #[arg(long, value_delimiter = ',', default_value = "none,files")]
    outputs: Vec<String>,
    /// The directory for data.
    #[arg(long, default_value = "target/bench-data")]
    data: PathBuf,
    /// A file for all figures.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// A job, with its name in both programs.
struct Job {
    name: &'static str,
    data: &'static str,
    source: &'static str,
    outputs: &'static [&'static str],
}

const JOBS: [Job; 6] = [
    Job { name: "grep", data: "words", source: "lines", outputs: &["matches"] },
    Job { name: "word_count", data: "words", source: "lines", outputs: &["counts"] },
    Job { name: "csv_sum", data: "csv", source: "lines", outputs: &["counts"] },
    Job { name: "word_count_window", data: "words", source: "lines", outputs: &["counts"] },
    Job {
        name: "word_count_both",
        data: "words",
        source: "lines",
        outputs: &["counts", "windowed"],
    },
    Job { name: "top_k_window", data: "words", source: "lines", outputs: &["counts"] },
];

/// The figures of one program.
#[derive(Serialize)]
struct Figures {
    job: &'static str,
    output: String,
    threads: u32,
    program: String,
    records: u64,
    /// Seconds from start to end of the process.
    wall: Spread,
    /// Seconds reported by the program.
    reported: Spread,
    /// Seconds of processor time.
    cpu: Spread,
    records_per_second: f64,
    /// Speed relative to the first program.
    ratio: f64,
    /// The same, by processor time.
    cpu_ratio: f64,
}

/// One program on one job.
struct Case<'a> {
    options: &'a Options,
    job: &'a Job,
    output: &'a str,
    threads: u32,
    input: &'a Path,
    scratch: &'a Path,
}

impl Case<'_> {
    fn command(&self, program: &str) -> Result<Command, Box<dyn Error>> {
        let beside = |name: &str| std::env::current_exe().map(|me| me.with_file_name(name));
        let to_files = self.output == "files";
        if !is_dstream(program) {
            let mut command = Command::new(beside("handwritten")?);
            command.arg(self.job.name).arg(self.input).args(["--style", program]);
            command.args(["--threads", &self.threads.to_string()]);
            command.args(["--batch-records", &self.options.batch_records.to_string()]);
            match to_files {
                true => command.arg("--output").arg(self.scratch.join("by-hand")),
                false => command.arg("--no-output"),
            };
            return Ok(command);
        }
        let mut command = Command::new(beside("streams")?);
        let (source, records) = (self.job.source, self.options.batch_records);
        // Lines of words have equal lengths, so they need not be counted.
        let batch = match program {
            "dstream-bytes" => format!("batch={}", records * data::LINE as u64),
            _ => format!("batch_records={records}"),
        };
        command.args(["--summary", "json", "--job", self.job.name]);
        command.args(["--cores", &self.threads.to_string()]);
        if let Some(partitions) = self.options.partitions {
            command.args(["--partitions", &partitions.to_string()]);
        }
        let input = self.input.display();
        command.args(["--source", &format!("{source}=file://{input}?{batch}&windows=batches")]);
        for output in self.job.outputs {
            let url = match to_files {
                // The hand-written program does not sync its file.
                true => {
                    let format = if self.job.name == "grep" { "text" } else { "csv" };
                    format!("{format}+file://{}?fsync=false", self.scratch.join(output).display())
                }
                false => "none:".to_owned(),
            };
            command.args(["--sink", &format!("{output}={url}")]);
        }
        Ok(command)
    }

    /// The number of result rows, and their checksum if they were written.
    fn results(&self, program: &str, run: &Run) -> Result<(u64, Option<String>), Box<dyn Error>> {
        if !is_dstream(program) {
            let checksum = run.said["checksum"].as_str().map(str::to_owned);
            return Ok((run.said["rows"].as_u64().unwrap_or_default(), checksum));
        }
        let outputs = run.said["outputs"].as_array().into_iter().flatten();
        let rows = outputs.filter_map(|output| output["records"].as_u64()).sum();
        if self.output != "files" {
            return Ok((rows, None));
        }
        let mut read = Output::new(None)?;
        for output in self.job.outputs {
            for batch in fs::read_dir(self.scratch.join(output))? {
                read_batch(&batch?.path(), self.job.name == "grep", &mut read)?;
            }
        }
        Ok((rows, Some(format!("{:016x}", read.checksum))))
    }

    /// Runs all programs in turns, so that a slow moment affects all alike.
    fn measure(&self) -> Result<Vec<Figures>, Box<dyn Error>> {
        let sized = |program: &&String| *program != "dstream-bytes" || self.job.data == "words";
        let programs: Vec<_> = self.options.programs.iter().filter(sized).collect();
        let mut runs: Vec<Vec<Run>> = vec![Vec::new(); programs.len()];
        let mut expected = None;
        // One extra run to warm programs and data.
        for round in 0..=self.options.runs {
            for (program, runs) in programs.iter().zip(&mut runs) {
                let run = run(&mut self.command(program)?)?;
                let (rows, checksum) = self.results(program, &run)?;
                let (known_rows, known) = expected.get_or_insert((rows, checksum.clone()));
                if *known_rows != rows
                    || checksum.is_some_and(|c| *known.get_or_insert(c.clone()) != c)
                {
                    let Job { name, .. } = self.job;
                    return Err(format!("{program} of {name} gives other results").into());
                }
                if round > 0 {
                    runs.push(run);
                }
                for entry in fs::read_dir(self.scratch)? {
                    let path = entry?.path();
                    if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
                }
            }
        }
        let spread =
            |runs: &[Run], value: fn(&Run) -> f64| Spread::of(runs.iter().map(value).collect());
        let reported = |run: &Run| {
            run.said["elapsed"].as_f64().or(run.said["seconds"].as_f64()).unwrap_or(f64::NAN)
        };
        let wall = |runs: &[Run]| spread(runs, |run| run.wall);
        let cpu = |runs: &[Run]| spread(runs, |run| run.cpu);
        let (first_wall, first_cpu) = (wall(&runs[0]), cpu(&runs[0]));
        let figures = programs.iter().zip(&runs).map(|(&program, runs)| Figures {
            job: self.job.name,
            output: self.output.to_owned(),
            threads: self.threads,
            program: program.clone(),
            records: self.options.rows,
            wall: wall(runs),
            reported: spread(runs, reported),
            cpu: cpu(runs),
            records_per_second: self.options.rows as f64 / wall(runs).median,
            ratio: first_wall.median / wall(runs).median,
            cpu_ratio: first_cpu.median / cpu(runs).median,
        });
        Ok(figures.collect())
    }
}

fn is_dstream(program: &str) -> bool {
    program.starts_with("dstream")
}

/// Adds a published batch's rows to a checksum.
fn read_batch(dir: &Path, whole_lines: bool, into: &mut Output) -> Result<(), Box<dyn Error>> {
    for part in fs::read_dir(dir)? {
        let path = part?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if !matches!(extension, Some("csv" | "txt")) {
            continue;
        }
        let text = fs::read(&path)?;
        for line in text.split(|byte| *byte == b'\n') {
            if line.is_empty() {
                continue;
            }
            let comma = line.iter().rposition(|byte| *byte == b',');
            match comma.filter(|_| !whole_lines) {
                Some(comma) => {
                    into.row(&line[..comma], std::str::from_utf8(&line[comma + 1..])?.parse()?);
                }
                None => into.line(line),
            }
        }
    }
    Ok(())
}

/// A data file of that kind, created if missing.
fn prepare(options: &Options, kind: &str) -> Result<PathBuf, Box<dyn Error>> {
    fs::create_dir_all(&options.data)?;
    let path = fs::canonicalize(&options.data)?.join(format!("{kind}-{}", options.rows));
    if !path.exists() {
        // Written under another name until complete.
        let making = path.with_extension("making");
        let mut out = BufWriter::with_capacity(1 << 20, File::create(&making)?);
        match kind {
            "csv" => data::write_csv(options.rows, 1, &mut out)?,
            _ => data::write_words(options.rows, 1, &mut out)?,
        }
        out.flush()?;
        fs::rename(making, &path)?;
    }
    Ok(path)
}

fn show(figures: &Figures) {
    let Figures { wall, reported, .. } = figures;
    println!(
        "{:18} {:5} {:>2} {:13} {:7.2}M/s {:7.3} s ({:.3}–{:.3}) reported {:7.3} cpu {:6.2}  {:5.2}x  cpu {:5.2}x",
        figures.job,
        figures.output,
        figures.threads,
        figures.program,
        figures.records_per_second / 1e6,
        wall.median,
        wall.min,
        wall.max,
        reported.median,
        figures.cpu.median,
        figures.ratio,
        figures.cpu_ratio,
    );
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let scratch = std::env::temp_dir().join(format!("dstream-bench-{}", std::process::id()));
    fs::create_dir_all(&scratch)?;
    let mut all = Vec::new();
    let measured = (|| -> Result<(), Box<dyn Error>> {
        for job in JOBS.iter().filter(|job| job.name.contains(&options.only)) {
            let input = &prepare(&options, job.data)?;
            for output in &options.outputs {
                for threads in options.threads.iter().copied() {
                    let (options, scratch) = (&options, &*scratch);
                    let case = Case { options, job, output, threads, input, scratch };
                    let figures = case.measure()?;
                    figures.iter().for_each(show);
                    all.extend(figures);
                }
            }
        }
        Ok(())
    })();
    fs::remove_dir_all(&scratch)?;
    measured?;
    if let Some(path) = &options.json {
        fs::write(path, serde_json::to_vec_pretty(&all)?)?;
    }
    Ok(())
}
