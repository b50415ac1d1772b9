//! A stack as it comes over the API.
//!
//! Not here: the text of a `kontena.yml`, which the crate `kontena-stackfile` reads and makes
//! [`compiled`] JSON of.

pub mod compiled;
