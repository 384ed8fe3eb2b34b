//! A process is killed in the middle of a live job: by how much results are late, batch by batch around it.
//!
//! The figure of each run is drawn as the paper's figures 10 to 13 are, and lies beside its data in
//! `benches/recovery`.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::started::{Started, streams};

/// Measures the delay of results around the end of a process.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// What is killed.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "worker,master")]
    who: Vec<Who>,
    /// How often states are saved.
    #[arg(long, value_delimiter = ',', default_value = "2s,10s")]
    checkpoints: Vec<String>,
    /// The job; its batches are of a second.
    #[arg(long, default_value = "word_count_window")]
    job: String,
    /// Workers.
    #[arg(long, default_value_t = 4)]
    workers: u32,
    /// Records per second.
    #[arg(long, default_value_t = 100_000)]
    rate: u64,
    /// Batches before the end of the process, and after it.
    #[arg(long, default_value_t = 33)]
    before: usize,
    /// Batches after it.
    #[arg(long, default_value_t = 15)]
    after: usize,
    /// Runs of each, in turns; the last one is drawn.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Where figures and data are written.
    #[arg(long, default_value = "benches/recovery")]
    out: PathBuf,
}

/// A process of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Who {
    /// One of the workers; nobody takes its place.
    Worker,
    /// The master, which is started again at once.
    Master,
}

/// Batches at the start that do not count.
const WARM: u64 = 5;

/// A batch: its number, and how late its results were, in milliseconds.
type Point = (u64, f64);

pub(crate) fn measure(options: &Options) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(&options.out)?;
    for run in 1..=options.runs {
        for who in &options.who {
            for every in &options.checkpoints {
                let points = match who {
                    Who::Worker => worker(options, every)?,
                    Who::Master => master(options, every)?,
                };
                report(options, *who, every, run, &points)?;
            }
        }
    }
    Ok(())
}

fn job(options: &Options, every: &str) -> Result<Command, Box<dyn Error>> {
    let mut command = streams(&options.job)?;
    command.args(["--source", &format!("lines=generate://words?rate={}", options.rate)]);
    command.args(["--checkpoint", every]);
    Ok(command)
}

/// The next batch that is told of.
fn point(job: &Started) -> Result<Point, Box<dyn Error>> {
    let news = job.wait_for("batch")?;
    let number = |key: &str| news[key].as_f64().ok_or_else(|| format!("no {key}: {news}"));
    Ok((number("batch")? as u64, number("delay_ms")?))
}

/// All batches up to the one with that number.
fn until(job: &Started, last: u64, points: &mut Vec<Point>) -> Result<(), Box<dyn Error>> {
    while points.last().is_none_or(|(batch, _)| *batch < last) {
        points.push(point(job)?);
    }
    Ok(())
}

fn worker(options: &Options, every: &str) -> Result<Vec<Point>, Box<dyn Error>> {
    let mut command = job(options, every)?;
    command.args(["--workers", &options.workers.to_string()]);
    let job = Started::start_with_batches(command)?;
    let mut points = Vec::new();
    let fault = WARM + options.before as u64;
    until(&job, fault, &mut points)?;
    let victim = job.family().into_iter().find(|(name, _)| name != "master");
    let victim = victim.and_then(|(_, pid)| Pid::from_raw(pid.cast_signed())).ok_or("no worker")?;
    kill_process(victim, Signal::KILL)?;
    job.wait_for("recovering")?;
    until(&job, fault + options.after as u64, &mut points)?;
    job.interrupt()?;
    job.end()?;
    Ok(points)
}

fn master(options: &Options, every: &str) -> Result<Vec<Point>, Box<dyn Error>> {
    let state = std::env::temp_dir().join(format!("dstream-recovery-{}", std::process::id()));
    let result = master_in(options, every, &state);
    // What cannot be removed lies where such things are swept away.
    let _ = fs::remove_dir_all(&state);
    result
}

fn master_in(options: &Options, every: &str, state: &Path) -> Result<Vec<Point>, Box<dyn Error>> {
    let start = |listen: &str| {
        let mut command = job(options, every)?;
        command.args(["--role", "master", "--listen", listen]);
        command.args(["--workers", &options.workers.to_string()]);
        command.args(["--state".as_ref(), state.as_os_str()]);
        Started::start_with_batches(command)
    };
    let first = start("127.0.0.1:0")?;
    let listening = first.wait_for("listening")?;
    let addr = listening["address"].as_str().ok_or("no address")?.to_owned();
    let mut crew = Vec::new();
    for n in 1..=options.workers {
        let mut command = streams(&options.job)?;
        command.args(["--role", "worker", "--log", "json", "--cores", "1", "--master", &addr]);
        command.args(["--name", &format!("w{n}")]);
        command.args(["--token-file".as_ref(), state.join("worker.token").as_os_str()]);
        command.args(["--state".as_ref(), state.join(format!("w{n}")).as_os_str()]);
        crew.push(Started::start_as_is(command)?);
    }
    let mut points = Vec::new();
    let fault = WARM + options.before as u64;
    until(&first, fault, &mut points)?;
    first.kill()?;
    let second = start(&addr)?;
    second.wait_for("resumed")?;
    until(&second, fault + options.after as u64, &mut points)?;
    second.interrupt()?;
    second.end()?;
    Ok(points)
}

/// Says what came out, and draws it.
fn report(
    options: &Options,
    who: Who,
    every: &str,
    run: usize,
    points: &[Point],
) -> Result<(), Box<dyn Error>> {
    let fault = WARM + options.before as u64;
    let normal = points.iter().filter(|(b, _)| (WARM + 1..=fault).contains(b));
    let mut normal: Vec<f64> = normal.map(|(_, delay)| *delay).collect();
    normal.sort_by(f64::total_cmp);
    let normal = normal.get(normal.len() / 2).copied().unwrap_or(f64::NAN);
    let after = points.iter().filter(|(batch, _)| *batch > fault);
    let worst = after.map(|(_, delay)| *delay).fold(0.0, f64::max);
    let name = format!("{who:?}").to_lowercase();
    println!(
        "{name} killed, states saved every {every}, run {run}: delay {normal:.0} ms before, at most \
         {worst:.0} ms after: {:+.0} ms",
        worst - normal
    );
    let data: Vec<Value> = points.iter().map(|(b, d)| serde_json::json!([b, d])).collect();
    let data = serde_json::json!({
        "killed": name, "after_batch": fault, "checkpoint": every, "job": options.job,
        "records_per_second": options.rate, "workers": options.workers, "delay_ms": data,
    });
    let file = options.out.join(format!("{name}-{every}"));
    fs::write(file.with_extension("json"), format!("{data}\n"))?;
    let title = format!("{name} killed, states saved every {every}");
    fs::write(file.with_extension("svg"), svg(&title, fault, points))?;
    Ok(())
}

/// Delay over batches, with a line where the process ended.
fn svg(title: &str, fault: u64, points: &[Point]) -> String {
    let (width, height, left, top) = (640.0, 240.0, 56.0, 28.0);
    let first = points.first().map_or(0, |(batch, _)| *batch) as f64;
    let last = points.last().map_or(1, |(batch, _)| *batch) as f64;
    let most = points.iter().map(|(_, delay)| *delay).fold(100.0, f64::max) * 1.1;
    let x = |batch: f64| left + (batch - first) / (last - first).max(1.0) * (width - left - 16.0);
    let y = |delay: f64| top + (1.0 - delay / most) * (height - top - 36.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n\
         <text x=\"{left}\" y=\"16\" font-size=\"13\">{title}</text>\n"
    );
    for step in 0..=4 {
        let delay = most * f64::from(step) / 4.0;
        let at = y(delay);
        // Into memory: it cannot fail.
        let _ = writeln!(
            svg,
            "<line x1=\"{left}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{delay:.0}</text>",
            width - 16.0,
            left - 6.0,
            at + 4.0
        );
    }
    let cut = x(fault as f64 + 0.5);
    let _ = writeln!(
        svg,
        "<line x1=\"{cut:.1}\" x2=\"{cut:.1}\" y1=\"{top}\" y2=\"{:.1}\" stroke=\"#c22\" \
         stroke-dasharray=\"4 3\"/>",
        y(0.0)
    );
    let line: Vec<String> =
        points.iter().map(|(b, d)| format!("{:.1},{:.1}", x(*b as f64), y(*d))).collect();
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"#246\" stroke-width=\"1.5\"/>",
        line.join(" ")
    );
    for at in &line {
        let (x, y) = at.split_once(',').unwrap_or(("0", "0"));
        let _ = writeln!(svg, "<circle cx=\"{x}\" cy=\"{y}\" r=\"2.2\" fill=\"#246\"/>");
    }
    let _ = writeln!(
        svg,
        "<text x=\"{left}\" y=\"{0}\">batch {first:.0}</text>\
         <text x=\"{1}\" y=\"{0}\" text-anchor=\"end\">batch {last:.0}</text>\
         <text x=\"{left}\" y=\"{2}\" fill=\"#666\">delay of results, ms</text>\n</svg>",
        height - 20.0,
        width - 16.0,
        height - 6.0
    );
    svg
}
