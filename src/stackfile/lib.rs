//! Reads `kontena.yml` whole.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a panic is a failing test"))]

mod alone;
mod convert;
#[cfg(test)]
mod corpus_tests;
mod depends;
mod extends;
mod file;
mod interpolate;
mod liquid;
mod places;
mod problem;
mod schema;
mod service;
mod stack;
mod suggestion;
#[cfg(test)]
mod tests;
mod text;
mod units;
mod value;
mod variables;
mod world;
pub mod yaml;

pub use alone::Alone;
pub use convert::{Converted, convert};
pub use problem::{Excerpt, Findings, Problem};
pub use schema::schema;
pub use stack::{Child, Request, Stack, read};
pub use suggestion::nearest;
pub use text::{Position, Source};
pub use value::Value;
pub use world::{AnswerKind, Choice, Location, Question, ReadProblem, World};
