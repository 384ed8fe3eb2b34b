//! The end of an endpoint, at every step of a handshake.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{sleep, sleep_until};

use super::link::LinkFault;
use super::network::{Network, address};
use super::process::{PORT, Process, options};
use super::{Authorities, in_virtual_time};
use crate::net::{Delivery, Limits, NetEvent, PeerId};

/// When each peer connected and closed, in milliseconds.
type Stays = BTreeMap<PeerId, (u64, Option<u64>)>;

async fn watch(network: Arc<Network>, mut heard: UnboundedReceiver<Delivery>) -> Stays {
    let mut stays = Stays::new();
    while let Some(delivery) = heard.recv().await {
        match delivery.take() {
            NetEvent::Connected { peer, .. } => {
                stays.insert(peer, (network.now(), None));
            }
            NetEvent::Closed { peer, .. } => {
                stays.entry(peer).and_modify(|(_, until)| *until = Some(network.now()));
            }
            _ => {}
        }
    }
    stays
}

#[test]
fn an_ending_endpoint_closes_peers_that_connect_meanwhile() {
    let authorities = Authorities::new();
    let mut came_late = 0;
    for after in (0..240).step_by(4) {
        in_virtual_time(1, async |network| {
            for other in [1, 2] {
                network.trouble((0, other), LinkFault::Delay(5), 60_000);
                network.trouble((other, 0), LinkFault::Delay(5), 60_000);
            }
            let start = |host: u8| {
                let options = options(&network, authorities.long(), host, Limits::default());
                Process::start(&network, host, 1 + u64::from(host), options)
            };
            let (callee, heard) = start(0);
            let watch = tokio::spawn(watch(network.clone(), heard));
            // This one does not answer the goodbye, so the endpoint waits; the other connects meanwhile.
            let (silent, _events) = start(1);
            silent.net.connect(address(0, PORT));
            sleep_until(network.at(400)).await;
            silent.kill();
            let (caller, _events) = start(2);
            caller.net.connect(address(0, PORT));
            sleep_until(network.at(400 + after)).await;
            callee.end().await;
            // Its remaining tasks drop the callback.
            sleep(std::time::Duration::from_secs(5)).await;
            let stays = watch.await.expect("nothing panics");
            assert!(!stays.is_empty(), "the first peer connects in time");
            for (peer, (from, until)) in stays {
                let until = until.unwrap_or_else(|| panic!("{after} ms: {peer} is left open"));
                if from > 400 + after {
                    came_late += 1;
                    assert!(
                        until - from < 500,
                        "{after} ms: {peer} is closed after {}",
                        until - from
                    );
                }
            }
            Ok(())
        })
        .expect("no violation");
    }
    assert!(came_late > 3, "{came_late}");
}
