//! Variables: what a file declares, and where their values come from.
//!
//! They are resolved in the order of the file, each from the first source that knows a value: what
//! the user gave, the fixed `value`, each `from`, the environment variable of its own name, the
//! `default`. A later variable may refer to earlier ones.

mod condition;
mod declaration;
mod evaluate;
mod kind;
mod resolve;
mod source;

use std::collections::BTreeMap;

use crate::value::Value;

pub(crate) use condition::holds_for_service;
pub(crate) use declaration::{Declaration, declarations};
pub(crate) use resolve::{Given, resolve};
pub(crate) use source::Context;

/// The types of variables.
pub(crate) const TYPES: [&str; 7] = kind::Kind::NAMES;

/// What the variables of a file are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Variables {
    /// By name: the built-in ones, the dependencies, and those that the file declares.
    pub(crate) values: BTreeMap<String, Value>,
    /// What setters put into the environment; `$NAME` finds it too.
    pub(crate) environment: BTreeMap<String, Value>,
    /// What setters put into the vault.
    pub(crate) secrets: BTreeMap<String, String>,
    /// Those that were declared, in order, with what is known of each.
    pub(crate) declared: Vec<Resolved>,
}

/// A declared variable with its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Resolved {
    pub(crate) name: String,
    pub(crate) value: Value,
    /// Whether the vault has to do with it: it comes from there or goes there.
    pub(crate) is_secret: bool,
    /// Whether a condition left it out.
    pub(crate) is_skipped: bool,
    /// Whether the user could have given it: it is neither fixed nor computed.
    pub(crate) is_answer: bool,
}

impl Variables {
    /// What `$NAME` stands for.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name).or_else(|| self.environment.get(name))
    }
}
