//! Faults that processes, networks and disks really have, each placed where it hurts: while batches are in
//! flight and a job cannot go on without noticing.
//!
//! Every test says first that its fault has bitten (a worker `left`, the job was `recovering`, a master
//! `resumed`, a warning was written), and then that the job put out what it puts out without faults.

mod cuts;
mod disks;
mod eio;
mod kills;
mod lifelines;
mod zombies;
