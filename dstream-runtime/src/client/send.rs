//! Sends a file or standard input to a stream, for the command line.

use std::io::{ErrorKind, Read};

use tokio::runtime::Builder;

use super::{Acknowledged, AppendStream, Client, ClientError, ClientOptions, ClientTarget};
use crate::driver::cluster::ClusterError;
use crate::net::NetError;

/// Read size, in bytes.
const READ: usize = 256 << 10;

/// Sends whole lines to a stream until `input` ends, and waits until all are acknowledged. Calls `progress`
/// with acknowledged totals. Blocks the calling thread.
///
/// # Errors
/// When no master or receiver accepts the stream, or `input` cannot be read.
pub fn send(
    target: &ClientTarget,
    stream: &str,
    input: &mut dyn Read,
    progress: &mut dyn FnMut(&Acknowledged),
) -> Result<Acknowledged, ClientError> {
    let runtime = Builder::new_current_thread()
        .build()
        .map_err(|error| ClusterError::from(NetError::Start(error)))?;
    runtime.block_on(async {
        let client = Client::connect(ClientOptions::at(target.clone())).await?;
        let mut stream = client.open(stream).await?;
        let result = send_all(&mut stream, input, progress).await;
        drop(stream);
        client.close().await;
        result
    })
}

async fn send_all(
    stream: &mut AppendStream,
    input: &mut dyn Read,
    progress: &mut dyn FnMut(&Acknowledged),
) -> Result<Acknowledged, ClientError> {
    let mut buffer = vec![0; READ];
    let mut has = 0;
    loop {
        if has == buffer.len() {
            // A line fills the buffer; `send` refuses lines that are too long.
            buffer.resize(2 * buffer.len(), 0);
        }
        let read = match input.read(&mut buffer[has..]) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(stream.unreadable(&error)),
        };
        let end = memchr::memrchr(b'\n', &buffer[has..has + read]).map(|at| has + at + 1);
        has += read;
        if let Some(end) = end {
            stream.send(&buffer[..end]).await?;
            buffer.copy_within(end..has, 0);
            has -= end;
        } else if has > stream.longest() {
            // `send` refuses it with its usual error.
            stream.send(&buffer[..has]).await?;
            has = 0;
        }
        progress(&stream.acknowledged());
    }
    stream.send(&buffer[..has]).await?;
    let done = stream.flush().await?;
    progress(&done);
    Ok(done)
}
