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
pub(crate) use node::{Entries, Node};
pub use print::print;

use std::rc::Rc;

use crate::problem::{Findings, Report};
use crate::text::{Rendered, Source};
use crate::value::Value;

/// A file with a thousand services has a tenth of it.
pub const MAX_BYTES: usize = 1 << 20;

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
