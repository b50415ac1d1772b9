//! The daemon. Here so far: its configuration.

pub(crate) mod config;
