//! One service written as JSON, whole or in part.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value, json};

use super::change::ServiceChange;
use super::{health_check, hooks};
use crate::id::ServiceName;
use crate::stack::Link;

impl ServiceChange {
    /// The body of a service create or update: what changes and nothing else.
    pub fn write(&self) -> Value {
        write(self.name.as_ref(), self)
    }
}

pub(super) fn write(name: Option<&ServiceName>, change: &ServiceChange) -> Value {
    let mut body = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(key.to_owned(), value);
        }
    };
    put("name", name.map(|name| json!(name)));
    put("image", change.image.as_ref().map(|image| json!(image)));
    put("stateful", change.stateful.map(Value::from));
    let entrypoint = change.entrypoint.as_ref();
    put(
        "entrypoint",
        entrypoint.map(|program| json!(program.as_deref().unwrap_or_default())),
    );
    put("cmd", change.command.as_ref().map(|command| json!(command)));
    put(
        "env",
        change
            .environment
            .as_ref()
            .map(|variables| json!(variables)),
    );
    put("ports", change.ports.as_ref().map(|ports| json!(ports)));
    put(
        "links",
        change
            .links
            .as_ref()
            .map(|links| links.iter().map(write_link).collect()),
    );
    put("volumes", change.volumes.as_deref().map(texts));
    put("volumes_from", change.volumes_from.as_deref().map(texts));
    put("affinity", change.affinity.as_deref().map(texts));
    put("instances", change.instances.map(Value::from));
    put("strategy", change.strategy.map(|strategy| json!(strategy)));
    put("deploy_opts", write_deploy(change));
    let signal = change.stop_signal.as_ref();
    put(
        "stop_signal",
        signal.map(|signal| json!(signal.as_deref().unwrap_or_default())),
    );
    put(
        "stop_grace_period",
        change.stop_grace_millis.map(write_seconds),
    );
    put("net", change.network_mode.map(|mode| json!(mode)));
    put(
        "health_check",
        change.health_check.as_ref().map(health_check::write),
    );
    put("hooks", change.hooks.as_ref().map(hooks::write));
    put("labels", change.labels.as_ref().map(write_labels));
    change.resources.write(&mut body);
    change.privileges.write(&mut body);
    change.logging.write(&mut body);
    Value::Object(body)
}

fn texts<T: fmt::Display>(items: &[T]) -> Value {
    items.iter().map(ToString::to_string).collect()
}

fn write_link(link: &Link) -> Value {
    json!({"name": link.target(), "alias": link.alias})
}

fn write_deploy(change: &ServiceChange) -> Option<Value> {
    let mut deploy = Map::new();
    if let Some(port) = change.wait_for_port {
        deploy.insert("wait_for_port".to_owned(), json!(port.unwrap_or_default()));
    }
    if let Some(thousandths) = change.min_health {
        let share = f64::from(thousandths) / 1000.0;
        deploy.insert("min_health".to_owned(), json!(share));
    }
    change.placing.write(&mut deploy);
    change.rollout.write(&mut deploy);
    change.job.write(&mut deploy);
    change.lease.write(&mut deploy);
    (!deploy.is_empty()).then_some(Value::Object(deploy))
}

/// Whole where it can be.
pub(super) fn write_seconds(millis: u64) -> Value {
    if millis.is_multiple_of(1_000) {
        return json!(millis / 1_000);
    }
    // A day in milliseconds is far below 2^53, so nothing is lost.
    json!(millis as f64 / 1_000.0)
}

fn write_labels(labels: &BTreeMap<String, String>) -> Value {
    let labels = labels.iter();
    labels
        .map(|(key, value)| format!("{key}={value}"))
        .collect()
}
