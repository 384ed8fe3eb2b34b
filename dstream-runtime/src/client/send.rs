//! Sends a file or standard input to a stream, for the command line.

use std::io::{ErrorKind, Read};

use memchr::{memchr, memchr_iter, memrchr};
use tokio::runtime::Builder;

use super::{Acknowledged, AppendStream, Client, ClientError, ClientOptions, ClientTarget};
use crate::driver::cluster::ClusterError;
use crate::net::NetError;

/// Read size, in bytes.
const READ: usize = 256 << 10;

/// Sends whole lines to a stream until `input` ends, and waits until all are acknowledged. Calls `progress`
/// with acknowledged totals. Blocks the calling thread. `name` is what the input is called in errors.
///
/// # Errors
/// When no master or receiver accepts the stream, `input` cannot be read, or a line is too long: the lines before
/// are acknowledged then.
pub fn send(
    target: &ClientTarget,
    stream: &str,
    (name, input): (&str, &mut dyn Read),
    progress: &mut dyn FnMut(&Acknowledged),
) -> Result<Acknowledged, ClientError> {
    let runtime = Builder::new_current_thread()
        .build()
        .map_err(|error| ClusterError::from(NetError::Start(error)))?;
    runtime.block_on(async {
        let client = Client::connect(ClientOptions::at(target.clone())).await?;
        let mut stream = client.open(stream).await?;
        let mut sending = Sending { name, sent: 0, stream: &mut stream };
        let result = sending.all(input, progress).await;
        drop(stream);
        client.close().await;
        result
    })
}

/// Lines on their way to a stream.
struct Sending<'a> {
    /// What the input is called.
    name: &'a str,
    /// How many lines were sent.
    sent: u64,
    stream: &'a mut AppendStream,
}

impl Sending<'_> {
    async fn all(
        &mut self,
        input: &mut dyn Read,
        progress: &mut dyn FnMut(&Acknowledged),
    ) -> Result<Acknowledged, ClientError> {
        let mut buffer = vec![0; READ];
        let mut has = 0;
        loop {
            if has == buffer.len() {
                // A line fills the buffer.
                buffer.resize(2 * buffer.len(), 0);
            }
            let read = match input.read(&mut buffer[has..]) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.stream.flush().await?;
                    return Err(self.stream.unreadable(&error, self.sent));
                }
            };
            let end = memchr::memrchr(b'\n', &buffer[has..has + read]).map(|at| has + at + 1);
            has += read;
            if let Some(end) = end {
                self.lines(&buffer[..end]).await?;
                buffer.copy_within(end..has, 0);
                has -= end;
            }
            if has >= self.stream.longest() {
                // Its line break does not fit either.
                return Err(self.too_long(has, false).await);
            }
            progress(&self.stream.acknowledged());
        }
        self.lines(&buffer[..has]).await?;
        let done = self.stream.flush().await?;
        progress(&done);
        Ok(done)
    }

    /// Sends whole lines, the last of which may lack its line break.
    async fn lines(&mut self, lines: &[u8]) -> Result<(), ClientError> {
        let fit = self.fit(lines);
        if fit > 0 {
            let lines = &lines[..fit];
            self.stream.send(lines).await?;
            self.sent += memchr_iter(b'\n', lines).count() as u64;
            self.sent += u64::from(lines.last() != Some(&b'\n'));
        }
        match lines.len() - fit {
            0 => Ok(()),
            _ => {
                let rest = &lines[fit..];
                let len = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
                Err(self.too_long(len, true).await)
            }
        }
    }

    /// How much of these lines is before one that is too long.
    fn fit(&self, lines: &[u8]) -> usize {
        let longest = self.stream.longest();
        let mut at = 0;
        while lines.len() - at >= longest {
            // The last line end that is near enough: no line is longer that ends there.
            match memrchr(b'\n', &lines[at..at + longest]) {
                Some(end) => at += end + 1,
                None => return at,
            }
        }
        lines.len()
    }

    /// The error about a line, of which `len` bytes are there; those before it are acknowledged first.
    async fn too_long(&mut self, len: usize, whole: bool) -> ClientError {
        if let Err(error) = self.stream.flush().await {
            return error;
        }
        ClientError::LongInput {
            stream: self.stream.name(),
            place: format!("{}:{}", self.name, self.sent + 1),
            len,
            whole,
            longest: self.stream.longest(),
            sent: self.sent,
        }
    }
}
