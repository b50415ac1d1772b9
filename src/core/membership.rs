//! Who belongs, and who was heard of lately: two questions, two mechanisms.
//!
//! The *roster* is durable and signed ([`admission`]); only an operator removes a node from it.
//! *Freshness* is ephemeral: each node bumps its own counter, and the vector of counters
//! ([`vector`]) spreads by push-pull, and [`freshness`] judges how lately each member was heard of.
//! Two processes with one key are noticed by [`clone`]. The page is `docs/design/membership.md`.

pub mod admission;
mod by_node;
pub mod clone;
pub mod fanout;
pub mod freshness;
pub mod token;
pub mod vector;
