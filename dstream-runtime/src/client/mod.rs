//! The client library: sends records to a stream of a running job, from any program.
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
//! Lines are gathered briefly into *appends*, numbered without gaps, and sent to a receiver: a worker named
//! by the master. An append is acknowledged when a second worker holds it and the master has registered it.
//! Unacknowledged appends are kept here; after a broken connection they are sent again, possibly to another
//! receiver, which recognises repeated ones by number: nothing is lost or counted twice. A sender that is
//! faster than acknowledgements waits in [`AppendStream::send`].
//!
//! An `Outbox` holds the numbered appends; the driver, one thread for all streams of a client, finds
//! receivers and talks to them; handles ([`AppendStream`]) share a `Draft` and the progress with it.
//! [`Sessions`] is the receiver's side, for a worker's driver.

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
pub use session::{Append, Offer, SessionEffect, SessionLimits, Sessions};

pub use crate::driver::cluster::{Access, Acknowledged, ClientTarget};
pub use crate::wire::ClientId;
