//! The HTTP API: how the command line and other programs talk to a node.
//!
//! `types` is what goes over the wire, `client` asks. Paths and field names
//! are Kontena's; what Kontena does not have is added beside them under names of its own.

pub(crate) mod client;
pub(crate) mod paths;
pub(crate) mod target;
pub(crate) mod types;
