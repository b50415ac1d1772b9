//! Kontena: a container platform for a handful of Docker hosts, without a master.
//!
//! One binary: the daemon that every node runs, and the command line that speaks to any of them.
//! Everything that decides is in `kontena_core`; this crate does. The map is `docs/design/README.md`.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a panic is a failing test"))]
#![allow(dead_code, reason = "the command line comes next")]

mod api;
mod daemon;
mod demo;
mod disk;
mod docker;
mod p2p;
mod telemetry;
