#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a panic is a failing test"))]
#![allow(
    dead_code,
    reason = "the command line and the composition root come next"
)]

mod api;
mod daemon;
