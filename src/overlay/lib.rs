//! The data plane of the overlay network.
pub mod key;
mod packet;
pub mod prefix;
mod routes;
