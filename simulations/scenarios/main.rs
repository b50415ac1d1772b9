//! Stories: fixed seeds, hand-written faults, and what must hold.

#![allow(clippy::unwrap_used, reason = "a panic is a failing test")]

mod deploys;
mod disks;
mod failures;
mod following;
mod found;
mod health;
mod jobs;
mod leases;
mod membership;
mod moves;
mod placing;
mod splits;
mod standby;
mod support;
mod volumes;
