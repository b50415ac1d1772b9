//! The text of a `kontena.yml` becomes a [`Stack`], or every problem of the file at once.
//!
//! ```text
//! text ─ yaml ─► tree of nodes with positions ─ reader ─► typed values ─ stack_file, service ─► Stack
//!                                                  │                                 validate ─┘
//!                                                  └► Report: problems and warnings, each with line and column
//! ```
//!
//! A key that Kontena has and this version does not carry out is an error of its own kind; nothing
//! in a file is ignored silently. Not here: reading files, variables, Liquid, `extends` (they
//! are refused), and the JSON form of a stack, which is [`compiled`].
//!
//! By the same way [`parse_nodes`] reads the nodes of a grid that somebody imagines.

pub mod compiled;

mod builtins;
mod nodes;
mod problem;
mod reader;
mod scalar;
mod schema;
mod service;
mod service_lists;
mod stack_file;
mod suggestion;
mod tag;
mod tree;
mod validate;
mod yaml;

#[cfg(test)]
mod corpus_tests;
#[cfg(test)]
mod tests;

pub use nodes::{MAX_NODES, PlannedNode, parse_nodes};
pub use problem::{Position, Problem, Problems};

use crate::id::StackName;
use crate::stack::Stack;

use problem::Report;

/// A stack file and what its text can refer to.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The name shown in problems.
    pub file: &'a str,
    pub text: &'a str,
    /// The name it is installed as (`$STACK`); `None` is the last part of the file's own.
    pub stack: Option<&'a StackName>,
    /// The grid's name (`$GRID` and `$PLATFORM`).
    pub grid: &'a str,
}

/// A file without problems.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    pub stack: Stack,
    /// What is odd in the file and changes nothing; in the order of the file.
    pub warnings: Vec<Problem>,
}

/// Reads a stack file of at most 1 MiB.
///
/// # Errors
/// Every problem of the file, in the order of the file. YAML that cannot be read is one problem,
/// because nothing can be said of what follows it.
pub fn parse(source: &Source<'_>) -> Result<Parsed, Problems> {
    let mut report = Report::default();
    let stack = yaml::read(source.text, &mut report)
        .and_then(|root| stack_file::read(&root, source, &mut report));
    report.finish(source, stack)
}
