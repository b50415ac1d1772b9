//! A whole file in, the payload or what is wrong out. The world is a few files in memory.

mod files;
mod properties;
mod services;
mod stacks;
mod variables;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use expect_test::Expect;

use crate::{
    AnswerKind, Findings, Location, Question, ReadProblem, Request, Stack, Value, World, read, yaml,
};

/// A world of texts, in which chance counts up.
#[derive(Default)]
pub(crate) struct Memory {
    files: BTreeMap<PathBuf, String>,
    registry: BTreeMap<String, String>,
    environment: BTreeMap<String, String>,
    secrets: BTreeMap<String, String>,
    services: Option<Vec<String>>,
    answers: BTreeMap<String, Value>,
    asked: Vec<Question>,
    drawn: u64,
    values: BTreeMap<String, Value>,
    previous: BTreeMap<String, Value>,
    name: Option<String>,
}

impl World for Memory {
    fn read(&mut self, location: &Location) -> Result<String, ReadProblem> {
        let text = match location {
            Location::File(path) => self.files.get(path),
            Location::Registry(name) | Location::Url(name) | Location::Text { name, .. } => {
                self.registry.get(name)
            }
        };
        text.cloned().ok_or(ReadProblem::Missing)
    }

    fn shown(&self, location: &Location) -> String {
        location.to_string().trim_start_matches("/work/").to_owned()
    }

    fn environment(&mut self, name: &str) -> Option<String> {
        self.environment.get(name).cloned()
    }

    fn random(&mut self, below: u64) -> u64 {
        self.drawn += 1;
        self.drawn % below
    }

    fn ask(&mut self, question: &Question) -> Option<Value> {
        self.asked.push(question.clone());
        self.answers.get(&question.variable).cloned()
    }

    fn secret(&mut self, name: &str) -> Option<String> {
        self.secrets.get(name).cloned()
    }

    fn secret_names(&mut self) -> Option<Vec<String>> {
        Some(self.secrets.keys().cloned().collect())
    }

    fn certificates(&mut self) -> Option<Vec<String>> {
        Some(vec!["example.com".to_owned()])
    }

    fn services(&mut self, _: Option<&str>, _: Option<&str>) -> Option<Vec<String>> {
        self.services.clone()
    }

    fn instances(&mut self, stack: &str, service: &str) -> Option<u32> {
        (stack == "s" && service == "web").then_some(4)
    }
}

impl Memory {
    pub(crate) fn with(text: &str) -> Self {
        Self::default().file("kontena.yml", text)
    }

    pub(crate) fn file(mut self, path: &str, text: &str) -> Self {
        self.files
            .insert(Path::new("/work").join(path), text.to_owned());
        self
    }

    pub(crate) fn value(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.values.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn read(&mut self) -> Result<Stack, Findings> {
        let (values, previous, name) = (
            self.values.clone(),
            self.previous.clone(),
            self.name.clone(),
        );
        let request = Request {
            location: Location::File(PathBuf::from("/work/kontena.yml")),
            name: name.as_deref(),
            grid: "home",
            platform: "home-platform",
            values: &values,
            previous: &previous,
        };
        read(&request, self)
    }

    /// The part of the payload at a path such as `services.0.env`, as YAML, or what is wrong.
    pub(crate) fn part(&mut self, path: &str) -> String {
        match self.read() {
            Ok(stack) => yaml::print(&at(&stack.payload, path)),
            Err(findings) => findings.to_string(),
        }
    }
}

fn at(value: &Value, path: &str) -> Value {
    let mut value = value.clone();
    for part in path.split('.').filter(|part| !part.is_empty()) {
        value = match part.parse::<usize>() {
            Ok(index) => value.as_list().and_then(|items| items.get(index)).cloned(),
            Err(_) => value.get(part).cloned(),
        }
        .unwrap_or(Value::Null);
    }
    value
}

/// A stack `s` with one service that says `lines`.
pub(crate) fn service(lines: &str) -> Memory {
    let lines: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    Memory::with(&format!("stack: s\nservices:\n  web:\n{lines}"))
}

#[track_caller]
pub(crate) fn check(world: &mut Memory, path: &str, expected: Expect) {
    expected.assert_eq(&world.part(path));
}

/// The first line of the first problem; empty where there is none.
pub(crate) fn first_problem(world: &mut Memory) -> String {
    match world.read() {
        Ok(_) => String::new(),
        Err(findings) => findings
            .problems
            .first()
            .map(|problem| problem.message.clone())
            .unwrap_or_default(),
    }
}

pub(crate) fn asked_kinds(world: &Memory) -> Vec<AnswerKind> {
    world
        .asked
        .iter()
        .map(|question| question.answer.clone())
        .collect()
}
