#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a panic is a failing test"))]

mod disk;
mod docker;
mod p2p;
