//! Jobs on several processes: whatever joins, drains, is killed or is hostile, what a job puts out is
//! what it puts out on one process, byte for byte.

mod acknowledgements;
mod clock;
mod connectors;
mod crew;
mod drains;
mod ends;
mod faults;
mod fixed_ports;
mod hosts;
mod identical;
mod intruders;
mod joins;
mod live;
mod losses;
mod lost_holders;
mod memory;
mod network;
mod post;
mod pushed;
mod receivers;
mod recovery;
mod refusals;
mod restarts;
mod rotation;
mod savepoints;
mod sends;
mod standby;
mod steady;
mod trust;
