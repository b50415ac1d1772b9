//! What is wrong with a file, where, and what to do about it.

use std::fmt;

use super::{Parsed, Source};
use crate::stack::Stack;

/// A place in a text. Both count from 1; columns are characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl Position {
    pub(super) const START: Self = Self { line: 1, column: 1 };
}

/// One thing wrong or odd in a file. The texts are safe to print: control characters are escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub message: String,
    pub hint: Option<String>,
    pub at: Position,
}

/// A longer message is cut: it quotes the file, whose values have no such limit.
const MAX_MESSAGE: usize = 400;

impl Problem {
    pub(super) fn new(at: Position, message: impl fmt::Display, hint: Option<String>) -> Self {
        Self {
            message: printable(&message.to_string()),
            hint: hint.map(|hint| printable(&hint)),
            at,
        }
    }

    /// The problem as a person reads it, in three lines; `severity` is `error` or `warning`.
    pub fn display<'a>(&'a self, severity: &'a str, file: &'a str) -> impl fmt::Display {
        fmt::from_fn(move |f| {
            let Position { line, column } = self.at;
            write!(
                f,
                "{severity}: {}\n  --> {file}:{line}:{column}",
                self.message
            )?;
            match &self.hint {
                Some(hint) => write!(f, "\nhint: {hint}"),
                None => Ok(()),
            }
        })
    }
}

fn printable(text: &str) -> String {
    let mut printable = String::new();
    for character in text.chars() {
        if printable.len() > MAX_MESSAGE {
            return printable + "…";
        }
        if character.is_control() {
            printable.extend(character.escape_default());
        } else {
            printable.push(character);
        }
    }
    printable
}

/// Why a file was refused: at least one problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    pub file: String,
    /// In the order of the file.
    pub list: Vec<Problem>,
    /// How many more there are than `list` has room for.
    pub left_out: usize,
    /// What else was odd.
    pub warnings: Vec<Problem>,
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{}", problem.display("error", &self.file))?;
        }
        match self.left_out {
            0 => Ok(()),
            more => write!(f, "\nerror: {more} more problems in `{}`", self.file),
        }
    }
}

/// Nobody reads more at once, and a hostile file must not fill the memory.
const MAX_PROBLEMS: usize = 100;

/// Collects what is found while a file is read.
#[derive(Default)]
pub(super) struct Report {
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    left_out: usize,
}

impl Report {
    pub(super) fn error(&mut self, at: Position, message: impl fmt::Display) {
        self.push(Problem::new(at, message, None));
    }

    pub(super) fn error_with_hint(
        &mut self,
        at: Position,
        message: impl fmt::Display,
        hint: impl Into<String>,
    ) {
        self.push(Problem::new(at, message, Some(hint.into())));
    }

    pub(super) fn push(&mut self, problem: Problem) {
        if self.problems.contains(&problem) {
            return; // an alias shows one mistake as often as it is used
        }
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        } else {
            self.left_out += 1;
        }
    }

    pub(super) fn warn(&mut self, at: Position, message: impl fmt::Display) {
        let warning = Problem::new(at, message, None);
        if self.warnings.len() < MAX_PROBLEMS && !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// The stack, if there is one and nothing is wrong.
    pub(super) fn finish(
        mut self,
        source: &Source<'_>,
        stack: Option<Stack>,
    ) -> Result<Parsed, Problems> {
        self.warnings.sort_by_key(|warning| warning.at);
        let warnings = self.warnings.clone();
        let stack = self.only_if_right(source.file, "stack", stack)?;
        Ok(Parsed { stack, warnings })
    }

    /// What was read of `file`, if it could be read and nothing is wrong. `what` is what the file is
    /// to make.
    pub(super) fn only_if_right<T>(
        mut self,
        file: &str,
        what: &str,
        read: Option<T>,
    ) -> Result<T, Problems> {
        if let Some(read) = read
            && self.problems.is_empty()
        {
            return Ok(read);
        }
        if self.problems.is_empty() {
            self.error(Position::START, format!("the file makes no {what}"));
        }
        self.problems.sort_by_key(|problem| problem.at);
        Err(Problems {
            file: file.to_owned(),
            list: self.problems,
            left_out: self.left_out,
            warnings: self.warnings,
        })
    }
}
