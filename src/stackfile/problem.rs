//! What is wrong with a file, where, and what to do about it.

use std::fmt;
use std::rc::Rc;

use crate::text::{Position, Source};

/// One thing wrong or odd in a file. The texts are safe to print: control characters are escaped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    pub file: String,
    /// `None` where the whole file is meant.
    pub at: Option<Position>,
    pub message: String,
    pub hint: Option<String>,
    /// The line that `at` is in, and where in it.
    pub excerpt: Option<Excerpt>,
}

/// A line of a file, cut to what fits a terminal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Excerpt {
    pub text: String,
    /// How many columns of `text` stand before the place.
    pub indent: usize,
}

impl Excerpt {
    /// `None` for a line that shows nothing.
    fn new(line: &str, column: usize) -> Option<Self> {
        let first = column.saturating_sub(MAX_LINE / 2 + 1);
        let shown = line.chars().skip(first).take(MAX_LINE);
        let text: String = shown.map(one_column).collect();
        let indent = column - 1 - first;
        (!text.trim().is_empty()).then_some(Self { text, indent })
    }
}

/// A longer message is cut: it quotes the file, whose values have no such limit.
const MAX_MESSAGE: usize = 400;

/// The most of a line that is shown, in characters.
const MAX_LINE: usize = 120;

impl Problem {
    /// A problem without a place in `file`.
    pub fn of_file(file: &str, message: impl fmt::Display) -> Self {
        Self {
            file: file.to_owned(),
            at: None,
            message: printable(&message.to_string()),
            hint: None,
            excerpt: None,
        }
    }

    #[must_use]
    pub fn with_hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(printable(&hint.to_string()));
        self
    }

    /// As a person reads it; `severity` is `error` or `warning`.
    pub fn display<'a>(&'a self, severity: &'a str) -> impl fmt::Display {
        fmt::from_fn(move |f| {
            write!(f, "{severity}: {}\n  --> {}", self.message, self.file)?;
            if let Some(Position { line, column }) = self.at {
                write!(f, ":{line}:{column}")?;
                self.write_excerpt(f, line)?;
            }
            match &self.hint {
                Some(hint) => write!(f, "\nhint: {hint}"),
                None => Ok(()),
            }
        })
    }

    fn write_excerpt(&self, f: &mut fmt::Formatter<'_>, line: usize) -> fmt::Result {
        let Some(Excerpt { text, indent }) = &self.excerpt else {
            return Ok(());
        };
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        let indent = " ".repeat(*indent);
        write!(f, "\n{number} | {text}\n{margin} | {indent}^")
    }
}

fn one_column(character: char) -> char {
    if character.is_control() {
        ' '
    } else {
        character
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

/// Nobody reads more at once, and a hostile file must not fill the memory.
const MAX_PROBLEMS: usize = 100;

/// What was found while files were read, in the order of finding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    pub problems: Vec<Problem>,
    pub warnings: Vec<Problem>,
    /// How many more problems there are than `problems` has room for.
    pub left_out: usize,
}

impl Findings {
    pub(crate) fn problem(&mut self, problem: Problem) {
        if self.problems.contains(&problem) {
            return; // an alias shows one mistake as often as it is used
        }
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        } else {
            self.left_out += 1;
        }
    }

    pub(crate) fn warning(&mut self, warning: Problem) {
        if self.warnings.len() < MAX_PROBLEMS && !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Takes over what was found in another file.
    pub(crate) fn append(&mut self, other: Self) {
        other
            .problems
            .into_iter()
            .for_each(|found| self.problem(found));
        other
            .warnings
            .into_iter()
            .for_each(|found| self.warning(found));
        self.left_out += other.left_out;
    }

    /// Each file's in its order; files in the order in which something was found in them.
    pub(crate) fn sort(&mut self) {
        sort(&mut self.problems);
        sort(&mut self.warnings);
    }
}

fn sort(list: &mut [Problem]) {
    let mut files: Vec<String> = Vec::new();
    for problem in list.iter() {
        if !files.contains(&problem.file) {
            files.push(problem.file.clone());
        }
    }
    list.sort_by_key(|problem| {
        let file = files.iter().position(|file| *file == problem.file);
        (file, problem.at)
    });
}

impl std::error::Error for Findings {}

impl fmt::Display for Findings {
    /// The problems; warnings are for the caller to show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{}", problem.display("error"))?;
        }
        match self.left_out {
            0 => Ok(()),
            more => write!(f, "\nerror: {more} more problems"),
        }
    }
}

/// Collects what is found in one file. Places are bytes of its source.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) source: Rc<Source>,
    pub(crate) findings: Findings,
}

impl Report {
    pub(crate) fn new(source: Rc<Source>) -> Self {
        Self {
            source,
            findings: Findings::default(),
        }
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.findings.problems.is_empty()
    }

    pub(crate) fn error(&mut self, at: usize, message: impl fmt::Display) {
        let problem = self.place(at, message);
        self.findings.problem(problem);
    }

    pub(crate) fn error_with_hint(
        &mut self,
        at: usize,
        message: impl fmt::Display,
        hint: impl fmt::Display,
    ) {
        let problem = self.place(at, message).with_hint(hint);
        self.findings.problem(problem);
    }

    /// With a hint if there is one.
    pub(crate) fn error_or_hint(
        &mut self,
        at: usize,
        message: impl fmt::Display,
        hint: Option<String>,
    ) {
        match hint {
            Some(hint) => self.error_with_hint(at, message, hint),
            None => self.error(at, message),
        }
    }

    pub(crate) fn warn(&mut self, at: usize, message: impl fmt::Display) {
        let warning = self.place(at, message);
        self.findings.warning(warning);
    }

    pub(crate) fn warn_with_hint(
        &mut self,
        at: usize,
        message: impl fmt::Display,
        hint: impl fmt::Display,
    ) {
        let warning = self.place(at, message).with_hint(hint);
        self.findings.warning(warning);
    }

    fn place(&self, at: usize, message: impl fmt::Display) -> Problem {
        let position = self.source.position(at);
        Problem {
            at: Some(position),
            excerpt: Excerpt::new(self.source.line(position.line), position.column),
            ..Problem::of_file(&self.source.name, message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_shows_its_line_with_a_caret() {
        let source = Rc::new(Source::new("kontena.yml", "stack: a\nservices:\n\tä: x\n"));
        let mut report = Report::new(source);
        report.error_with_hint(23, "tabs\u{7} are odd", "use spaces");
        expect_test::expect![[r"
            error: tabs\u{7} are odd
              --> kontena.yml:3:4
            3 |  ä: x
              |    ^
            hint: use spaces"]]
        .assert_eq(&report.findings.to_string());
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let text = format!("{}!{}", "a".repeat(500), "b".repeat(500));
        let mut report = Report::new(Rc::new(Source::new("f", text)));
        report.error(500, "here");
        let shown = report.findings.to_string();
        let lines: Vec<&str> = shown.lines().collect();
        let caret = lines[3].find('^').unwrap();
        assert_eq!(&lines[2][caret..=caret], "!");
        assert!(lines[2].len() < 130);
    }
}
