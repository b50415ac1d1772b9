//! Who belongs, and who was heard of lately: two questions, two mechanisms.
//!
//! The *roster* is durable and signed ([`admission`]); only an operator removes a node from it.
//! *Freshness* is ephemeral: each node bumps its own counter, and the vector of counters
//! ([`vector`]) spreads by push-pull.

pub mod admission;
pub mod vector;
