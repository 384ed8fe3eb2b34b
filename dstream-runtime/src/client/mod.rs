//! The client library: records are sent to a stream of a running job, from any program.
//!
//! ```no_run
//! # async fn example() -> Result<(), dstream_runtime::client::ClientError> {
//! use dstream_runtime::client::{Client, ClientOptions};
//!
//! let options = ClientOptions::new("page_views", "10.0.0.1:7077".parse().unwrap(), "client.token");
//! let client = Client::connect(options).await?;
//! let mut views = client.open("views").await?;
//! views.send(b"{\"url\":\"/\",\"user\":7}\n").await?;
//! let sent = views.flush().await?;
//! println!("{} records are safe", sent.records);
//! # Ok(())
//! # }
//! ```
//!
//! Lines are gathered for a moment into *appends*, numbered without gaps, and sent to a receiver: a
//! worker that the master names. An append is acknowledged when a second worker holds it too and the
//! master knows of it. What is not acknowledged is kept here; when the connection breaks it is sent
//! again, to another receiver if need be, and what had been taken in already is recognised by its
//! number: nothing is lost, and nothing counts twice. Whoever sends faster than lines are
//! acknowledged waits in [`AppendStream::send`].
//!
//! The parts: an `Outbox` knows what is numbered, sent and acknowledged; the
//! driver, one thread for all streams of a client, finds receivers and talks to them; handles
//! ([`AppendStream`]) share with it a `Draft` and how far it has come. [`Sessions`] is the other
//! side, for the driver of a worker.

mod draft;
mod driver;
mod error;
mod handle;
mod lines;
mod link;
mod options;
mod outbox;
mod send;
mod session;
#[cfg(test)]
mod tests;

pub use error::ClientError;
pub use handle::{AppendStream, Client};
pub use options::{ClientOptions, StreamOptions};
pub use send::send;
pub use session::{Append, Offer, SessionAsks, SessionLimits, Sessions};

pub use crate::driver::cluster::{Access, Acknowledged, ClientTarget};
pub use crate::wire::ClientId;
