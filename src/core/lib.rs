//! Everything that Kontena decides, and nothing that it does.
//!
//! Pure: no clock, no randomness of its own, no async, no I/O; time and seeds are arguments and
//! collections are ordered. The daemon and the simulator drive the same `Node`.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a panic is a failing test"))]

pub mod id;
pub mod manifest;
pub mod stack;
pub mod time;
