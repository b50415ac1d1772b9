//! Whole grids of the real `Node` in virtual time, from one seed.
//!
//! A [`world::World`] holds hosts, each with a node, a disk and a Docker engine, and one queue of
//! events. The same seed gives the same run, event by event. A [`plan`] says what befalls it, a
//! [`run`](mod@run) carries one out, [`checks`] say what must hold, and [`shrink`](mod@shrink) finds
//! the least of a plan that fails.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a panic is a failing test"))]

pub mod chance;
pub mod checks;
pub mod clock;
mod digest;
pub mod disk;
pub mod engine;
pub mod explain;
pub mod fact;
pub mod failure;
pub mod host;
pub mod measure;
pub mod meter;
pub mod network;
pub mod plan;
mod queue;
pub mod report;
pub mod run;
pub mod shrink;
pub mod stage;
pub mod trace;
pub mod world;
