//! A YAML document as a tree whose every node knows its place in the text.

use std::rc::Rc;

use super::problem::Position;

/// A value and where it stands. An alias shares the node, and so the place, of its anchor.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) value: Value,
    /// How many nodes deep it is, 1 for a scalar.
    pub(super) height: usize,
    /// What it costs to walk through it: nodes and characters, with aliases counted each time.
    pub(super) weight: usize,
}

#[derive(Debug)]
pub(super) enum Value {
    Scalar(Scalar),
    List(Vec<Rc<Node>>),
    Map(Vec<(Rc<Node>, Rc<Node>)>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scalar {
    pub(super) text: String,
    /// Written without quotes, so that `yes` may be a boolean.
    pub(super) plain: bool,
}

impl Node {
    pub(super) fn scalar(at: Position, scalar: Scalar) -> Self {
        let weight = 1 + scalar.text.len();
        Self {
            at,
            value: Value::Scalar(scalar),
            height: 1,
            weight,
        }
    }

    pub(super) fn list(at: Position, items: Vec<Rc<Self>>) -> Self {
        let (height, weight) = measure(items.iter());
        Self {
            at,
            value: Value::List(items),
            height,
            weight,
        }
    }

    pub(super) fn map(at: Position, entries: Vec<(Rc<Self>, Rc<Self>)>) -> Self {
        let (height, weight) = measure(entries.iter().flat_map(|(key, value)| [key, value]));
        Self {
            at,
            value: Value::Map(entries),
            height,
            weight,
        }
    }

    /// The text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) => Some(&scalar.text),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        match &self.value {
            Value::Scalar(scalar) => scalar.is_null(),
            Value::List(_) | Value::Map(_) => false,
        }
    }

    /// Whether it says nothing: null, `[]`, `{}`, or a plain `false`.
    pub(super) fn is_nothing(&self) -> bool {
        match &self.value {
            Value::Scalar(scalar) => scalar.is_null() || scalar.boolean() == Some(false),
            Value::List(items) => items.is_empty(),
            Value::Map(entries) => entries.is_empty(),
        }
    }

    /// An unquoted `{{ name }}`: for YAML a mapping whose key is a mapping.
    pub(super) fn is_template(&self) -> bool {
        match &self.value {
            Value::Map(entries) => {
                matches!(entries.as_slice(), [(key, _)] if matches!(key.value, Value::Map(_)))
            }
            Value::Scalar(_) | Value::List(_) => false,
        }
    }
}

fn measure<'a>(children: impl Iterator<Item = &'a Rc<Node>>) -> (usize, usize) {
    children.fold((1, 1), |(height, weight), child| {
        (
            height.max(child.height + 1),
            weight.saturating_add(child.weight),
        )
    })
}
