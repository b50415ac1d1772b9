//! One service: what a file may say of it, and what Kontena's API is told.

mod check;
mod environment;
mod extend;
mod keys;
mod lease;
mod lists;
mod payload;
mod placing;

pub(crate) use check::{Surroundings, check};
pub(crate) use environment::environment;
pub(crate) use extend::extend;
pub(crate) use keys::DEPLOY as DEPLOY_KEYS;
#[cfg(test)]
pub(crate) use keys::SERVICE as KEYS;
pub(crate) use keys::{CONCURRENCY, ON_FAILURE, ORDER};
pub(crate) use lease::SINGLETON;
pub(crate) use payload::{Options, payload};
pub(crate) use placing::{ON_RETURN, TAKEOVER};
