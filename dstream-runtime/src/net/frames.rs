//! Frames on QUIC streams.

use quinn::{ReadError, ReadExactError, RecvStream, SendStream, WriteError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::CloseReason;
use crate::wire::{FRAME_HEADER, FrameError, FrameHeader, FrameKind, decode, encode};

/// Why a frame could not be read.
#[derive(Debug)]
pub(super) enum ReadFailure {
    /// Invalid, or not the frame that was expected.
    Frame(FrameError),
    /// The QUIC stream ended.
    Ended,
    /// The sender cancelled the QUIC stream.
    Cancelled,
    /// The connection ended.
    Lost(CloseReason),
}

impl From<FrameError> for ReadFailure {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}

impl From<ReadError> for ReadFailure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Reset(_) => Self::Cancelled,
            ReadError::ConnectionLost(error) => Self::Lost(error.into()),
            ReadError::ClosedStream
            | ReadError::IllegalOrderedRead
            | ReadError::ZeroRttRejected => Self::Lost(CloseReason::Transport(error.to_string())),
        }
    }
}

impl From<WriteError> for ReadFailure {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Stopped(_) => Self::Cancelled,
            WriteError::ConnectionLost(error) => Self::Lost(error.into()),
            WriteError::ClosedStream | WriteError::ZeroRttRejected => {
                Self::Lost(CloseReason::Transport(error.to_string()))
            }
        }
    }
}

impl From<ReadFailure> for CloseReason {
    fn from(broken: ReadFailure) -> Self {
        match broken {
            ReadFailure::Frame(error) => Self::Violation(error.to_string()),
            ReadFailure::Ended => {
                Self::Violation("the control QUIC stream ended without a goodbye".into())
            }
            ReadFailure::Cancelled => {
                Self::Violation("the control QUIC stream was cancelled".into())
            }
            ReadFailure::Lost(reason) => reason,
        }
    }
}

/// Fills `buffer`. Returns [`ReadFailure::Ended`] only if the QUIC stream ends before the first byte.
pub(super) async fn fill(stream: &mut RecvStream, buffer: &mut [u8]) -> Result<(), ReadFailure> {
    match stream.read_exact(buffer).await {
        Ok(()) => Ok(()),
        Err(ReadExactError::FinishedEarly(0)) => Err(ReadFailure::Ended),
        Err(ReadExactError::FinishedEarly(has)) => Err(FrameError::Truncated { has }.into()),
        Err(ReadExactError::ReadError(error)) => Err(error.into()),
    }
}

/// Reads the header of the next frame. Allocates nothing for the payload.
pub(super) async fn read_header(stream: &mut RecvStream) -> Result<FrameHeader, ReadFailure> {
    let mut head = [0; FRAME_HEADER];
    fill(stream, &mut head).await?;
    Ok(FrameHeader::read(&head)?)
}

/// Reads the payload behind a header.
pub(super) async fn read_payload(
    stream: &mut RecvStream,
    header: FrameHeader,
) -> Result<Vec<u8>, ReadFailure> {
    let mut payload = vec![0; header.len];
    match fill(stream, &mut payload).await {
        Err(ReadFailure::Ended) => return Err(FrameError::Truncated { has: FRAME_HEADER }.into()),
        other => other?,
    }
    header.check(&payload)?;
    Ok(payload)
}

/// Reads the expected frame.
pub(super) async fn expect<T: DeserializeOwned>(
    stream: &mut RecvStream,
    kind: FrameKind,
) -> Result<T, ReadFailure> {
    let header = read_header(stream).await?;
    if header.kind != kind {
        return Err(FrameError::Unexpected { found: header.kind }.into());
    }
    Ok(decode(kind, &read_payload(stream, header).await?)?)
}

/// Writes a frame.
pub(super) async fn say<T: Serialize>(
    stream: &mut SendStream,
    kind: FrameKind,
    value: &T,
) -> Result<(), ReadFailure> {
    Ok(stream.write_all(&encode(kind, value)?).await?)
}
