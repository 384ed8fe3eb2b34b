//! The end of an endpoint, at every moment of a handshake.

use tokio::time::sleep_until;

use super::link::Trouble;
use super::network::address;
use super::process::{PORT, Process, options};
use super::{Authorities, in_virtual_time};
use crate::net::{Limits, NetEvent};

#[test]
fn an_endpoint_that_ends_takes_leave_of_whoever_comes_meanwhile() {
    let authorities = Authorities::new();
    let mut opened = 0;
    for after in (0..260).step_by(2) {
        in_virtual_time(1, async |network| {
            for way in [(0, 1), (1, 0)] {
                network.trouble(way, Trouble::Delay(5), 60_000);
            }
            let options = |host| options(&network, authorities.long(), host, Limits::default());
            let (callee, mut heard) = Process::start(&network, 0, 1, options(0));
            let (caller, _events) = Process::start(&network, 1, 2, options(1));
            caller.net.connect(address(0, PORT));
            sleep_until(network.at(after)).await;
            callee.end().await;
            // A goodbye is answered at once; what has no answer yet is waited for for a second, once.
            let took = network.now() - after;
            assert!(took < 1300, "at {after} ms: it takes {took} ms");
            let mut open = 0;
            while let Ok(delivery) = heard.try_recv() {
                match delivery.take() {
                    NetEvent::Connected { .. } => (open, opened) = (open + 1, opened + 1),
                    NetEvent::Closed { .. } => open -= 1,
                    _ => {}
                }
            }
            assert_eq!(open, 0, "at {after} ms");
            Ok(())
        })
        .expect("nothing is told to be wrong");
    }
    assert!(opened > 10, "{opened}");
}
