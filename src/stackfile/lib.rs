//! Reads `kontena.yml` whole, as Kontena's own client did: variables, Liquid, `extends`, `depends`, all keys.
//!
//! A file goes in, by its [`Location`]; what Kontena's API is told of it comes out ([`Stack`]), or everything
//! that is wrong, each with its line ([`Findings`]). The crate is pure: what a file wants of the world (other
//! files, the environment, a person, chance, the vault) is asked through [`World`].
//!
//! Not here: what of a stack is carried out (`kontena_core::manifest`), and how people are asked (the
//! command line). The order of processing is in `docs/design/stack-files.md`.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "YAML has seven kinds of values and gets no more: most matches are about one of them and the rest"
)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a panic is a failing test"))]

mod alone;
mod convert;
#[cfg(test)]
mod corpus_tests;
mod depends;
mod extends;
mod file;
#[cfg(test)]
mod fuzz;
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
mod top;
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
