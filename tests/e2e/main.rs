//! Real hosts, real Docker engines, the real program: what unit tests and simulations cannot see.
//!
//! One binary, so that it is linked once. Needs root and the packages that `scripts/test` installs.

#![allow(clippy::unwrap_used, reason = "a panic is a failing test")]

mod lab;
/// A program of its own, whose records the stories read.
#[path = "load/main.rs"]
#[allow(dead_code, reason = "most of it runs in containers")]
mod load;
mod stories;
#[allow(
    dead_code,
    reason = "what a test can ask of a host is here before the test is"
)]
mod support;

/// The lab is part of the program (`kontena demo`), whose library exports nothing but `run`.
#[path = "../../src"]
#[allow(
    dead_code,
    reason = "the story is told by the command, not by the tests"
)]
mod source {
    pub(crate) mod demo;
}
