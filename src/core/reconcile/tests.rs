//! Examples and properties of reconciliation, against a small engine in memory.

mod asked;
mod bench;
mod crashes;
mod departures;
mod deploys;
mod engine;
mod fleet;
mod health;
mod hooks;
mod jobs;
mod moves;
mod one_off;
mod order;
mod parting;
mod properties;
mod sources;
mod standby;
mod starts;
mod succession;
mod volumes;
mod wiring;
