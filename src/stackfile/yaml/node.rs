//! A YAML document as a tree whose every node knows its place in the file.

use std::rc::Rc;

use crate::value::Value;

/// A value and where it stands. An alias shares the node, and so the place, of its anchor.
#[derive(Debug)]
pub struct Node {
    /// The byte of the source.
    pub(crate) at: usize,
    pub(crate) kind: Kind,
    /// How many nodes deep it is, 1 for a scalar.
    pub(crate) height: usize,
    /// What it costs to walk through it: nodes and bytes, with aliases counted each time.
    pub(crate) weight: usize,
    /// How many lists and mappings stand as keys within each other: each doubles the quotes of what stands in it.
    pub(crate) keys: usize,
}

/// Key and value, in the order in which the keys first stand.
pub type Entries = Vec<(Rc<Node>, Rc<Node>)>;

#[derive(Debug)]
pub(crate) enum Kind {
    /// Neither a list nor a mapping.
    Scalar(Value),
    List(Vec<Rc<Node>>),
    Map(Entries),
}

impl Node {
    pub(crate) fn new(at: usize, kind: Kind) -> Self {
        let (height, weight) = match &kind {
            Kind::Scalar(value) => (1, value.weight()),
            Kind::List(items) => measure(items.iter()),
            Kind::Map(entries) => measure(entries.iter().flat_map(|(key, value)| [key, value])),
        };
        let keys = match &kind {
            Kind::Scalar(_) => 0,
            Kind::List(items) => items.iter().map(|item| item.keys).max().unwrap_or(0),
            Kind::Map(entries) => {
                let keys = entries
                    .iter()
                    .map(|(key, value)| value.keys.max(key.as_key()));
                keys.max().unwrap_or(0)
            }
        };
        Self {
            at,
            kind,
            height,
            weight,
            keys,
        }
    }

    /// [`Node::keys`] of what has it as a key.
    pub(crate) fn as_key(&self) -> usize {
        match &self.kind {
            Kind::Scalar(_) => 0,
            Kind::List(_) | Kind::Map(_) => self.keys + 1,
        }
    }

    pub(crate) fn scalar(&self) -> Option<&Value> {
        match &self.kind {
            Kind::Scalar(value) => Some(value),
            Kind::List(_) | Kind::Map(_) => None,
        }
    }

    /// A text that YAML takes for nothing else.
    pub fn text(&self) -> Option<&str> {
        self.scalar().and_then(Value::as_text)
    }

    /// The entries of a mapping, in the order in which the keys first stand.
    pub fn entries(&self) -> Option<&Entries> {
        match &self.kind {
            Kind::Map(entries) => Some(entries),
            Kind::Scalar(_) | Kind::List(_) => None,
        }
    }

    /// The items of a list.
    pub fn items(&self) -> Option<&[Rc<Self>]> {
        match &self.kind {
            Kind::List(items) => Some(items),
            Kind::Scalar(_) | Kind::Map(_) => None,
        }
    }

    /// Whether nothing is written.
    pub fn is_null(&self) -> bool {
        self.scalar().is_some_and(Value::is_null)
    }

    /// The value of a key of a mapping.
    pub fn get(&self, key: &str) -> Option<&Rc<Self>> {
        self.entry(key).map(|(_, value)| value)
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&(Rc<Self>, Rc<Self>)> {
        let mut entries = self.entries()?.iter();
        entries.find(|(name, _)| name.text() == Some(key))
    }

    /// A key as a text, whatever it is.
    pub fn key(&self) -> String {
        match &self.kind {
            Kind::Scalar(value) => value.to_string(),
            Kind::List(_) | Kind::Map(_) => self.to_value().inspect(),
        }
    }

    /// What it is, in a message.
    pub fn what(&self) -> &'static str {
        match &self.kind {
            Kind::List(_) => "a list",
            Kind::Map(entries) if is_template(entries) => "a `{{ … }}` that stands alone",
            Kind::Map(_) => "a mapping",
            Kind::Scalar(Value::Null) => "nothing",
            Kind::Scalar(Value::Boolean(_)) => "true or false",
            Kind::Scalar(Value::Integer(_)) => "a whole number",
            Kind::Scalar(Value::Float(_)) => "a number",
            Kind::Scalar(Value::Text(_) | Value::List(_) | Value::Map(_)) => "a text",
        }
    }

    pub(crate) fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Scalar(value) => value.clone(),
            Kind::List(items) => Value::List(items.iter().map(|item| item.to_value()).collect()),
            Kind::Map(entries) => {
                let entries = entries.iter();
                let entries = entries.map(|(key, value)| (key.key(), value.to_value()));
                Value::Map(entries.collect())
            }
        }
    }
}

/// An unquoted `{{ name }}`: for YAML a mapping whose key is a mapping.
fn is_template(entries: &Entries) -> bool {
    matches!(entries.as_slice(), [(key, _)] if matches!(key.kind, Kind::Map(_)))
}

fn measure<'a>(children: impl Iterator<Item = &'a Rc<Node>>) -> (usize, usize) {
    children.fold((1, 1), |(height, weight), child| {
        (
            height.max(child.height + 1),
            weight.saturating_add(child.weight),
        )
    })
}
