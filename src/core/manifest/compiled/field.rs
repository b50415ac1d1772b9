//! Typed values out of JSON, each knowing its path.

use std::fmt;

use serde_json::Value;

/// The longest list that makes sense of ports, volumes, links …: it bounds how much one service
/// can cost every node.
const MAX_ITEMS: usize = 1_000;

/// What is wrong with a JSON body, and in which field.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{path}: {message}")]
pub struct FieldProblem {
    /// As `services[1].ports[0].ip`; `body` for the whole.
    pub path: String,
    pub kind: FieldProblemKind,
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldProblemKind {
    /// Kontena has it, and this version does not carry it out.
    NotCarriedOut,
    /// It cannot be what it says.
    Invalid,
}

impl FieldProblem {
    pub(super) fn new(path: impl Into<String>, message: impl fmt::Display) -> Self {
        Self {
            path: path.into(),
            kind: FieldProblemKind::Invalid,
            message: message.to_string(),
        }
    }

    fn not_carried_out(path: String) -> Self {
        Self {
            path,
            kind: FieldProblemKind::NotCarriedOut,
            message: "is not supported yet".to_owned(),
        }
    }

    /// The same problem, of something that is part of `outer`.
    pub(super) fn under(self, outer: &Field<'_>) -> Self {
        Self {
            path: join(&outer.path, &self.path),
            ..self
        }
    }
}

/// Which fields an object may have.
pub(super) struct Fields {
    /// In groups, each of which has a file of its own.
    pub(super) known: &'static [&'static [&'static str]],
    /// Kontena's, refused here unless empty.
    pub(super) not_yet: &'static [&'static str],
}

/// A value and its path.
pub(super) struct Field<'v> {
    path: String,
    value: &'v Value,
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

impl<'v> Field<'v> {
    pub(super) fn root(value: &'v Value) -> Self {
        let path = String::new();
        Self { path, value }
    }

    pub(super) fn problem(&self, message: impl fmt::Display) -> FieldProblem {
        let path = if self.path.is_empty() {
            "body"
        } else {
            &self.path
        };
        FieldProblem::new(path, message)
    }

    fn wrong(&self, wanted: &str) -> FieldProblem {
        let found = match self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        self.problem(format!("has to be {wanted}, this is {found}"))
    }

    /// Reports fields that do not belong here; `None` if it is no object at all.
    pub(super) fn check_fields(
        &self,
        fields: &Fields,
        problems: &mut Vec<FieldProblem>,
    ) -> Option<()> {
        for (key, value) in self.object(problems)? {
            let known = fields
                .known
                .iter()
                .any(|known| known.contains(&key.as_str()));
            let not_yet = fields.not_yet.contains(&key.as_str());
            let path = join(&self.path, key);
            if not_yet && !is_nothing(value) {
                problems.push(FieldProblem::not_carried_out(path));
            } else if !known && !not_yet {
                problems.push(FieldProblem::new(path, "is not a known field"));
            }
        }
        Some(())
    }

    pub(super) fn object(
        &self,
        problems: &mut Vec<FieldProblem>,
    ) -> Option<&'v serde_json::Map<String, Value>> {
        let object = self.value.as_object();
        if object.is_none() {
            problems.push(self.wrong("an object"));
        }
        object
    }

    /// A field that is there and not null.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        let value = self.value.get(key).filter(|value| !value.is_null())?;
        let path = join(&self.path, key);
        Some(Self { path, value })
    }

    pub(super) fn required(&self, key: &str, problems: &mut Vec<FieldProblem>) -> Option<Self> {
        let field = self.get(key);
        if field.is_none() {
            problems.push(FieldProblem::new(join(&self.path, key), "is missing"));
        }
        field
    }

    pub(super) fn is_object(&self) -> bool {
        self.value.is_object()
    }

    pub(super) fn items(&self, problems: &mut Vec<FieldProblem>) -> Option<Vec<Self>> {
        let Value::Array(items) = self.value else {
            problems.push(self.wrong("a list"));
            return None;
        };
        if items.len() > MAX_ITEMS {
            let message = format!("has {} items, {MAX_ITEMS} are possible", items.len());
            problems.push(self.problem(message));
            return None;
        }
        let items = items.iter().enumerate().map(|(index, value)| Self {
            path: format!("{}[{index}]", self.path),
            value,
        });
        Some(items.collect())
    }

    /// Name and value of each field of an object.
    pub(super) fn entries(&self) -> Vec<(&'v str, Self)> {
        let entries = self.value.as_object().into_iter().flatten();
        let entries = entries.map(|(key, value)| {
            let path = join(&self.path, key);
            (key.as_str(), Self { path, value })
        });
        entries.collect()
    }

    pub(super) fn text(&self, problems: &mut Vec<FieldProblem>) -> Option<String> {
        let text = self.value.as_str();
        match text {
            None => problems.push(self.wrong("a text")),
            Some(text) if text.contains('\0') => {
                problems.push(self.problem("contains a NUL character"));
                return None;
            }
            Some(_) => {}
        }
        text.map(str::to_owned)
    }

    /// A text, or a number as it is written: Kontena's client sends either.
    pub(super) fn word(&self, problems: &mut Vec<FieldProblem>) -> Option<String> {
        match self.value {
            Value::Number(number) => Some(number.to_string()),
            Value::Null
            | Value::Bool(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => self.text(problems),
        }
    }

    /// A text, a number or a boolean as it is written.
    pub(super) fn scalar(&self, problems: &mut Vec<FieldProblem>) -> Option<String> {
        match self.value {
            Value::Bool(value) => Some(value.to_string()),
            Value::Null
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => self.word(problems),
        }
    }

    pub(super) fn parsed<T, E: fmt::Display>(
        &self,
        read: impl FnOnce(&str) -> Result<T, E>,
        problems: &mut Vec<FieldProblem>,
    ) -> Option<T> {
        let text = self.word(problems)?;
        read(&text)
            .map_err(|problem| problems.push(self.problem(problem)))
            .ok()
    }

    /// Where it is true or false.
    pub(super) fn flag(&self) -> Option<bool> {
        self.value.as_bool()
    }

    pub(super) fn boolean(&self, problems: &mut Vec<FieldProblem>) -> Option<bool> {
        let boolean = self.value.as_bool();
        if boolean.is_none() {
            problems.push(self.wrong("true or false"));
        }
        boolean
    }

    /// A whole number from `least` to `most`, also as a text.
    pub(super) fn number(
        &self,
        least: u32,
        most: u32,
        problems: &mut Vec<FieldProblem>,
    ) -> Option<u32> {
        let number = match self.value {
            Value::String(text) => text.parse().ok(),
            Value::Number(number) => number.as_u64().and_then(|number| number.try_into().ok()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            let wanted = format!("has to be a whole number from {least} to {most}");
            problems.push(self.problem(wanted));
        }
        number
    }

    pub(super) fn real(&self, problems: &mut Vec<FieldProblem>) -> Option<f64> {
        let real = self.value.as_f64();
        if real.is_none() {
            problems.push(self.wrong("a number"));
        }
        real
    }
}

/// Null, false, empty, or made of nothing but that; `bridge` is the default network mode.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(_) => false,
        Value::String(text) => text.is_empty() || text == "bridge",
        Value::Array(items) => items.is_empty(),
        Value::Object(object) => object.values().all(is_nothing),
    }
}
