//! The server and the client against each other, over real sockets, with a view made by hand and
//! a node that is a function.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test names the commands that it expects, and panics at every other"
)]

mod changes;
mod contents;
mod crowds;
mod deploys;
mod entities;
mod errors;
mod etcd;
mod exec;
mod fixture;
mod forms;
mod hanging;
mod jobs;
mod keys;
mod kontena;
mod leases;
mod logs;
mod lost;
mod moves;
mod network;
mod one_offs;
mod openapi;
mod paging;
mod placing;
mod proxy;
mod registries;
mod revisions;
mod tcp;
mod troubles;
mod unasked;
mod vpn;
