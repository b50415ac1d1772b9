//! Kontena: a container platform for a handful of Docker hosts, without a master.
//!
//! One binary: the daemon that every node runs, and the command line that speaks to any of them.
//! Everything that decides is in `kontena_core`; this crate does. [`run`] is all there is to see from
//! outside, so that dead code is reported. The map is `docs/design/README.md`.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a panic is a failing test"))]

mod api;
mod backup;
mod cli;
mod daemon;
mod demo;
mod disk;
mod docker;
mod entropy;
mod fence;
mod laptop;
mod network;
mod p2p;
mod registry;
mod sealed;
mod telemetry;

use std::ffi::OsString;
use std::process::ExitCode;

/// Carries out one command line; the first argument is the program's name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    cli::run(arguments)
}
