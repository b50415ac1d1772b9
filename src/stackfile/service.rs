//! One service: what a file may say of it, and what Kontena's API is told.

mod check;
mod environment;
mod extend;
mod keys;
mod lists;
mod payload;

pub(crate) use check::{Surroundings, check};
pub(crate) use environment::environment;
pub(crate) use extend::extend;
#[cfg(test)]
pub(crate) use keys::SERVICE as KEYS;
pub(crate) use payload::{Options, payload};
