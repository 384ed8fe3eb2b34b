//! Clients on real loopback sockets, beside a master and receivers that do only what a test is about.
//! Nothing here sleeps: every wait is for an event, under a deadline.

mod cluster;
mod hostile;
mod resend;
mod sessions;
mod streams;
