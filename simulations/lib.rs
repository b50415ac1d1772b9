//! Whole grids of the real `Node` in virtual time, from one seed.
//!
//! A [`world::World`] holds hosts, each with a node, a disk and a Docker engine, and one queue of
//! events. The same seed gives the same run, event by event.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a panic is a failing test"))]

pub mod chance;
pub mod clock;
mod digest;
pub mod disk;
pub mod engine;
pub mod fact;
pub mod host;
pub mod network;
mod queue;
pub mod world;
