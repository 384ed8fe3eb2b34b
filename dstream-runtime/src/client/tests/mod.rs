//! Clients on real loopback sockets, beside a master and receivers with a chosen behaviour. Tests wait for
//! events under a deadline and never sleep.

mod cluster;
mod hostile;
mod resend;
mod sessions;
mod streams;
