//! One service of a stack file: its keys and single values. Lists are in `service_lists`.

use std::collections::BTreeMap;

use super::problem::{Position, Problem};
use super::reader::{Entry, Reader};
use super::schema::{DEPLOY, SERVICE};
use super::service_lists as lists;
use super::tree::{Node, Value};
use crate::stack::{
    Declared, Deploy, NetworkMode, Service, ServiceField, Strategy, grace_millis, image_reference,
    split_command, stop_signal,
};

/// A service as far as it can be read.
pub(super) struct Draft {
    /// Where its name stands.
    pub(super) at: Position,
    pub(super) declared: Declared,
    pub(super) places: Places,
}

/// Where the items of a service's lists stand, so that problems found later can point at them.
#[derive(Default)]
pub(super) struct Places(BTreeMap<ServiceField, Vec<Position>>);

impl Places {
    /// Notes the next item of `field`.
    pub(super) fn push(&mut self, field: ServiceField, at: Position) {
        self.0.entry(field).or_default().push(at);
    }

    pub(super) fn get(&self, field: ServiceField, index: usize) -> Option<Position> {
        self.0.get(&field)?.get(index).copied()
    }
}

/// The strategies by name.
pub(super) const STRATEGIES: [(&str, Strategy); 3] = [
    ("ha", Strategy::Ha),
    ("daemon", Strategy::Daemon),
    ("random", Strategy::Random),
];

pub(super) fn read(reader: &mut Reader<'_>, service: &Entry<'_>) -> Draft {
    let mut draft = Draft {
        at: service.at,
        declared: Declared {
            service: Service::new(""),
            instances: None,
        },
        places: Places::default(),
    };
    let entries = reader.section(service.value, &SERVICE);
    if needs_image(service.value) {
        let message = format!("service `{}` has no `image`", service.key);
        reader.report.error(service.at, message);
    }
    for entry in &entries {
        read_key(reader, entry, &mut draft);
    }
    report_faults(reader, &draft);
    draft
}

/// `extends` would bring the image of another service.
fn needs_image(service: &Node) -> bool {
    match &service.value {
        Value::Map(entries) => {
            let mut keys = entries.iter().map(|(key, _)| key.text());
            !keys.any(|key| matches!(key, Some("image" | "extends")))
        }
        Value::Scalar(scalar) => scalar.is_null(),
        Value::List(_) => false,
    }
}

/// An empty value says the same as no key, but for the image.
fn read_key(reader: &mut Reader<'_>, entry: &Entry<'_>, draft: &mut Draft) {
    let node = entry.value;
    let what = format!("`{}`", entry.key);
    let Draft {
        declared, places, ..
    } = draft;
    let service = &mut declared.service;
    if entry.key == "image" {
        if let Some(image) = reader.parsed(node, &what, image_reference) {
            service.image = image;
        }
        return;
    }
    if node.is_null() {
        return;
    }
    match entry.key.as_str() {
        "instances" => {
            declared.instances = reader.number(node, &what, 0, Service::MAX_INSTANCES);
        }
        "stateful" => service.stateful = reader.boolean(node, &what).unwrap_or_default(),
        "command" => service.command = command(reader, node),
        "environment" => service.environment = lists::environment(reader, node, places),
        "ports" => service.ports = lists::ports(reader, node, places),
        "links" => lists::links(reader, node, &mut service.links, places),
        "depends_on" => lists::depends_on(reader, node, &mut service.links, places),
        "volumes" => service.volumes = lists::volumes(reader, node, places),
        "affinity" => service.affinity = lists::affinity(reader, node),
        "stop_signal" => service.stop_signal = reader.parsed(node, &what, stop_signal),
        "stop_grace_period" => {
            service.stop_grace_millis = reader.parsed(node, &what, grace_millis);
        }
        "network_mode" => {
            let mode = reader.choice(node, &what, &NetworkMode::NAMES);
            service.network_mode = mode.unwrap_or_default();
        }
        "deploy" => service.deploy = deploy(reader, node),
        "labels" => service.labels = lists::labels(reader, node, places),
        key => unreachable!("`{key}` is in the schema and has no reader"),
    }
}

/// A command line, or a list of arguments that are taken as they are.
fn command(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<String>> {
    let arguments = match node.value {
        Value::List(_) => {
            let items = reader.items(node, "`command`").iter();
            let arguments = items.map(|item| reader.text(item, "an argument"));
            arguments.collect::<Option<Vec<String>>>()?
        }
        Value::Scalar(_) | Value::Map(_) => reader.parsed(node, "`command`", split_command)?,
    };
    Some(arguments).filter(|arguments| !arguments.is_empty())
}

fn deploy(reader: &mut Reader<'_>, node: &Node) -> Deploy {
    let mut deploy = Deploy::default();
    for entry in reader.section(node, &DEPLOY) {
        let node = entry.value;
        let what = format!("`{}`", entry.key);
        if node.is_null() {
            continue;
        }
        match entry.key.as_str() {
            "strategy" => {
                let strategy = reader.choice(node, &what, &STRATEGIES);
                deploy.strategy = strategy.unwrap_or_default();
            }
            "wait_for_port" => {
                let port = reader.number(node, &what, 1, u32::from(u16::MAX));
                deploy.wait_for_port = port.and_then(|port| u16::try_from(port).ok());
            }
            "min_health" => {
                let share = reader.parsed(node, &what, min_health);
                deploy.min_health = share.unwrap_or(deploy.min_health);
            }
            key => unreachable!("`{key}` is in the schema and has no reader"),
        }
    }
    deploy
}

/// A share from 0 to 1, in thousandths.
fn min_health(text: &str) -> Result<u16, String> {
    let decimal = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let share = text.parse().ok().filter(|_| decimal);
    share
        .and_then(Deploy::thousandths)
        .ok_or_else(|| format!("`min_health` is `{text}`, not a share from 0 to 1, as 0.8"))
}

fn report_faults(reader: &mut Reader<'_>, draft: &Draft) {
    for fault in draft.declared.service.faults() {
        let at = draft.places.get(fault.field, fault.index);
        let hint = fault.cause.hint().map(str::to_owned);
        let at = at.unwrap_or(draft.at);
        reader.report.push(Problem::new(at, fault.cause, hint));
    }
}
