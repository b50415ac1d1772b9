//! What follows from a View for the network.

pub mod ipam;
