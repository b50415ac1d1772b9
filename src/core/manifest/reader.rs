//! Typed values out of the tree. Each method reports what is wrong and returns `None`, so that the
//! caller goes on to the next value and the user sees every problem at once.

use std::fmt;
use std::rc::Rc;

use super::builtins::Builtins;
use super::problem::{Position, Report};
use super::schema::{Refusal, Section};
use super::suggestion::nearest;
use super::tree::{Node, Scalar, Value};

/// The longest list that makes sense of ports, volumes, links …: it bounds how much one service
/// can cost every node.
pub(super) const MAX_ITEMS: usize = 1_000;

pub(super) struct Reader<'a> {
    pub(super) builtins: Builtins<'a>,
    pub(super) report: &'a mut Report,
}

/// One entry of a mapping.
pub(super) struct Entry<'n> {
    pub(super) key: String,
    /// Where the key stands.
    pub(super) at: Position,
    pub(super) value: &'n Node,
}

impl Reader<'_> {
    /// The entries of a mapping; none for null.
    pub(super) fn entries<'n>(&mut self, node: &'n Node, what: &str) -> Vec<Entry<'n>> {
        match &node.value {
            Value::Map(_) if node.is_template() => self.template(node.at),
            Value::Map(entries) => {
                return entries
                    .iter()
                    .filter_map(|(key, value)| self.entry(key, value))
                    .collect();
            }
            Value::Scalar(scalar) if scalar.is_null() => {}
            Value::Scalar(_) => self.wrong_kind(node, what, "a mapping", "a single value"),
            Value::List(_) => self.wrong_kind(node, what, "a mapping", "a list"),
        }
        Vec::new()
    }

    fn entry<'n>(&mut self, key: &Node, value: &'n Node) -> Option<Entry<'n>> {
        Some(Entry {
            key: self.scalar(key, "a key")?.text,
            at: key.at,
            value,
        })
    }

    /// The entries of a mapping whose keys are fixed: those that are supported.
    pub(super) fn section<'n>(&mut self, node: &'n Node, section: &Section) -> Vec<Entry<'n>> {
        let mut entries = self.entries(node, section.name);
        entries.retain(|entry| {
            let supported = section.supported.contains(&entry.key.as_str());
            if !supported {
                self.refuse(entry, section);
            }
            supported
        });
        entries
    }

    fn refuse(&mut self, entry: &Entry<'_>, section: &Section) {
        let Entry { key, at, .. } = entry;
        match section.refuse(key) {
            Refusal::NotYet => self
                .report
                .error(*at, format!("`{key}` is not supported yet")),
            Refusal::Unknown { hint } => {
                let message = format!("`{key}` is not a key of {}", section.name);
                match hint {
                    Some(hint) => self.report.error_with_hint(*at, message, hint),
                    None => self.report.error(*at, message),
                }
            }
        }
    }

    /// The items of a list; none for null.
    pub(super) fn items<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Rc<Node>] {
        match &node.value {
            Value::List(items) if items.len() > MAX_ITEMS => {
                let message = format!("{what} has {} items, {MAX_ITEMS} are possible", items.len());
                self.report.error(node.at, message);
            }
            Value::List(items) => return items,
            Value::Scalar(scalar) if scalar.is_null() => {}
            Value::Scalar(_) => self.wrong_kind(node, what, "a list", "a single value"),
            Value::Map(_) if node.is_template() => self.template(node.at),
            Value::Map(_) => self.wrong_kind(node, what, "a list", "a mapping"),
        }
        &[]
    }

    /// A single value, with built-in names replaced.
    pub(super) fn scalar(&mut self, node: &Node, what: &str) -> Option<Scalar> {
        match &node.value {
            Value::Scalar(scalar) => self.expanded(node.at, scalar, what),
            Value::Map(_) if node.is_template() => {
                self.template(node.at);
                None
            }
            Value::Map(_) => {
                self.wrong_kind(node, what, "a single value", "a mapping");
                None
            }
            Value::List(_) => {
                self.wrong_kind(node, what, "a single value", "a list");
                None
            }
        }
    }

    fn expanded(&mut self, at: Position, scalar: &Scalar, what: &str) -> Option<Scalar> {
        let text = match self.builtins.expand(&scalar.text) {
            Ok(text) => text,
            Err(not_yet) => {
                let hint = "write the value, or `$$` for a `$` of its own";
                self.report.error_with_hint(at, not_yet, hint);
                return None;
            }
        };
        if text.contains('\0') {
            let message = format!("{what} contains a NUL character");
            self.report.error(at, message);
            return None;
        }
        Some(Scalar {
            text,
            plain: scalar.plain,
        })
    }

    /// A text as it is written, whatever YAML might take it for; null is an error.
    pub(super) fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        let scalar = self.scalar(node, what)?;
        if scalar.is_null() {
            self.report.error(node.at, format!("{what} has no value"));
            return None;
        }
        Some(scalar.text)
    }

    /// A text that `read` makes something of.
    pub(super) fn parsed<T, E: fmt::Display>(
        &mut self,
        node: &Node,
        what: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(node, what)?;
        read(&text)
            .map_err(|problem| self.report.error(node.at, problem))
            .ok()
    }

    /// `true` or `false`, as YAML 1.1 spells them.
    pub(super) fn boolean(&mut self, node: &Node, what: &str) -> Option<bool> {
        let scalar = self.scalar(node, what)?;
        let boolean = scalar.boolean();
        if boolean.is_none() {
            let message = format!("{what} is `{}`, not true or false", scalar.text);
            self.report.error(node.at, message);
        }
        boolean
    }

    /// A whole number in decimal digits, quoted or not, from `least` to `most`.
    pub(super) fn number(&mut self, node: &Node, what: &str, least: u32, most: u32) -> Option<u32> {
        let scalar = self.scalar(node, what)?;
        let digits = !scalar.text.is_empty() && scalar.text.bytes().all(|b| b.is_ascii_digit());
        let number = scalar.text.parse().ok();
        let number = number.filter(|number| {
            digits && !scalar.is_deceptive_number() && (least..=most).contains(number)
        });
        if number.is_none() {
            let message = format!(
                "{what} is `{}`, not a whole number from {least} to {most}",
                scalar.text
            );
            self.report.error(node.at, message);
        }
        number
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        node: &Node,
        what: &str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let text = self.text(node, what)?;
        let choice = choices.iter().find(|(word, _)| *word == text);
        if choice.is_none() {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            let message = format!("{what} is `{text}`, not one of {}", words.join(", "));
            match nearest(&text, words.into_iter()) {
                Some(word) => {
                    let hint = format!("did you mean `{word}`?");
                    self.report.error_with_hint(node.at, message, hint);
                }
                None => self.report.error(node.at, message),
            }
        }
        choice.map(|(_, choice)| *choice)
    }

    pub(super) fn wrong_kind(&mut self, node: &Node, what: &str, wanted: &str, found: &str) {
        let message = format!("{what} has to be {wanted}, this is {found}");
        self.report.error(node.at, message);
    }

    /// An unquoted `{{ name }}`.
    fn template(&mut self, at: Position) {
        let problem = super::builtins::NotYet::Template;
        self.report.error(at, problem);
    }
}
