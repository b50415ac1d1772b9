//! Databases that are written to all the while, from every host: what one has said that it has, it has.
//!
//! A writer on each host notes a row outside of its container once the database has answered for it. `written.rs` has
//! such a grid and counts, `story.rs` is what each of them goes through; the others are what each of them is.

mod moved;
mod postgres;
mod redis;
mod story;
mod written;
