//! One file on its way from text to the tree that counts.
//!
//! ```text
//! text ─ YAML as it is written ─► stack, version, depends, meta, labels
//!    ├─ $NAMES left out ─ YAML ─► variables ─ resolved ─┐
//!    └─ Liquid ◄────────────────────────────────────────┤
//!         └─ $NAMES ◄───────────────────────────────────┘
//!              └─ $$ ─ YAML ─► services, volumes
//! ```

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::interpolate::{fill, written};
use crate::liquid;
use crate::problem::{Findings, Problem, Report};
use crate::suggestion::nearest;
use crate::text::{Rendered, Source};
use crate::value::Value;
use crate::variables::Variables;
use crate::world::{Location, World};
use crate::yaml::{self, Node, Repeats};

/// A file that was read, and what was found in it so far.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) location: Location,
    pub(crate) report: Report,
    /// The text as YAML, templates and variables as they are written.
    pub(crate) raw: Rc<Node>,
}

impl File {
    /// Reads a file, which has to be YAML before anything is filled in.
    pub(crate) fn open(location: &Location, world: &mut dyn World) -> Result<Self, Findings> {
        let name = world.shown(location);
        let text = world.read(location).map_err(|problem| {
            let mut findings = Findings::default();
            let message = format!("failed to read `{name}`: {problem}");
            let found = Problem::of_file(&name, message);
            findings.problem(match problem.hint() {
                Some(hint) => found.with_hint(hint),
                None => found,
            });
            findings
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let mut report = Report::new(Rc::new(Source::new(name, text)));
        let raw = yaml::read(&Rendered::original(text), Repeats::Silent, &mut report);
        match raw {
            Some(raw) if report.is_clean() => Ok(Self {
                location: location.clone(),
                report,
                raw,
            }),
            Some(_) | None => Err(report.findings),
        }
    }

    /// The file as it declares variables: of all names only those in `built_in` stand for something.
    pub(crate) fn without_variables(
        &mut self,
        built_in: &BTreeMap<String, Value>,
    ) -> Option<Rc<Node>> {
        let text = Rendered::original(&self.report.source.text);
        let mut used = false;
        let filled = fill(&text, |name, _, _| {
            used = true;
            built_in.get(name).map(written).unwrap_or_default()
        });
        if !used {
            return Some(Rc::clone(&self.raw));
        }
        let known = self.report.findings.problems.len();
        let root = yaml::read(&filled, Repeats::Silent, &mut self.report);
        for problem in self.report.findings.problems.iter_mut().skip(known) {
            let hint =
                "variables are left out while `variables` is read: put quotes around the value";
            problem.hint = Some(hint.to_owned());
        }
        root
    }

    /// The file as it counts: its template carried out, and its variables filled in.
    pub(crate) fn filled(&mut self, variables: &Variables) -> Option<Rc<Node>> {
        let known = self.report.findings.problems.len();
        let rendered = liquid::render(&variables.values, &mut self.report)?;
        let filled = self.fill_variables(&rendered, variables);
        if self.report.findings.problems.len() > known {
            return None; // what is left out would be taken for a mistake of its own
        }
        yaml::read(&filled, Repeats::Warned, &mut self.report)
    }

    fn fill_variables(&mut self, text: &Rendered, variables: &Variables) -> Rendered {
        let report = &mut self.report;
        // What is wrong with a variable was said, and leaves it without a value.
        let all_known = report.is_clean();
        fill(text, |name, reference, at| {
            if reference.is_open {
                let message = format!("`${{{name}` is not closed: what follows is taken as it is");
                let hint =
                    "there are no defaults as in `${NAME:-value}`: give the variable a `default`";
                report.warn_with_hint(at, message, hint);
            }
            match variables.get(name) {
                None => {
                    undeclared(name, at, variables, report);
                    String::new()
                }
                Some(value) => {
                    let written = written(value);
                    if written.is_empty() && all_known {
                        report.warn(at, format!("`${name}` has no value, and leaves nothing"));
                    }
                    written
                }
            }
        })
    }
}

fn undeclared(name: &str, at: usize, variables: &Variables, report: &mut Report) {
    let known = variables.values.keys().map(String::as_str);
    let hint = match nearest(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "declare it under `variables`, or write `$$` for a `$` of its own".to_owned(),
    };
    report.error_with_hint(at, format!("the variable `{name}` is not declared"), hint);
}
