//! A file, or whatever comes in, sent to a stream: the command line's way.

use std::io::{ErrorKind, Read};

use tokio::runtime::Builder;

use super::{Acknowledged, AppendStream, Client, ClientError, ClientOptions, ClientTarget};
use crate::driver::cluster::ClusterError;
use crate::net::NetError;

/// How much is read at a time.
const READ: usize = 256 << 10;

/// Sends whole lines to a stream until `input` ends, and waits until all of them are acknowledged.
/// `progress` hears on the way of what was. Blocks the calling thread.
///
/// # Errors
/// When no master or receiver answers or will have them, or `input` cannot be read.
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
            // A line that is longer than all there is room for: too long lines are refused by `send`.
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
            // Refused, and by the same words as any other.
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
