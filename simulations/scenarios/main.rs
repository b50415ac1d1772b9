//! Stories: fixed seeds, hand-written faults, and what must hold.

mod deploys;
mod disks;
mod failures;
mod membership;
mod splits;
mod support;
