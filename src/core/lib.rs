//! Everything that Kontena decides, and nothing that it does.
//!
//! Pure: no clock, no randomness of its own, no async, no I/O; time and seeds are arguments and
//! collections are ordered. The daemon and the simulator drive the same [`node::Node`].

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a panic is a failing test"))]

pub mod access;
pub mod chance;
pub mod command;
pub mod document;
pub mod external_registry;
pub mod id;
pub mod identity;
pub mod job;
pub mod keys;
pub mod lease;
pub mod manifest;
pub mod membership;
pub mod message;
pub mod network;
pub mod node;
pub mod placement;
pub mod reconcile;
pub mod report;
pub mod schedule;
pub mod stack;
pub mod time;
pub mod view;
pub mod volume;
