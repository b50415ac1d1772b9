//! One service: each key as a stack file has it.

use std::rc::Rc;

use super::Conversion;
use super::text::command_line;
use crate::units;
use crate::value::Value;
use crate::yaml::Node;

/// A service of the stack file in the making.
pub(super) type Service = Vec<(String, Value)>;

/// Keys that both formats have, with single values.
const TEXTS: [&str; 6] = ["image", "user", "stop_signal", "pid", "shm_size", "build"];

/// Keys that mean the same in both formats, and are taken as they are.
const SAME: [&str; 16] = [
    "instances",
    "stateful",
    "affinity",
    "hooks",
    "health_check",
    "secrets",
    "certificates",
    "extends",
    "privileged",
    "read_only",
    "cpu_shares",
    "cap_add",
    "cap_drop",
    "volumes_from",
    "logging",
    "env_file",
];

/// Keys that are true or false, and no text.
const FLAGS: [&str; 3] = ["stateful", "privileged", "read_only"];

fn flag(text: &str) -> Value {
    Value::Boolean(matches!(
        text.to_lowercase().as_str(),
        "true" | "yes" | "on"
    ))
}

/// Keys of Compose that a stack needs no counterpart for, each with why.
const NEEDLESS: [(&str, &str); 9] = [
    ("restart", "instances are always restarted"),
    ("container_name", "instances are named STACK.SERVICE-NUMBER"),
    ("hostname", "instances are named SERVICE-NUMBER.STACK"),
    ("networks", "all services of a grid share one network"),
    ("expose", "services reach each other on every port"),
    ("dns", "the grid has its own names"),
    ("init", "set it in the image"),
    ("tty", "nobody looks at it"),
    ("stdin_open", "nobody types"),
];

impl Conversion<'_> {
    pub(super) fn service(&mut self, key: &Node, node: &Rc<Node>) -> Option<(String, Value)> {
        let name = key.key();
        let Some(entries) = node.entries() else {
            self.note(key.at, format!("`{name}` is left out: it is no service"));
            return None;
        };
        let mut service = Service::new();
        for (key, value) in entries {
            if !value.is_null() {
                self.key(key, value, &mut service);
            }
        }
        if !service
            .iter()
            .any(|(key, _)| key == "image" || key == "extends")
        {
            let message = format!("`{name}` has no `image`: build it, and name what is built");
            self.note(key.at, message);
            service.insert(
                0,
                ("image".to_owned(), Value::Text(super::host_name(&name))),
            );
        }
        Some((name, Value::Map(service)))
    }

    fn key(&mut self, key: &Node, node: &Rc<Node>, service: &mut Service) {
        let name = key.key();
        let mut set = |key: &str, value: Value| service.push((key.to_owned(), value));
        match name.as_str() {
            name if TEXTS.contains(&name) && node.entries().is_none() => {
                let text = self.text(&node.key());
                set(name, Value::Text(text));
            }
            "build" => set("build", self.value(&node.to_value())),
            name if SAME.contains(&name) => self.same(name, node, service),
            "command" | "entrypoint" => set(&name, Value::Text(self.command(node))),
            "environment" => set("environment", self.environment(node)),
            "ports" => set("ports", self.ports(node)),
            "volumes" => set("volumes", self.volumes(node)),
            "links" | "external_links" | "depends_on" => self.links(&name, node, service),
            "mem_limit" => set("mem_limit", self.memory(node)),
            "net" | "network_mode" => self.network(key, node, service),
            "log_driver" => self.logging("driver", node, service),
            "log_opt" | "log_opts" => self.logging("options", node, service),
            "stop_grace_period" => set("stop_grace_period", Value::Text(node.key())),
            "cpus" => self.cpus(node, service),
            "deploy" => self.deploy(node, service),
            "healthcheck" => {
                let message = "`healthcheck` is left out: a stack checks over the network, as in `health_check: {protocol: tcp, port: 80}`";
                self.note(key.at, message);
            }
            name => self.leave_out(key, name),
        }
    }

    fn leave_out(&mut self, key: &Node, name: &str) {
        let needless = NEEDLESS.iter().find(|(known, _)| *known == name);
        match needless {
            Some((_, why)) => self.note(key.at, format!("`{name}` is left out: {why}")),
            None => self.note(
                key.at,
                format!("`{name}` is left out: a stack has no counterpart"),
            ),
        }
    }

    fn same(&mut self, name: &str, node: &Node, service: &mut Service) {
        let is_of_compose = name == "secrets"
            && node
                .items()
                .is_some_and(|items| items.iter().any(|item| item.entries().is_none()));
        if is_of_compose {
            let message = "`secrets` is left out: a stack has them as `{secret: NAME, name: VARIABLE, type: env}`";
            self.note(node.at, message);
            return;
        }
        if let Some(file) = node.get("file").filter(|_| name == "extends") {
            let message = format!("`{}` is extended: convert it too", file.key());
            self.note(node.at, message);
        }
        let value = match node.text() {
            Some(text) if FLAGS.contains(&name) => flag(text),
            Some(_) | None => self.value(&node.to_value()),
        };
        service.push((name.to_owned(), value));
    }

    /// A value with the variables in its texts converted.
    pub(super) fn value(&mut self, value: &Value) -> Value {
        match value {
            Value::Text(text) => Value::Text(self.text(text)),
            Value::List(items) => Value::List(items.iter().map(|item| self.value(item)).collect()),
            Value::Map(entries) => {
                let entries = entries.iter();
                let entries = entries.map(|(key, value)| (key.clone(), self.value(value)));
                Value::Map(entries.collect())
            }
            Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Float(_) => value.clone(),
        }
    }

    fn command(&mut self, node: &Node) -> String {
        match node.items() {
            Some(items) => {
                let arguments: Vec<String> =
                    items.iter().map(|item| self.text(&item.key())).collect();
                command_line(&arguments)
            }
            None => self.text(&node.key()),
        }
    }

    fn memory(&mut self, node: &Node) -> Value {
        let text = node.key().to_lowercase();
        let short = text.strip_suffix('b').unwrap_or(&text);
        if units::memory(short).is_none() && !short.contains('$') {
            self.note(node.at, format!("`{text}` is no size as `512m`: change it"));
        }
        Value::Text(self.text(short))
    }

    fn network(&mut self, key: &Node, node: &Node, service: &mut Service) {
        match node.key().as_str() {
            mode @ ("host" | "bridge") => {
                service.push(("network_mode".to_owned(), Value::from(mode)));
            }
            mode => self.note(
                key.at,
                format!("the network mode `{mode}` is left out: there are bridge and host"),
            ),
        }
    }

    fn logging(&mut self, part: &str, node: &Node, service: &mut Service) {
        let value = self.value(&node.to_value());
        let part = (part.to_owned(), value);
        match service.iter_mut().find(|(key, _)| key == "logging") {
            Some((_, Value::Map(logging))) => logging.push(part),
            Some(_) | None => service.push(("logging".to_owned(), Value::Map(vec![part]))),
        }
    }

    pub(super) fn cpus(&mut self, node: &Node, service: &mut Service) {
        match node.key().parse::<f64>() {
            Ok(count) => service.push(("cpus".to_owned(), Value::Float(count))),
            Err(_) => self.note(node.at, format!("`{}` is no number of CPUs", node.key())),
        }
    }
}
