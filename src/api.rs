//! The HTTP API: how the command line and other programs talk to a node.
//!
//! `types` is what goes over the wire, `client` asks, `server` (with `routes`) answers from the
//! [`backend::Backend`]: the newest view, a channel for commands, and logs. Paths and field names
//! are Kontena's; what Kontena does not have is added beside them under names of its own. The routes and their types
//! are also what the [document](openapi) of the API is made of. Not here:
//! any decision. A route translates, waits a bounded time, and translates back.

pub(crate) mod backend;
pub(crate) mod client;
pub(crate) mod paths;
pub(crate) mod server;
pub(crate) mod target;
pub(crate) mod think;
pub(crate) mod types;

mod answer;
pub(crate) mod carry;
pub(crate) mod dial;
mod etcd;
mod exec;
mod logs;
pub(crate) mod openapi;
mod page;
mod present;
mod request;
pub(crate) mod routes;
#[cfg(test)]
mod tests;
