//! What Kontena's API is told of a service.

use std::path::Path;

use super::keys::HEALTH_CHECK;
use super::lists::Port;
use super::placing;
use crate::units;
use crate::value::Value;
use crate::world::normal;

/// What a file says of a service: keys and values, each key once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options(Vec<(String, Value)>);

impl Options {
    pub(crate) fn from_value(value: Value) -> Self {
        match value {
            Value::Map(entries) => Self(entries),
            _ => Self::default(),
        }
    }

    pub(crate) fn into_entries(self) -> Vec<(String, Value)> {
        self.0
    }

    /// A key that says something.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        let entry = self.0.iter().find(|(name, _)| name == key);
        entry
            .map(|(_, value)| value)
            .filter(|value| !value.is_null())
    }

    pub(crate) fn take(&mut self, key: &str) -> Option<Value> {
        let at = self.0.iter().position(|(name, _)| name == key)?;
        Some(self.0.remove(at).1)
    }

    pub(crate) fn set(&mut self, key: &str, value: Value) {
        match self.0.iter_mut().find(|(name, _)| name == key) {
            Some(entry) => entry.1 = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    fn items(&self, key: &str) -> Vec<Value> {
        let items = self.get(key).and_then(Value::as_list).unwrap_or_default();
        items
            .iter()
            .filter(|item| !item.is_null())
            .cloned()
            .collect()
    }

    fn of(&self, section: &str, key: &str) -> Value {
        let section = self.get(section);
        section
            .and_then(|section| section.get(key))
            .cloned()
            .unwrap_or(Value::Null)
    }

    /// `build` as a mapping, its context absolute below `folder`, its arguments a mapping.
    pub(crate) fn settle_build(&mut self, folder: Option<&Path>) {
        let Some(build) = self.get("build") else {
            return;
        };
        let part = |key: &str| build.get(key).filter(|value| !value.is_null());
        let context = part("context").unwrap_or(build).to_string();
        let mut settled = vec![(
            "context".to_owned(),
            Value::Text(absolute(&context, folder)),
        )];
        if let Some(dockerfile) = part("dockerfile") {
            settled.push(("dockerfile".to_owned(), dockerfile.clone()));
        }
        if let Some(arguments) = part("args") {
            settled.push(("args".to_owned(), arguments_map(arguments)));
        }
        self.set("build", Value::Map(settled));
    }
}

fn absolute(context: &str, folder: Option<&Path>) -> String {
    let is_remote = context.contains("://") || context.starts_with("git@");
    match folder {
        Some(folder) if !is_remote => normal(&folder.join(context)).display().to_string(),
        _ => context.to_owned(),
    }
}

fn arguments_map(arguments: &Value) -> Value {
    let Some(items) = arguments.as_list() else {
        return arguments.clone();
    };
    let items = items.iter().map(|item| {
        let item = item.to_string();
        let (name, value) = item.split_once('=').unwrap_or((&item, ""));
        (name.to_owned(), Value::from(value))
    });
    Value::Map(items.collect())
}

/// What the API is told of the service `name`, in the words of Kontena's client.
///
/// # Errors
/// What is missing, or cannot be read.
pub(crate) fn payload(name: &str, options: &Options) -> Result<Value, String> {
    let mut payload = Options::default();
    payload.set("name", Value::from(name));
    payload.set("image", image(options));
    payload.set("stateful", Value::Boolean(is_true(options, "stateful")));
    payload.set(
        "instances",
        options.get("instances").cloned().unwrap_or(Value::Null),
    );
    payload.set(
        "env",
        options.get("environment").cloned().unwrap_or(Value::Null),
    );
    payload.set("links", links(options));
    payload.set("external_links", external_links(options));
    payload.set("ports", ports(options));
    for key in ["affinity", "volumes", "volumes_from"] {
        payload.set(key, Value::List(options.items(key)));
    }
    payload.set("log_driver", options.of("logging", "driver"));
    payload.set("log_opts", options.of("logging", "options"));
    payload.set("deploy_opts", deploy(options)?);
    payload.set("health_check", health_check(options));
    payload.set("hooks", hooks(options));
    payload.set("read_only", Value::Boolean(is_true(options, "read_only")));
    for key in [
        "secrets",
        "certificates",
        "entrypoint",
        "user",
        "cpus",
        "cpu_shares",
        "cap_add",
        "cap_drop",
        "pid",
        "build",
        "stop_signal",
        "stop_grace_period",
    ] {
        copy(options, key, key, &mut payload);
    }
    copy(options, "network_mode", "net", &mut payload);
    if is_true(options, "privileged") {
        payload.set("privileged", Value::Boolean(true));
    }
    if let Some(command) = options.get("command") {
        payload.set("cmd", command_line(name, command)?);
    }
    for (key, field) in [("mem_limit", "memory"), ("shm_size", "shm_size")] {
        if let Some(size) = options.get(key) {
            payload.set(field, memory(key, size)?);
        }
    }
    if let strategy @ Value::Text(_) = options.of("deploy", "strategy") {
        payload.set("strategy", strategy);
    }
    Ok(Value::Map(payload.into_entries()))
}

fn is_true(options: &Options, key: &str) -> bool {
    options.get(key).is_some_and(Value::is_true)
}

fn copy(options: &Options, key: &str, field: &str, payload: &mut Options) {
    if let Some(value) = options.get(key) {
        payload.set(field, value.clone());
    }
}

/// Null where there is none: a service that is extended needs none of its own.
fn image(options: &Options) -> Value {
    let image = options.get("image").and_then(Value::as_text);
    let Some(image) = image.filter(|image| !image.is_empty()) else {
        return Value::Null;
    };
    let tag = if image.contains(':') { "" } else { ":latest" };
    Value::Text(format!("{image}{tag}"))
}

fn command_line(name: &str, command: &Value) -> Result<Value, String> {
    let arguments = units::arguments(&command.to_string());
    let arguments = arguments.ok_or_else(|| {
        format!("the `command` of the service `{name}` has a quote that is not closed")
    })?;
    Ok(Value::List(
        arguments.into_iter().map(Value::Text).collect(),
    ))
}

/// Bytes; a parent's payload has a number already.
fn memory(key: &str, size: &Value) -> Result<Value, String> {
    let bytes = match size {
        Value::Integer(bytes) => Some(*bytes),
        size => units::memory(&size.to_string()).and_then(|bytes| i64::try_from(bytes).ok()),
    };
    let bytes =
        bytes.ok_or_else(|| format!("`{key}` is `{size}`, not a size as `512m` or `2g`"))?;
    Ok(Value::Integer(bytes))
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Map(entries.map(|(key, value)| (key.to_owned(), value)).into())
}

/// `name` or `name:alias`; the alias of a bare name is all of it.
fn link(item: Value) -> Value {
    let Value::Text(text) = &item else {
        return item;
    };
    let (name, alias) = text.split_once(':').unwrap_or((text, text));
    map([("name", Value::from(name)), ("alias", Value::from(alias))])
}

/// `depends_on` is a link, too.
fn links(options: &Options) -> Value {
    let items = options.items("links").into_iter();
    let mut links: Vec<Value> = Vec::new();
    for link in items.chain(options.items("depends_on")).map(link) {
        if !links.contains(&link) {
            links.push(link);
        }
    }
    Value::List(links)
}

fn external_links(options: &Options) -> Value {
    Value::List(
        options
            .items("external_links")
            .into_iter()
            .map(link)
            .collect(),
    )
}

fn ports(options: &Options) -> Value {
    let port = |item: Value| {
        let text = item.as_text().map(str::to_owned);
        let Some(port) = text.as_deref().and_then(Port::read) else {
            return item;
        };
        map([
            ("ip", Value::from(port.ip)),
            ("container_port", Value::from(port.container)),
            ("node_port", Value::from(port.node)),
            ("protocol", Value::from(port.protocol)),
        ])
    };
    Value::List(options.items("ports").into_iter().map(port).collect())
}

fn deploy(options: &Options) -> Result<Value, String> {
    let interval = match options.of("deploy", "interval") {
        Value::Null => Value::Null,
        text => {
            let seconds = units::interval(&text.to_string()).and_then(|s| i64::try_from(s).ok());
            Value::Integer(seconds.ok_or_else(|| format!("`interval` is `{text}`, not a time"))?)
        }
    };
    let mut entries = vec![
        ("wait_for_port", options.of("deploy", "wait_for_port")),
        ("min_health", options.of("deploy", "min_health")),
        ("interval", interval),
    ];
    // Ours: a file that does not say them is told as Kontena told it.
    let own = [
        ("spread", placing::listed(options.of("deploy", "spread"))),
        ("max_per_node", options.of("deploy", "max_per_node")),
        ("offline", options.of("deploy", "offline")),
        ("rebalance", options.of("deploy", "rebalance")),
        ("standby_images", options.of("deploy", "standby_images")),
        ("order", options.of("deploy", "order")),
        ("on_failure", options.of("deploy", "on_failure")),
        ("canary", options.of("deploy", "canary")),
        ("schedule", options.of("deploy", "schedule")),
        ("time_zone", options.of("deploy", "time_zone")),
        ("concurrency", options.of("deploy", "concurrency")),
        ("time_limit", options.of("deploy", "time_limit")),
        ("takeover", options.of("deploy", "takeover")),
        ("singleton", options.of("deploy", "singleton")),
        ("witnesses", options.of("deploy", "witnesses")),
    ];
    entries.extend(own.into_iter().filter(|(_, value)| !value.is_null()));
    let entries = entries.into_iter();
    Ok(Value::Map(
        entries
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    ))
}

fn health_check(options: &Options) -> Value {
    // Kontena's client sends its own keys whether they are given or not.
    let is_sent = |(key, value): &(String, Value)| key != "cmd" || !value.is_null();
    let keys = HEALTH_CHECK.map(|key| (key.to_owned(), options.of("health_check", key)));
    Value::Map(keys.into_iter().filter(is_sent).collect())
}

fn hooks(options: &Options) -> Value {
    let hooks = options
        .get("hooks")
        .and_then(Value::as_map)
        .unwrap_or_default();
    let given = hooks.iter().filter(|(_, hooks)| !hooks.is_null());
    Value::Map(given.cloned().collect())
}
