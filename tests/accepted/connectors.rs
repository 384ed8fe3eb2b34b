//! A source and an output that name every type, field and variant that their traits use: `dstream::connect` has all of
//! them, and each of its types can be read and made.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use dstream::connect::{
    Batch, BatchTime, ConnectorUrl, Earlier, Extent, Floats, Format, Kind, OpenSink, OpenSplits,
    OptionRow, Origin, Part, Partition, Preset, Range, Sink, SinkConnector, SinkContext, SinkError,
    SourceConnector, SourceError, SplitSource, UrlError,
};

/// An output that keeps what it is given.
struct Table {
    place: String,
    job: String,
    output: String,
    batches: BTreeMap<BatchTime, (u64, Vec<String>)>,
}

impl Sink for Table {
    fn format(&self) -> Option<Format> {
        Some(Format::Json)
    }

    fn floats(&self) -> Floats {
        Floats::Strings
    }

    fn publish(&mut self, batch: &Batch) -> Result<(), SinkError> {
        let Batch { time, parts, inputs, plan } = batch;
        let mut rows = Vec::new();
        for Part { partition: Partition(number), records, bytes, header } in parts {
            let text = std::str::from_utf8(bytes).map_err(|error| {
                let error = io::Error::new(io::ErrorKind::InvalidData, error);
                SinkError::io("write", format!("partition {number}"), error)
            })?;
            let lines: Vec<_> = text.lines().map(str::to_owned).collect();
            assert_eq!((lines.len() as u64, header.len()), (*records, 0));
            rows.extend(lines);
        }
        for (source, Range { split, start, end }) in inputs.iter() {
            rows.push(format!("of {source}: {split} {start}..{end}"));
        }
        match self.batches.get(time) {
            Some((before, was)) if *was != rows => Err(SinkError::Conflict {
                time: *time,
                what: self.place.clone(),
                why: format!("{} rows then, {} now", was.len(), rows.len()),
                origin: if before == plan { Origin::Same } else { Origin::OtherProgram },
            }),
            _ => {
                self.batches.insert(*time, (*plan, rows));
                Ok(())
            }
        }
    }

    fn publishes_empty(&self) -> bool {
        true
    }

    fn earlier(&self) -> Result<Option<Earlier>, SinkError> {
        let newest = self.batches.last_key_value().map(|(time, _)| *time);
        Ok(newest.map(|newest| Earlier {
            place: self.place.clone(),
            newest,
            job: Some(self.job.clone()),
            output: Some(self.output.clone()),
        }))
    }

    fn immediate(&self) -> bool {
        true
    }
}

const OPEN_TABLE: OpenSink = |url: &ConnectorUrl, context: &SinkContext<'_>| {
    let SinkContext { format, output, job } = *context;
    let wrong: UrlError = url.fail("it writes JSON");
    if format != Some(Format::Json) {
        return Err(SinkError::Url { url: wrong.url, why: wrong.why });
    }
    let (job, output) = (job.to_owned(), output.to_owned());
    Ok(Box::new(Table { place: url.place().to_owned(), job, output, batches: BTreeMap::new() }))
};

const _: SinkConnector =
    SinkConnector::new("table", "//NAME", "a table", OPEN_TABLE).formats(&[Format::Json]);

/// A source of numbers.
struct Numbers(u64);

impl SplitSource for Numbers {
    fn extents(&self) -> Result<Vec<Extent>, SourceError> {
        Ok(vec![Extent { split: "numbers".into(), start: 0, end: self.0 }])
    }

    fn read(&self, range: &Range, each: &mut dyn FnMut(&[u8])) -> Result<(), SourceError> {
        if range.end > self.0 {
            let (what, why) = (range.split.to_string(), "it is shorter".to_owned());
            return Err(SourceError::Data { what, why });
        }
        (range.start..range.end).for_each(|number| each(number.to_string().as_bytes()));
        Ok(())
    }
}

const OPEN_NUMBERS: OpenSplits =
    |url: &ConnectorUrl, _: Format| Ok(Box::new(Numbers(url.count("records")?)));

const RECORDS: OptionRow = OptionRow {
    name: "records",
    kind: Kind::Count { least: 1, most: 1000 },
    preset: Preset::Is("10"),
    about: "How many there are",
};

const _: SourceConnector =
    SourceConnector::new("numbers", &["numbers:"], "numbers", OPEN_NUMBERS).options(&[RECORDS]);

#[test]
fn an_output_names_all_that_its_trait_uses() -> Result<(), SinkError> {
    let mut table = Table {
        place: "counts".into(),
        job: "job".into(),
        output: "counts".into(),
        batches: BTreeMap::new(),
    };
    let batch = |ms, rows: &str, plan| Batch {
        time: BatchTime(ms),
        parts: vec![Part {
            partition: Partition(3),
            records: rows.lines().count() as u64,
            bytes: Arc::new(rows.as_bytes().to_vec()),
            header: Arc::from([]),
        }],
        inputs: Arc::from([("views".to_owned(), Range { split: "a".into(), start: 0, end: 9 })]),
        plan,
    };
    // `date -u -d @1796078363` gives this time.
    let time = 1_796_078_363_250;
    table.publish(&batch(time, "1\n2\n", 7))?;
    table.publish(&batch(time, "1\n2\n", 7))?;
    let of_another = table.publish(&batch(time, "1\n", 8)).map_err(|error| error.to_string());
    assert_eq!(
        of_another,
        Err("batch 2026-11-30 22:39:23.250 UTC of counts was published before with other content: 3 rows then, \
             2 now, by another program"
            .to_owned())
    );
    let newest = table.earlier()?.map(|Earlier { newest, .. }| newest);
    assert_eq!(newest.map(BatchTime::millis), Some(time));
    Ok(())
}

#[test]
fn a_source_names_all_that_its_trait_uses() -> Result<(), SourceError> {
    let source = Numbers(3);
    let mut read = Vec::new();
    let extents = source.extents()?;
    let range = Range { split: extents[0].split.clone(), start: 1, end: 3 };
    source.read(&range, &mut |record| read.push(record.to_vec()))?;
    assert_eq!(read, [b"1", b"2"]);
    assert!(source.read(&Range { end: 4, ..range }, &mut |_| ()).is_err());
    Ok(())
}
