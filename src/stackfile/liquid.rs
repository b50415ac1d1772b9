//! Liquid, the templates of stack files, as strictly as Kontena runs them: a variable or filter that
//! nobody declared is an error, and a file is rendered whole, its comments too.
//!
//! An interpreter of our own, because a template comes from anybody: it has a budget of work and
//! output, and what it writes still knows where it comes from. Not here: `include` and `render`
//! (a stack file is one file), `tablerow` (it makes HTML), and the filter `date` (a file means the
//! same at any time).

mod condition;
mod expression;
mod filters;
mod lexer;
mod parser;
mod render;
mod template;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub(crate) use filters::{capitalize, divide_down};

use crate::problem::Report;
use crate::text::Rendered;
use crate::value::Value;

/// What the file in `report` says once its template is carried out, or `None` with the reasons there.
pub(crate) fn render(variables: &BTreeMap<String, Value>, report: &mut Report) -> Option<Rendered> {
    let source = std::rc::Rc::clone(&report.source);
    if !source.text.contains("{{") && !source.text.contains("{%") {
        return Some(Rendered::original(&source.text));
    }
    match parser::parse(&source.text) {
        Ok(body) => render::render(&source.text, &body, variables, report),
        Err(fault) => {
            report.error_or_hint(fault.at, fault.message, fault.hint);
            None
        }
    }
}

/// What is wrong with a template, and at which byte of its source.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fault {
    at: usize,
    message: String,
    hint: Option<String>,
}

impl Fault {
    fn new(at: usize, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
            hint: None,
        }
    }
}
