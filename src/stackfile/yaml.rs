//! YAML text becomes a [`Node`] tree as Ruby's YAML 1.1 reads it: a later key of the same name wins,
//! `<<` is carried out where it stands, and plain `:words` and dates are refused.
//!
//! Everything is bounded, because a file may come from anybody: its size, its depth, and how much
//! aliases make of it.

mod compose;
mod node;
mod print;
mod scalar;
#[cfg(test)]
mod tests;

pub(crate) use compose::{Repeats, read};
pub use node::{Entries, Node};
pub use print::print;

use std::rc::Rc;

use crate::problem::{Findings, Report};
use crate::text::{Rendered, Source};
use crate::value::Value;

/// A file with a thousand services has a tenth of it.
pub const MAX_BYTES: usize = 1 << 20;

/// A YAML text that is no stack file, read by its places.
#[derive(Debug)]
pub struct Document {
    root: Rc<Node>,
    report: Report,
}

impl Document {
    /// # Errors
    /// What is wrong with the text.
    pub fn read(name: &str, text: &str) -> Result<Self, Findings> {
        let mut report = Report::new(Rc::new(Source::new(name, text)));
        let root = read(&Rendered::original(text), Repeats::Warned, &mut report);
        match root {
            Some(root) if report.is_clean() => Ok(Self { root, report }),
            Some(_) | None => Err(report.findings),
        }
    }

    pub fn root(&self) -> Rc<Node> {
        Rc::clone(&self.root)
    }

    /// Notes what is wrong with a part of it.
    pub fn refuse(&mut self, node: &Node, message: impl std::fmt::Display, hint: Option<String>) {
        self.report.error_or_hint(node.at, message, hint);
    }

    /// What was found.
    #[must_use]
    pub fn findings(mut self) -> Findings {
        self.report.findings.sort();
        self.report.findings
    }
}

/// Reads a YAML text that is no stack file, such as one of values.
///
/// # Errors
/// What is wrong with it.
pub fn parse(name: &str, text: &str) -> Result<Value, Findings> {
    let source = Rc::new(Source::new(name, text));
    let mut report = Report::new(source);
    let root = read(&Rendered::original(text), Repeats::Silent, &mut report);
    match root {
        Some(root) if report.is_clean() => Ok(root.to_value()),
        Some(_) | None => Err(report.findings),
    }
}
