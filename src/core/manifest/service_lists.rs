//! The lists of a service: ports, links, volumes, environment, affinity and labels.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::problem::Position;
use super::reader::{MAX_ITEMS, Reader};
use super::service::Places;
use super::tree::{Node, Value};
use crate::stack::{Affinity, Link, Port, Service, ServiceField, Volume};

pub(super) fn ports(reader: &mut Reader<'_>, node: &Node, places: &mut Places) -> Vec<Port> {
    let mut ports = Vec::new();
    for item in reader.items(node, "`ports`") {
        let Some(text) = reader.scalar(item, "a port") else {
            continue;
        };
        if text.is_base_60() {
            let message = format!("YAML takes `{}` for a number of base 60", text.text);
            let hint = format!("quote it: \"{}\"", text.text);
            reader.report.error_with_hint(item.at, message, hint);
        } else if let Some(port) = reader.parsed(item, "a port", str::parse::<Port>) {
            places.push(ServiceField::Ports, item.at);
            ports.push(port);
        }
    }
    ports
}

pub(super) fn links(
    reader: &mut Reader<'_>,
    node: &Node,
    links: &mut Vec<Link>,
    places: &mut Places,
) {
    for (at, link) in parsed_items(reader, node, "`links`", "a link", str::parse::<Link>) {
        places.push(ServiceField::Links, at);
        links.push(link);
    }
}

/// Links that are not there yet. As a list, because Kontena knows no conditions.
pub(super) fn depends_on(
    reader: &mut Reader<'_>,
    node: &Node,
    links: &mut Vec<Link>,
    places: &mut Places,
) {
    let dependencies = parsed_items(
        reader,
        node,
        "`depends_on`",
        "a service",
        str::parse::<Link>,
    );
    for (at, link) in dependencies {
        let same = |known: &Link| (&known.stack, &known.service) == (&link.stack, &link.service);
        if !links.iter().any(same) {
            places.push(ServiceField::Links, at);
            links.push(link);
        }
    }
}

pub(super) fn volumes(reader: &mut Reader<'_>, node: &Node, places: &mut Places) -> Vec<Volume> {
    let volumes = parsed_items(reader, node, "`volumes`", "a volume", str::parse::<Volume>);
    let volumes = volumes.into_iter().map(|(at, volume)| {
        places.push(ServiceField::Volumes, at);
        volume
    });
    volumes.collect()
}

pub(super) fn affinity(reader: &mut Reader<'_>, node: &Node) -> Vec<Affinity> {
    let rules = parsed_items(
        reader,
        node,
        "`affinity`",
        "an affinity",
        str::parse::<Affinity>,
    );
    rules.into_iter().map(|(_, rule)| rule).collect()
}

fn parsed_items<T, E: fmt::Display>(
    reader: &mut Reader<'_>,
    node: &Node,
    list: &str,
    what: &str,
    read: impl Fn(&str) -> Result<T, E>,
) -> Vec<(Position, T)> {
    let items = reader.items(node, list).iter();
    items
        .filter_map(|item| Some((item.at, reader.parsed(item, what, &read)?)))
        .collect()
}

/// A list of `NAME=VALUE` or a mapping. A name that is given twice counts once, the first time.
pub(super) fn environment(
    reader: &mut Reader<'_>,
    node: &Node,
    places: &mut Places,
) -> Vec<String> {
    let mut names = BTreeSet::new();
    let mut environment = Vec::new();
    for (at, variable) in assignments(reader, node, "`environment`") {
        match Service::variable_name(&variable) {
            Ok(name) if !names.insert(name.to_owned()) => {
                let message = format!("`{name}` is given twice, the first one counts");
                reader.report.warn(at, message);
            }
            Ok(_) => {
                places.push(ServiceField::Environment, at);
                environment.push(variable);
            }
            Err(problem) => reader.report.error(at, problem),
        }
    }
    environment
}

/// A list of `KEY=VALUE` or a mapping.
pub(super) fn labels(
    reader: &mut Reader<'_>,
    node: &Node,
    places: &mut Places,
) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<String, (Position, String)> = BTreeMap::new();
    for (at, label) in assignments(reader, node, "`labels`") {
        match Service::label(&label) {
            Ok((key, _)) if labels.contains_key(key) => {
                let message = format!("the label `{key}` is given twice");
                reader.report.error(at, message);
            }
            Ok((key, value)) => drop(labels.insert(key.to_owned(), (at, value.to_owned()))),
            Err(problem) => reader.report.error(at, problem),
        }
    }
    let labels = labels.into_iter().map(|(key, (at, value))| {
        places.push(ServiceField::Labels, at);
        (key, value)
    });
    labels.collect()
}

/// `NAME=VALUE` texts, from a list of them or from a mapping.
fn assignments(reader: &mut Reader<'_>, node: &Node, what: &str) -> Vec<(Position, String)> {
    match &node.value {
        Value::Map(entries) if entries.len() > MAX_ITEMS => {
            let count = entries.len();
            let message = format!("{what} has {count} entries, {MAX_ITEMS} are possible");
            reader.report.error(node.at, message);
            Vec::new()
        }
        Value::Map(_) => {
            let entries = reader.entries(node, what).into_iter();
            entries
                .filter_map(|entry| {
                    if entry.key.contains('=') {
                        let message = format!("`{}` is not a name: it contains `=`", entry.key);
                        reader.report.error(entry.at, message);
                        return None;
                    }
                    let value = mapped_value(reader, &entry.key, entry.value)?;
                    Some((entry.at, format!("{}={value}", entry.key)))
                })
                .collect()
        }
        Value::List(_) | Value::Scalar(_) => {
            let items = reader.items(node, what).iter();
            items
                .filter_map(|item| Some((item.at, listed(reader, item, what)?)))
                .collect()
        }
    }
}

fn listed(reader: &mut Reader<'_>, item: &Node, what: &str) -> Option<String> {
    if matches!(item.value, Value::Map(_)) && !item.is_template() {
        let message = format!("an item of {what} has to be a text, this is a mapping");
        let hint = "write `- NAME=VALUE`, or leave out the `-` on every line";
        reader.report.error_with_hint(item.at, message, hint);
        return None;
    }
    reader.text(item, &format!("an item of {what}"))
}

/// The text of a mapping's value: `true` for every spelling of it, as Kontena wrote it.
fn mapped_value(reader: &mut Reader<'_>, key: &str, node: &Node) -> Option<String> {
    let scalar = reader.scalar(node, &format!("`{key}`"))?;
    if scalar.is_null() {
        return Some(String::new());
    }
    if scalar.is_deceptive_number() {
        let message = format!("YAML takes `{}` for another number", scalar.text);
        let hint = format!("quote it: \"{}\"", scalar.text);
        reader.report.error_with_hint(node.at, message, hint);
        return None;
    }
    let Some(boolean) = scalar.boolean() else {
        return Some(scalar.text);
    };
    if boolean.to_string() != scalar.text {
        let message = format!(
            "YAML takes `{}` for `{boolean}`; quote it if not",
            scalar.text
        );
        reader.report.warn(node.at, message);
    }
    Some(boolean.to_string())
}
