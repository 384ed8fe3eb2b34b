//! Readings of sensors in binary files, and a file that always holds the latest result: a source and an output of the
//! program's own.
//!
//! ```text
//! cargo run --release --example sensors                      # a million synthetic readings
//! cargo run --release --example sensors -- sources           # what it can read, with `readings`
//! cargo run --release --example sensors -- --source 'readings=readings:///var/lib/sensors?live' --sink hottest=csv+latest://hottest.csv
//! ```

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use dstream::connect::{
    Batch, ConnectorUrl, Extent, Format, OptionRow, Range, Sink, SinkConnector, SinkContext,
    SinkError, SourceConnector, SourceError, SplitSource,
};
use dstream::prelude::*;

/// One reading of a sensor.
#[derive(Record)]
struct Reading {
    sensor: u32,
    celsius: f64,
}

/// The highest temperature of each sensor so far, and the five hottest sensors.
#[dstream::job(interval = "1s")]
fn sensors() {
    let readings = source::csv::<Reading>("readings://synthetic?batch_records=200000");
    let by_sensor = readings.map(|r| (r.sensor, r.celsius));
    let highest = by_sensor.running_reduce(|a, b| a.max(b));
    highest.save("none:");
    let hottest = by_sensor.reduce_by_key(|a, b| a.max(b)).top_k(5, |(_, celsius)| celsius);
    hottest.save("csv+stdout:");
}

/// Files of readings of 12 bytes each, little-endian: the number of a sensor (4 bytes), degrees Celsius (8).
const READINGS: SourceConnector = SourceConnector::new(
    "readings",
    &["readings://DIR", "readings://synthetic"],
    "readings of sensors, in the binary files of a directory",
    open_readings,
)
.ends("ends, unless `live`")
.formats(&[Format::Csv])
.options(&[
    OptionRow::flag("live", "Go on with what is appended to the files, and with new ones"),
    OptionRow::count("sensors", 1, "Of `synthetic`: how many sensors there are").or("100"),
]);

/// The length of a reading, in bytes.
const READING: u64 = 12;

/// How many synthetic readings there are.
const SYNTHETIC: u64 = 1_000_000;

struct Readings {
    /// Where the files are; none of synthetic ones.
    dir: Option<PathBuf>,
    sensors: u64,
    live: bool,
}

fn open_readings(url: &ConnectorUrl, _: Format) -> Result<Box<dyn SplitSource>, SourceError> {
    let dir = (url.place() != "synthetic").then(|| url.path().to_owned());
    let (sensors, live) = (url.count("sensors")?, url.flag("live")?);
    if live && dir.is_none() {
        return Err(url
            .fail("there are no more synthetic readings later: leave out `live`")
            .into());
    }
    Ok(Box::new(Readings { dir, sensors, live }))
}

impl SplitSource for Readings {
    fn bounded(&self) -> bool {
        !self.live
    }

    /// Each file is a split. A reading has the number of its place in the file, so the same number is always the same
    /// reading: files are only appended to.
    fn extents(&self) -> Result<Vec<Extent>, SourceError> {
        let Some(dir) = &self.dir else {
            return Ok(vec![Extent::to("synthetic", SYNTHETIC)]);
        };
        let failed = |error| SourceError::io("list", dir.display().to_string(), error);
        let mut extents = Vec::new();
        for entry in fs::read_dir(dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let metadata = entry.metadata().map_err(failed)?;
            // A name that is not UTF-8 could not be told from another one by the split.
            if let Some(name) = entry.file_name().to_str()
                && metadata.is_file()
            {
                extents.push(Extent::to(name, metadata.len() / READING));
            }
        }
        Ok(extents)
    }

    fn read(&self, range: &Range, each: &mut dyn FnMut(&[u8])) -> Result<(), SourceError> {
        let failed = |error| SourceError::io("read", range.split.to_string(), error);
        let mut bytes = vec![0; ((range.end - range.start) * READING) as usize];
        match &self.dir {
            Some(dir) => {
                let file = File::open(dir.join(&*range.split)).map_err(failed)?;
                file.read_exact_at(&mut bytes, range.start * READING).map_err(failed)?;
            }
            None => {
                for (number, reading) in
                    (range.start..).zip(bytes.chunks_exact_mut(READING as usize))
                {
                    reading.copy_from_slice(&self.synthetic(number));
                }
            }
        }
        let mut row = String::new();
        for reading in bytes.chunks_exact(READING as usize) {
            let (sensor, celsius) = reading.split_at(4);
            let sensor = u32::from_le_bytes(sensor.try_into().expect("four bytes"));
            let celsius = f64::from_le_bytes(celsius.try_into().expect("eight bytes"));
            row.clear();
            // Writing to a String cannot fail.
            let _ = std::fmt::Write::write_fmt(&mut row, format_args!("{sensor},{celsius}"));
            each(row.as_bytes());
        }
        Ok(())
    }

    fn header(&self) -> Option<&str> {
        Some("sensor,celsius")
    }

    fn record_size(&self) -> u64 {
        READING
    }
}

impl Readings {
    /// A reading that depends on its number alone.
    fn synthetic(&self, number: u64) -> [u8; READING as usize] {
        let hash = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        let sensor = (hash % self.sensors) as u32;
        let celsius = 15.0 + f64::from(sensor % 17) + (hash >> 40) as f64 / (1 << 24) as f64;
        let mut reading = [0; READING as usize];
        reading[..4].copy_from_slice(&sensor.to_le_bytes());
        reading[4..].copy_from_slice(&celsius.to_le_bytes());
        reading
    }
}

/// A file that holds the latest batch with records.
const LATEST: SinkConnector = SinkConnector::new(
    "latest",
    "//FILE",
    "a file that holds the latest batch with records",
    open_latest,
)
.formats(&[Format::Csv, Format::Json]);

struct Latest {
    file: PathBuf,
    format: Format,
    header: bool,
}

fn open_latest(url: &ConnectorUrl, context: &SinkContext<'_>) -> Result<Box<dyn Sink>, SinkError> {
    let format = context.format.unwrap_or(Format::Csv);
    let header = format == Format::Csv && url.flag("header")?;
    Ok(Box::new(Latest { file: url.path().to_owned(), format, header }))
}

impl Sink for Latest {
    fn format(&self) -> Option<Format> {
        Some(self.format)
    }

    /// The file is replaced by one rename: readers see a batch whole. A batch that comes again makes the same file.
    fn publish(&mut self, batch: &Batch) -> Result<(), SinkError> {
        let mut bytes = Vec::new();
        for part in batch.parts.iter().filter(|part| part.records > 0) {
            if self.header && bytes.is_empty() {
                bytes.extend_from_slice(&part.header);
                bytes.push(b'\n');
            }
            bytes.extend_from_slice(&part.bytes);
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let next = self.file.with_extension("next");
        let failed =
            |error: io::Error| SinkError::io("write", self.file.display().to_string(), error);
        fs::write(&next, bytes).and_then(|()| fs::rename(&next, &self.file)).map_err(failed)
    }
}

dstream::main!(sensors; sources = [READINGS], sinks = [LATEST]);
