//! Standard output, and nowhere.
//!
//! A batch is one write under one lock, so batches of several outputs never mix. A reader that has
//! gone (`| head`) is not a failure of the job: it has a variant of its own.

use std::io::{self, Write};
use std::sync::Arc;

use super::connector::{SinkConnector, SinkContext};
use super::{Batch, Sink, SinkError, is_open};
use crate::connect::{ConnectorUrl, row_of};
use crate::record::Format;

/// Standard output.
pub(super) const CONNECTOR: SinkConnector = SinkConnector {
    scheme: "stdout",
    place: "",
    about: "standard output, a batch at a time",
    formats: &[Format::Text, Format::Csv, Format::Json],
    bare: Some(Format::Text),
    options: &[],
    open,
    kept: None,
};

/// Nowhere.
pub(super) const NONE: SinkConnector = SinkConnector {
    scheme: "none",
    place: "",
    about: "nowhere: records are only counted",
    formats: &[],
    bare: None,
    options: &[],
    open: |_, _| Ok(Box::new(NoSink)),
    kept: None,
};

fn open(url: &ConnectorUrl, context: &SinkContext<'_>) -> Result<Box<dyn Sink>, SinkError> {
    is_open()?;
    let format = context.format.unwrap_or(Format::Text);
    let header = format == Format::Csv && url.flag("header")?;
    Ok(Box::new(StreamSink::stdout(context.output, format, header)))
}

/// An output to a stream of text.
pub(super) struct StreamSink {
    name: String,
    out: Box<dyn Write + Send>,
    format: Format,
    /// Whether the next batch with records is to begin with a header row.
    header: bool,
    /// Whether a batch begins with a line that says what it is, for people.
    titled: bool,
    /// How much of a batch is written that could not be written whole: the rest follows when it is given
    /// again.
    written: usize,
}

impl StreamSink {
    /// What `print` writes to.
    pub(super) fn print(name: &str) -> Self {
        Self { titled: true, ..Self::stdout(name, Format::Text, false) }
    }

    pub(super) fn stdout(name: &str, format: Format, header: bool) -> Self {
        let (name, out) = (name.to_owned(), Box::new(io::stdout()));
        Self { name, out, format, header, titled: false, written: 0 }
    }

    fn error(&self, error: io::Error) -> SinkError {
        let what = format!("standard output (output {})", self.name);
        match error.kind() {
            io::ErrorKind::BrokenPipe => SinkError::Closed { what },
            _ => SinkError::Io { doing: "write to", what, error: Arc::new(error) },
        }
    }
}

impl StreamSink {
    /// What a batch is on the stream; nothing if it has no records.
    fn text(&self, batch: &Batch) -> Vec<u8> {
        let mut parts: Vec<_> = batch.parts.iter().filter(|p| !p.bytes.is_empty()).collect();
        parts.sort_by_key(|part| part.partition);
        let Some(first) = parts.first() else {
            return Vec::new();
        };
        let len = parts.iter().map(|part| part.bytes.len()).sum::<usize>();
        let mut bytes = Vec::with_capacity(len + first.header.len() + 1);
        if self.titled {
            bytes.extend_from_slice(format!("{} at {}:\n", self.name, batch.time).as_bytes());
        }
        if self.header && !first.header.is_empty() {
            bytes.extend_from_slice(&first.header);
            bytes.push(b'\n');
        }
        parts.iter().for_each(|part| bytes.extend_from_slice(&part.bytes));
        bytes
    }

    /// Writes as much as can be written, and counts it.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        while self.written < bytes.len() {
            match self.out.write(&bytes[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.flush()
    }
}

impl Sink for StreamSink {
    fn format(&self) -> Option<Format> {
        Some(self.format)
    }

    fn has_reader(&self) -> bool {
        true
    }

    fn place(&self) -> Option<String> {
        // What `print` shows is for people.
        (!self.titled).then(|| format!("{}+stdout:", row_of(self.format).name))
    }

    fn publish(&mut self, batch: &Batch) -> Result<(), SinkError> {
        let mut parts = batch.parts.iter().filter(|p| !p.bytes.is_empty());
        let plain = !self.titled && !self.header;
        // A single part is written as it lies there.
        let result = match (parts.next(), parts.next()) {
            (None, _) => return Ok(()),
            (Some(only), None) if plain => self.write(&only.bytes),
            _ => self.write(&self.text(batch)),
        };
        result.map_err(|error| self.error(error))?;
        self.written = 0;
        self.header = false;
        Ok(())
    }
}

/// An output of `print` that is shown by the display of the job.
pub(super) struct ShownSink;

impl Sink for ShownSink {
    fn format(&self) -> Option<Format> {
        Some(Format::Text)
    }

    fn publish(&mut self, _: &Batch) -> Result<(), SinkError> {
        Ok(())
    }

    fn immediate(&self) -> bool {
        true
    }
}

/// An output that only counts.
pub(super) struct NoSink;

impl Sink for NoSink {
    fn format(&self) -> Option<Format> {
        None
    }

    fn place(&self) -> Option<String> {
        Some("none:".to_owned())
    }

    fn publish(&mut self, _: &Batch) -> Result<(), SinkError> {
        Ok(())
    }

    fn immediate(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::tests::{batch, part};
    use super::*;

    /// Remembers each write.
    #[derive(Clone, Default)]
    struct Writes(Arc<Mutex<Vec<String>>>);

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().push(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Failing(io::ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn sink(out: impl Write + Send + 'static, header: bool) -> StreamSink {
        StreamSink {
            name: "counts".into(),
            out: Box::new(out),
            format: Format::Csv,
            header,
            titled: false,
            written: 0,
        }
    }

    #[test]
    fn a_batch_is_one_write_in_order_of_partitions_with_one_header() {
        let writes = Writes::default();
        let mut sink = sink(writes.clone(), true);
        sink.publish(&batch(1000, vec![part(1, "")])).unwrap();
        sink.publish(&batch(2000, vec![part(3, "c,3\n"), part(0, "a,1\n"), part(1, "")])).unwrap();
        sink.publish(&batch(3000, vec![part(2, "b,2\n")])).unwrap();
        assert_eq!(*writes.0.lock().unwrap(), ["key,n\na,1\nc,3\n", "b,2\n"]);
    }

    #[test]
    fn what_is_printed_says_what_it_is() {
        let writes = Writes::default();
        let mut sink = StreamSink { titled: true, ..sink(writes.clone(), false) };
        sink.publish(&batch(1000, vec![part(0, "a,1\n")])).unwrap();
        assert_eq!(*writes.0.lock().unwrap(), ["counts at 1000 ms:\na,1\n"]);
    }

    /// Takes three bytes at a time, and every second time none.
    #[derive(Clone, Default)]
    struct Slow {
        taken: Arc<Mutex<Vec<u8>>>,
        refuses: bool,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.refuses = !self.refuses;
            if self.refuses {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let taken = bytes.len().min(3);
            self.taken.lock().unwrap().extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_batch_that_is_given_again_goes_on_where_it_was() {
        let slow = Slow::default();
        let mut sink = sink(slow.clone(), true);
        let mut tries = 0;
        for parts in [vec![part(1, "c,3\n"), part(0, "a,1\n")], vec![part(0, "d,4\n")]] {
            let batch = batch(1000, parts);
            while let Err(error) = sink.publish(&batch) {
                assert!(error.may_pass(), "{error}");
                tries += 1;
            }
        }
        assert!(tries > 5, "{tries}");
        assert_eq!(*slow.taken.lock().unwrap(), b"key,n\na,1\nc,3\nd,4\n");
    }

    #[test]
    fn a_reader_that_has_gone_is_no_failure() {
        let some = batch(1000, vec![part(0, "a,1\n")]);
        let gone = sink(Failing(io::ErrorKind::BrokenPipe), false).publish(&some).unwrap_err();
        assert!(matches!(gone, SinkError::Closed { .. }), "{gone}");
        let full = sink(Failing(io::ErrorKind::StorageFull), false).publish(&some).unwrap_err();
        assert!(matches!(full, SinkError::Io { .. }), "{full}");
    }
}
