//! Kontena's DNS server: answers for a [`Zone`] that it is given, and asks the host's resolvers for
//! everything else.
//!
//! It knows neither grids nor services: names, addresses and ports go in, and [`Counts`] come out. The
//! parts that decide ([`Query`], [`Zone`], the cache, the limits) take the time as an argument; [`Server`]
//! has the sockets.
//!
//! Not here: which names there are (`kontena_core::network::zone`), when the server runs (the daemon).

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a panic is a failing test"))]

mod answer;
mod cache;
mod counts;
mod forward;
mod host;
mod limit;
mod name;
mod prefix;
mod query;
mod reply;
pub mod resolv;
mod server;
mod upstreams;
mod zone;

pub use counts::{Counts, Meter};
pub use host::{Host, HostProblem, Way};
pub use name::{InvalidName, Name};
pub use prefix::Prefix;
pub use query::{Flaw, Query};
pub use server::{Limits, Server, Settings};
pub use zone::{Authority, Records, Target, Transport, Zone};
