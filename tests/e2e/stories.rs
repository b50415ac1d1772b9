//! The grid's life on several hosts. Each story brings up one lab, does many things to it, and is
//! judged after each of them by the same eyes (`support/settle.rs`): the nodes' and the engines'.

mod backup;
mod care;
mod contents;
mod crashes;
mod databases;
mod disks;
mod everyday;
mod exec;
mod following;
mod interrupted;
mod jobs;
mod keys;
mod leases;
mod load;
mod maintenance;
mod members;
mod moves;
mod network;
mod power;
mod registries;
mod rollouts;
mod run;
mod splits;
mod stacks;
mod standby;
mod volumes;
mod vpn;
