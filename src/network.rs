//! The network edge: this host's interface of the overlay, and what else a host needs so that containers
//! reach each other by it.
//!
//! In: how the network shall be, from the core ([`Wanted`](kontena_core::network::peers::Wanted)). Out: what it is. Everything that is
//! added to a host is found again by name: the interface, the bridge, and the comment of each rule. Not here: the
//! engine's network (`docker`), and the order of things (`daemon`).

mod firewall;
mod forwarding;
mod holding;
mod key;
mod names;
mod plane;
mod routes;

pub(crate) use firewall::Firewall;
pub(crate) use forwarding::{allow_forwarding, answer_for_users};
pub(crate) use holding::Holding;
pub(crate) use names::Names;
pub(crate) use plane::{Pair, Plane, Route};
pub(crate) use routes::host_routes;
