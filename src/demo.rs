//! `kontena demo`: a whole grid on this one machine, with real Docker engines, and a stack on it.
//!
//! In: how many nodes. Out: a narration with measured times, and success only if every step of it held.
//! Below it is a [`lab::Lab`]: hosts with a network, an engine and a disk each, that can be cut off and
//! killed; the e2e tests use the same. Needs root, Linux and Debian's packages (`scripts/demo`).
//!
//! This part knows kontena only from outside, by its commands and their `--json`: it imports nothing else
//! of this program.

pub(crate) mod daemon;
pub(crate) mod engine;
pub(crate) mod host;
mod http;
pub(crate) mod images;
pub(crate) mod lab;
mod leftovers;
mod network;
mod processes;
pub(crate) mod program;
mod requirements;
pub(crate) mod wait;
