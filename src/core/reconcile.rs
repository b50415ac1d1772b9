//! Desired × observed → actions, for this node alone.
//!
//! [`Instances`] is told what falls to this node ([`Goals`]), what the engine shows ([`Observed`])
//! and what became of its actions; it says what to do next, and what this node holds and refuses,
//! for its report. It decides by level: each time it looks at all of what is wanted and all of what
//! is, so a lost or doubled message costs a delay, not a bug. It keeps only what cannot be seen:
//! when to try again, whose turn it is, which action is under way.
//!
//! Not here: which node runs what (`placement`), talking to Docker (an edge carries out each
//! [`Action`]). The life cycle and the rollout rule are drawn in `docs/design/reconcile.md`.
//!
//! [`Observed`]: action::Observed
//! [`Action`]: action::Action

pub mod action;
mod arriving;
pub mod backoff;
mod checks;
pub mod container;
mod engine;
pub mod goals;
mod hooks;
mod images;
mod instances;
pub mod jobs;
mod journal;
mod last_words;
mod leases;
mod lifecycle;
mod moves;
mod moving;
pub mod one_off;
mod order;
mod outcome;
mod parting;
mod plan;
mod queue;
mod refusals;
pub mod rollout;
mod round;
mod sight;
mod sources;
mod standby;
mod succession;
#[cfg(test)]
mod tests;
mod trial;
mod volumes;
pub mod wanted;
pub mod wiring;
pub mod yielding;

pub use arriving::{Arrival, Inbound, Settlement};
pub use goals::{Holder, goals};
pub use instances::{Identity, Instances, Remembered};
pub use leases::{Held, LeaseNeed, LeaseTerms};
pub use moving::{AskId, MoveAsk, MoveWord, Outbound};
pub use order::{Awaited, Tie};
pub use parting::Leaves;
pub use standby::MAX_STANDBY;
pub use trial::Failed;
pub use volumes::RemovedVolumes;
pub use wanted::{Departure, Goals, Leaving, Rival, Wanted};
