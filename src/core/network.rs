//! What follows from a View for the network.

pub mod addresses;
pub mod cut_off;
pub mod ipam;
pub mod keys;
pub mod peers;
pub mod plan;
pub mod sight;
pub mod vpn;
pub mod zone;
