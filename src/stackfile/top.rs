//! The keys at the top of a stack file, and what each may be.

use std::rc::Rc;

use crate::depends::Dependency;
use crate::problem::Report;
use crate::service::{Surroundings, check};
use crate::suggestion::nearest;
use crate::yaml::Node;

/// The most services of a stack: all of them are one document that every node keeps.
const MAX_SERVICES: usize = 1_000;

/// The name that the file gives itself.
pub(crate) fn stack_name(raw: &Node, report: &mut Report) -> Option<String> {
    let Some(node) = raw.get("stack") else {
        let hint = match raw.get("services") {
            Some(_) => {
                "add `stack: NAME` at the top; `kontena stack convert` does it for a Docker Compose file"
            }
            None => {
                "a stack file begins with `stack: NAME` and lists its services under `services`"
            }
        };
        report.error_with_hint(raw.at, "the file has no `stack`", hint);
        return None;
    };
    let Some(text) = node.text().filter(|text| !text.is_empty()) else {
        let message = format!("`stack` has to be a name, this is {}", node.what());
        report.error(node.at, message);
        return None;
    };
    let last = text.rsplit('/').next().unwrap_or(text);
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if last.is_empty() || last.starts_with('-') || !last.chars().all(valid) {
        let message = format!("the stack name `{last}` is no host name");
        report.warn_with_hint(
            node.at,
            message,
            "use a-z, 0-9 and `-` alone, and no `-` in front",
        );
    }
    Some(text.to_owned())
}

const TOP: [&str; 13] = [
    "stack",
    "version",
    "description",
    "expose",
    "variables",
    "services",
    "volumes",
    "depends",
    "labels",
    "meta",
    "networks",
    "data",
    "errors",
];

/// The top level, services and volumes excepted.
pub(crate) fn check_top(root: &Node, dependencies: &[Dependency], report: &mut Report) {
    let Some(entries) = root.entries() else {
        let message = "a stack file has to be a mapping, with `stack` and `services`";
        report.error(root.at, message);
        return;
    };
    for (key, _) in entries {
        let name = key.key();
        if name == "networks" {
            report.warn(
                key.at,
                "`networks` means nothing: all services of a grid share one network",
            );
        } else if !TOP.contains(&name.as_str()) {
            let message = format!("`{name}` is not a key of a stack file, and means nothing");
            match nearest(&name, TOP.into_iter()) {
                Some(near) => {
                    report.warn_with_hint(key.at, message, format!("did you mean `{near}`?"));
                }
                None => report.warn(key.at, message),
            }
        }
    }
    let says = |key: &str| root.get(key).is_some_and(|node| !node.is_null());
    if !says("services") && !says("volumes") {
        let hint = "list at least one service under `services`";
        report.error_with_hint(
            root.at,
            "the file has neither `services` nor `volumes`",
            hint,
        );
    }
    check_labels(root, report);
    let services = root.get("services");
    for dependency in dependencies {
        if services.is_some_and(|services| services.get(&dependency.name).is_some()) {
            let message = format!("`{}` is both a service and a dependency", dependency.name);
            report.error(root.at, message);
        }
    }
}

fn check_labels(root: &Node, report: &mut Report) {
    let Some(labels) = root.get("labels").filter(|labels| !labels.is_null()) else {
        return;
    };
    let Some(items) = labels.items() else {
        report.error(
            labels.at,
            format!("`labels` has to be a list, this is {}", labels.what()),
        );
        return;
    };
    for item in items {
        let valid =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
        let key = item
            .text()
            .and_then(|text| text.split_once('='))
            .map(|(key, _)| key);
        if !key.is_some_and(|key| !key.is_empty() && key.chars().all(valid)) {
            let message = format!(
                "the label `{}` has to be KEY=VALUE, the key of a-z, 0-9, `.` and `-`",
                item.key()
            );
            report.error(item.at, message);
        }
    }
}

/// Checks all services, and gives them in the order of the file.
pub(crate) fn check_services<'n>(
    root: &'n Node,
    report: &mut Report,
) -> Vec<&'n (Rc<Node>, Rc<Node>)> {
    let Some(services) = root.get("services").filter(|services| !services.is_null()) else {
        return Vec::new();
    };
    let Some(entries) = services.entries() else {
        let message = format!(
            "`services` has to be a mapping, this is {}",
            services.what()
        );
        report.error(services.at, message);
        return Vec::new();
    };
    if entries.len() > MAX_SERVICES {
        let message = format!("{} services, {MAX_SERVICES} are possible", entries.len());
        report.error(services.at, message);
        return Vec::new();
    }
    let volumes = root.get("volumes").and_then(|volumes| volumes.entries());
    let surroundings = Surroundings {
        volumes: volumes.map(|volumes| volumes.iter().map(|(key, _)| key.key()).collect()),
    };
    for (key, node) in entries {
        check(key, node, &surroundings, report);
    }
    entries.iter().collect()
}

/// An image may come from a service that is extended.
pub(crate) fn check_images(services: &[&(Rc<Node>, Rc<Node>)], report: &mut Report) {
    for (key, node) in services {
        let says = |key: &str| node.get(key).is_some_and(|node| !node.is_null());
        if node.entries().is_some() && !says("image") && !says("extends") {
            report.error(
                key.at,
                format!("the service `{}` has no `image`", key.key()),
            );
        }
    }
}

/// Volumes of a stack are those of the grid: it creates none.
pub(crate) fn check_volumes(root: &Node, report: &mut Report) {
    let Some(volumes) = root.get("volumes").filter(|volumes| !volumes.is_null()) else {
        return;
    };
    let Some(entries) = volumes.entries() else {
        report.error(
            volumes.at,
            format!("`volumes` has to be a mapping, this is {}", volumes.what()),
        );
        return;
    };
    for (key, node) in entries {
        check_volume(key, node, report);
    }
}

fn check_volume(key: &Node, node: &Node, report: &mut Report) {
    let name = key.key();
    let hint =
        format!("create it with `kontena volume create`, and write `{name}: {{external: true}}`");
    let Some(entries) = node.entries() else {
        let message = format!(
            "the volume `{name}` has to be a mapping, this is {}",
            node.what()
        );
        report.error_with_hint(key.at, message, hint);
        return;
    };
    for (key, _) in entries {
        let key_name = key.key();
        if !["external", "only_if", "skip_if"].contains(&key_name.as_str()) {
            report.error_with_hint(
                key.at,
                format!("`{key_name}` is not a key of a volume"),
                &hint,
            );
        }
    }
    let external = node.get("external");
    let right = external.is_some_and(|external| match external.scalar() {
        Some(value) => value.is_true(),
        None => external
            .get("name")
            .is_some_and(|name| name.text().is_some()),
    });
    if !right {
        let message = format!("the volume `{name}` has to be `external`: a stack creates none");
        report.error_with_hint(key.at, message, hint);
    }
}
