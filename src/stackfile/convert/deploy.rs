//! `deploy`: Kontena's own, or that of Compose version 3.

use super::Conversion;
use super::service::Service;
use crate::service::{DEPLOY_KEYS, ORDER};
use crate::value::Value;
use crate::yaml::Node;

impl Conversion<'_> {
    pub(super) fn deploy(&mut self, node: &Node, service: &mut Service) {
        let mut own = Vec::new();
        for (key, value) in node.entries().into_iter().flatten() {
            match key.key().as_str() {
                name if DEPLOY_KEYS.contains(&name) => {
                    own.push((name.to_owned(), share(name, value)));
                }
                "replicas" => service.push(("instances".to_owned(), value.to_value())),
                "mode" if value.text() == Some("global") => {
                    own.push(("strategy".to_owned(), Value::from("daemon")));
                }
                "mode" => {}
                "resources" => self.resources(value, service),
                "placement" => self.placement(value, service),
                "update_config" => own.extend(self.update_config(value)),
                "restart_policy" => self.note(
                    key.at,
                    "`restart_policy` is left out: instances are always restarted",
                ),
                name => self.note(
                    key.at,
                    format!("`{name}` of `deploy` is left out: a stack has no counterpart"),
                ),
            }
        }
        if !own.is_empty() {
            service.push(("deploy".to_owned(), Value::Map(own)));
        }
    }

    fn resources(&mut self, node: &Node, service: &mut Service) {
        for (kind, values) in node.entries().into_iter().flatten() {
            for (key, value) in values.entries().into_iter().flatten() {
                match (kind.key().as_str(), key.key().as_str()) {
                    ("limits", "memory") => {
                        let text = value.key().to_lowercase();
                        let short = text.strip_suffix('b').unwrap_or(&text);
                        service.push(("mem_limit".to_owned(), Value::from(short)));
                    }
                    ("limits", "cpus") => self.cpus(value, service),
                    (kind, name) => {
                        let message =
                            format!("`{name}` of `{kind}` is left out: a stack has no counterpart");
                        self.note(key.at, message);
                    }
                }
            }
        }
    }

    /// Kontena's own rules say how many are replaced at once, and how long each is watched.
    fn update_config(&mut self, node: &Node) -> Vec<(String, Value)> {
        let mut own = Vec::new();
        let mut say = |key: &str, value: &str| own.push((key.to_owned(), Value::from(value)));
        for (key, value) in node.entries().into_iter().flatten() {
            match (key.key().as_str(), value.text()) {
                ("failure_action", Some("rollback")) => say("on_failure", "rollback"),
                ("failure_action", Some("pause")) => say("on_failure", "halt"),
                ("order", Some(order)) if ORDER.contains(&order) => say("order", order),
                (name, _) => {
                    let message = format!(
                        "`{name}` of `update_config` is left out: a stack has no counterpart"
                    );
                    self.note(key.at, message);
                }
            }
        }
        own
    }

    fn placement(&mut self, node: &Node, service: &mut Service) {
        let mut affinity = Vec::new();
        let constraints = node
            .get("constraints")
            .and_then(|constraints| constraints.items());
        for constraint in constraints.unwrap_or_default() {
            match rule(&constraint.key()) {
                Some(rule) => affinity.push(Value::Text(rule)),
                None => {
                    let message = format!(
                        "the constraint `{}` is left out: a stack has no counterpart",
                        constraint.key()
                    );
                    self.note(constraint.at, message);
                }
            }
        }
        if !affinity.is_empty() {
            service.push(("affinity".to_owned(), Value::List(affinity)));
        }
    }
}

/// Kontena takes shares only as numbers with a point.
fn share(name: &str, node: &Node) -> Value {
    match node.to_value() {
        #[expect(clippy::cast_precision_loss, reason = "a share is 0 or 1 here")]
        Value::Integer(number) if name == "min_health" => Value::Float(number as f64),
        value => value,
    }
}

/// `node.labels.a == b` is `label==a=b`, `node.hostname != c` is `node!=c`.
fn rule(constraint: &str) -> Option<String> {
    let (sign, (subject, value)) = ["==", "!="]
        .into_iter()
        .find_map(|sign| Some((sign, constraint.split_once(sign)?)))?;
    let (subject, value) = (subject.trim(), value.trim());
    match subject.strip_prefix("node.labels.") {
        Some(label) => Some(format!("label{sign}{label}={value}")),
        None if subject == "node.hostname" => Some(format!("node{sign}{value}")),
        None => None,
    }
}
