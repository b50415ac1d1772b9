//! Kontena: a container platform for a handful of Docker hosts, without a master.
//!
//! [`run`] is all there is to see from outside, so that dead code is reported.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a panic is a failing test"))]
#![allow(dead_code, reason = "the composition root comes next")]

mod api;
mod cli;

use std::ffi::OsString;
use std::process::ExitCode;

/// Carries out one command line; the first argument is the program's name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    cli::run(arguments)
}
