//! How a client gets a certificate and a port.

use crossbeam_channel::Sender;

use super::Event;
use crate::client::{ClientError, ClientOptions};
use crate::driver::cluster::{ClusterError, client_identity};
use crate::net::{BindOptions, Endpoint};

/// Gets a certificate and opens a port.
pub(super) fn connect(
    options: &ClientOptions,
    events: Sender<Event>,
) -> Result<Endpoint, ClientError> {
    let target = &options.target;
    let mut failed = None;
    let mut identity = None;
    for master in &target.masters {
        match client_identity(target, *master) {
            Ok(found) => {
                identity = Some(found);
                break;
            }
            Err(error) => failed = Some(error),
        }
    }
    let unnamed = || ClusterError::Broken { why: "no master was named".to_owned() };
    let identity = identity.ok_or_else(|| failed.unwrap_or_else(unnamed))?;
    let mut bind = BindOptions::new(identity, target.plan);
    bind.hello.job.clone_from(&target.job);
    if let Some(far) = target.masters.iter().find(|addr| !addr.ip().is_loopback()) {
        bind = bind.towards(*far);
    }
    // The thread may end before its endpoint; later events are dropped.
    let deliver = move |delivery| drop(events.send(Event::Net(delivery)));
    Ok(Endpoint::bind(bind, deliver).map_err(ClusterError::from)?)
}
