//! Ports, volumes, variables and links.

use super::Conversion;
use super::service::Service;
use crate::units;
use crate::value::Value;
use crate::yaml::Node;

impl Conversion<'_> {
    /// A variable without a value is taken from whoever installs the stack.
    pub(super) fn environment(&mut self, node: &Node) -> Value {
        if let Some(entries) = node.entries() {
            let mut converted = Vec::new();
            for (key, value) in entries {
                let value = match value.is_null() {
                    true => Value::Text(self.text(&format!("${}", key.key()))),
                    false => self.value(&value.to_value()),
                };
                converted.push((key.key(), value));
            }
            return Value::Map(converted);
        }
        let items = node.items().unwrap_or_default().iter();
        let items = items.map(|item| {
            let text = item.key();
            match text.contains('=') {
                true => Value::Text(self.text(&text)),
                false => Value::Text(format!("{text}={}", self.text(&format!("${text}")))),
            }
        });
        Value::List(items.collect())
    }

    pub(super) fn ports(&mut self, node: &Node) -> Value {
        let mut ports = Vec::new();
        for item in node.items().unwrap_or_default() {
            match self.port(item) {
                Some(port) => ports.push(Value::Text(port)),
                None => self.note(
                    item.at,
                    "this port is left out: write it as \"HOST:CONTAINER\"",
                ),
            }
        }
        Value::List(ports)
    }

    fn port(&mut self, item: &Node) -> Option<String> {
        if item.entries().is_some() {
            let part = |key: &str| item.get(key).map(|part| part.key());
            let target = part("target")?;
            let published = part("published").unwrap_or_else(|| target.clone());
            let protocol = part("protocol").map_or(String::new(), |name| format!("/{name}"));
            return Some(format!("{published}:{target}{protocol}"));
        }
        let text = match item.scalar()? {
            // What YAML 1.1 reads of `22:22` is no port any more.
            Value::Integer(number) if *number > 65_535 => return None,
            value => self.text(&value.to_string()),
        };
        let (ports, protocol) = text.split_once('/').unwrap_or((&text, ""));
        if ports.contains('-') && !ports.contains('$') {
            return None; // a range
        }
        if units::digits(ports).is_none() {
            return Some(text);
        }
        self.note(
            item.at,
            format!("the port {ports} is published as {ports}: Docker would choose one"),
        );
        let protocol = if protocol.is_empty() {
            String::new()
        } else {
            format!("/{protocol}")
        };
        Some(format!("{ports}:{ports}{protocol}"))
    }

    pub(super) fn volumes(&mut self, node: &Node) -> Value {
        let mut volumes = Vec::new();
        for item in node.items().unwrap_or_default() {
            volumes.extend(self.volume(item).map(Value::Text));
        }
        Value::List(volumes)
    }

    fn volume(&mut self, item: &Node) -> Option<String> {
        let text = match item.entries() {
            Some(_) => {
                let part = |key: &str| item.get(key).map(|part| part.key());
                let target = part("target")?;
                let source = part("source").map_or(String::new(), |source| format!("{source}:"));
                let flags = item.get("read_only").and_then(|flag| flag.scalar());
                let flags = if flags.is_some_and(Value::is_true) {
                    ":ro"
                } else {
                    ""
                };
                format!("{source}{target}{flags}")
            }
            None => item.key(),
        };
        let text = self.text(&text);
        let Some((source, _)) = text.split_once(':') else {
            return Some(text);
        };
        if source.starts_with('/') || source.starts_with('$') {
            return Some(text);
        }
        if source.starts_with(['.', '~']) || source.contains('/') {
            let message = format!(
                "the volume `{text}` is left out: `{source}` is on the machine of the file, not on the nodes"
            );
            self.note(item.at, message);
            return None;
        }
        self.named_volume(item.at, source);
        Some(text)
    }

    fn named_volume(&mut self, at: usize, name: &str) {
        if self.volumes.contains_key(name) {
            return;
        }
        self.note(
            at,
            format!("a stack creates no volumes: create `{name}` with `kontena volume create`"),
        );
        let external = Value::Map(vec![("external".to_owned(), Value::Boolean(true))]);
        self.volumes.insert(name.to_owned(), external);
    }

    /// All of them are links in a stack; `depends_on` may be a mapping with conditions.
    pub(super) fn links(&mut self, name: &str, node: &Node, service: &mut Service) {
        let names: Vec<Value> = match node.entries() {
            Some(entries) => entries
                .iter()
                .map(|(key, _)| Value::Text(key.key()))
                .collect(),
            None => {
                let items = node.items().unwrap_or_default().iter();
                items
                    .map(|item| Value::Text(self.text(&item.key())))
                    .collect()
            }
        };
        let key = if name == "depends_on" {
            "depends_on"
        } else {
            "links"
        };
        match service.iter_mut().find(|(known, _)| known == key) {
            Some((_, Value::List(known))) => known.extend(names),
            Some(_) | None => service.push((key.to_owned(), Value::List(names))),
        }
    }
}
