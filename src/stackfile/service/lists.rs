//! Checks of the lists of a service.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::check::{Checker, Surroundings};
use crate::units;
use crate::yaml::Node;

/// The longest list that makes sense: it bounds how much one service can cost every node.
const MAX_ITEMS: usize = 1_000;

/// The most bytes of one `NAME=VALUE`: Linux takes no longer one.
const MAX_VARIABLE: usize = 128 << 10;

pub(super) fn items<'n>(
    checker: &mut Checker<'_>,
    node: &'n Node,
    what: &str,
) -> Option<&'n [Rc<Node>]> {
    match node.items() {
        None => checker.wrong(node, what, "a list"),
        Some(items) if items.len() > MAX_ITEMS => {
            let message = format!("{what} has {} items, {MAX_ITEMS} are possible", items.len());
            checker.report.error(node.at, message);
        }
        Some(items) => return Some(items),
    }
    None
}

/// A list of texts. An item without a value is left out: a variable left it empty.
pub(super) fn texts(checker: &mut Checker<'_>, node: &Node, what: &str) {
    for item in items(checker, node, what).unwrap_or_default() {
        if item.is_null() {
            let message = format!("an item of {what} has no value, and is left out");
            checker.report.warn(item.at, message);
        } else {
            checker.text(item, &format!("an item of {what}"));
        }
    }
}

pub(super) fn environment(checker: &mut Checker<'_>, node: &Node) {
    if let Some(entries) = node.entries() {
        for (key, value) in entries {
            let name = key.key();
            match value.scalar() {
                None => checker.wrong(value, &format!("the variable `{name}`"), "a single value"),
                Some(value) => check_length(checker, key.at, &name, value.to_string().len()),
            }
        }
        return;
    }
    for item in items(checker, node, "`environment`").unwrap_or_default() {
        let Some(text) = checker.text(item, "an item of `environment`") else {
            continue;
        };
        match text.split_once('=') {
            Some((name, value)) => check_length(checker, item.at, name, value.len()),
            None => {
                let message = format!("`{text}` is no variable: it has to be NAME=VALUE");
                checker.report.error(item.at, message);
            }
        }
    }
}

fn check_length(checker: &mut Checker<'_>, at: usize, name: &str, length: usize) {
    if name.len() + 1 + length > MAX_VARIABLE {
        let message = format!("the variable `{name}` is longer than 128 KiB");
        checker.report.error(at, message);
    }
}

pub(super) fn ports(checker: &mut Checker<'_>, node: &Node) {
    for item in items(checker, node, "`ports`").unwrap_or_default() {
        let Some(text) = checker.text(item, "a port") else {
            continue;
        };
        if Port::read(text).is_none() {
            let message =
                format!("`{text}` is no port: it has to be [IP:]HOST:CONTAINER[/PROTOCOL]");
            let hint = units::digits(text).map(|port| format!("publish it as \"{port}:{port}\""));
            checker.report.error_or_hint(item.at, message, hint);
        }
    }
}

/// A published port as it is written.
pub(super) struct Port<'t> {
    pub(super) ip: &'t str,
    pub(super) node: &'t str,
    pub(super) container: &'t str,
    pub(super) protocol: &'t str,
}

impl<'t> Port<'t> {
    pub(super) fn read(text: &'t str) -> Option<Self> {
        let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let parts: Vec<&str> = ports.split(':').collect();
        let (ip, node, container) = match parts[..] {
            [node, container] => ("0.0.0.0", node, container),
            [ip, node, container] => (ip, node, container),
            _ => return None,
        };
        let is_port =
            |port: &str| units::digits(port).is_some_and(|port| (1..=65_535).contains(&port));
        let right = ip.parse::<std::net::Ipv4Addr>().is_ok()
            && is_port(node)
            && is_port(container)
            && !protocol.is_empty()
            && protocol.bytes().all(|byte| byte.is_ascii_alphanumeric());
        right.then_some(Self {
            ip,
            node,
            container,
            protocol,
        })
    }
}

pub(super) fn volumes(checker: &mut Checker<'_>, node: &Node, surroundings: &Surroundings) {
    let mut paths = BTreeSet::new();
    for item in items(checker, node, "`volumes`").unwrap_or_default() {
        let Some(text) = checker.text(item, "a volume") else {
            continue;
        };
        let parts: Vec<&str> = text.split(':').collect();
        let path = match parts[..] {
            [path] => path,
            [source, path, ..] => {
                if !source.starts_with('/') {
                    check_name(checker, item, source, surroundings);
                }
                path
            }
            [] => "",
        };
        if !path.starts_with('/') {
            let message = format!("the mount path `{path}` of `{text}` has to begin with `/`");
            checker.report.error(item.at, message);
        } else if !paths.insert(path.to_owned()) {
            let message = format!("two volumes are mounted on `{path}`");
            checker.report.error(item.at, message);
        }
    }
}

fn check_name(checker: &mut Checker<'_>, item: &Node, name: &str, surroundings: &Surroundings) {
    if name.starts_with('.') || name.starts_with('~') || name.contains('/') {
        let message = format!("`{name}` is neither an absolute path nor the name of a volume");
        let hint = "a directory of a host has to begin with `/`";
        checker.report.error_with_hint(item.at, message, hint);
        return;
    }
    let listed = surroundings.volumes.as_ref();
    if listed.is_some_and(|volumes| volumes.contains(name)) {
        return;
    }
    let message = format!("the volume `{name}` is not among the `volumes` of the file");
    let hint = format!("add `{name}: {{external: true}}` to the top-level `volumes`");
    checker.report.error_with_hint(item.at, message, hint);
}

pub(super) fn affinity(checker: &mut Checker<'_>, node: &Node) {
    texts(checker, node, "`affinity`");
    for item in node.items().unwrap_or_default() {
        if let Some(text) = item.text()
            && !text.contains("==")
            && !text.contains("!=")
        {
            let message = format!("the affinity `{text}` has neither `==` nor `!=`");
            checker.report.error(item.at, message);
        }
    }
}
