//! Whole grids of the real `Node` in virtual time, from one seed.
//!
//! A [`world::World`] holds hosts, each with a node, a disk and a Docker engine; one event queue and
//! one generator. The same seed gives the same run.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a panic is a failing test"))]

pub mod chance;
pub mod disk;
pub mod engine;
pub mod explain;
pub mod failure;
pub mod measure;
pub mod meter;
pub mod network;
pub mod report;
pub mod world;
