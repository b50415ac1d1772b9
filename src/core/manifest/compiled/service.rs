//! One service read from JSON, whole or in part.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::change::ServiceChange;
use super::field::{Field, FieldProblem, Fields};
use super::job::JobChange;
use super::lease::LeaseChange;
use super::logging::LoggingChange;
use super::placing::PlacingChange;
use super::privileges::PrivilegesChange;
use super::resources::ResourcesChange;
use super::rollout::RolloutChange;
use super::{health_check, hooks};
use crate::id::ServiceName;
use crate::stack::{
    Deploy, Link, NetworkMode, Port, Protocol, Service, Strategy, grace_millis, image_reference,
    stop_signal,
};

/// The strategies by name.
const STRATEGIES: [(&str, Strategy); 3] = [
    ("ha", Strategy::Ha),
    ("daemon", Strategy::Daemon),
    ("random", Strategy::Random),
];

const SERVICE: Fields = Fields {
    known: &[
        &OWN,
        &ResourcesChange::FIELDS,
        &PrivilegesChange::FIELDS,
        &LoggingChange::FIELDS,
    ],
    not_yet: &["build", "certificates", "external_links", "secrets"],
};

const OWN: [&str; 21] = [
    "name",
    "image",
    "stateful",
    "cmd",
    "env",
    "ports",
    "links",
    "volumes",
    "volumes_from",
    "affinity",
    "instances",
    "container_count",
    "strategy",
    "deploy_opts",
    "stop_signal",
    "stop_grace_period",
    "net",
    "labels",
    "entrypoint",
    "health_check",
    "hooks",
];

const DEPLOY: Fields = Fields {
    known: &[
        &["wait_for_port", "min_health"],
        &PlacingChange::FIELDS,
        &RolloutChange::FIELDS,
        &JobChange::FIELDS,
        &LeaseChange::FIELDS,
    ],
    not_yet: &["interval"],
};

const PORT: Fields = Fields {
    known: &[&["ip", "node_port", "container_port", "protocol"]],
    not_yet: &[],
};

const LINK: Fields = Fields {
    known: &[&["name", "alias", "id"]],
    not_yet: &[],
};

impl ServiceChange {
    /// Reads the body of a service create or update.
    ///
    /// # Errors
    /// Every problem, each with the path of its field.
    pub fn read(value: &Value) -> Result<Self, Vec<FieldProblem>> {
        let mut problems = Vec::new();
        match read(&Field::root(value), &mut problems) {
            Some(change) if problems.is_empty() => Ok(change),
            Some(_) | None => Err(problems),
        }
    }
}

pub(super) fn read(body: &Field<'_>, problems: &mut Vec<FieldProblem>) -> Option<ServiceChange> {
    body.check_fields(&SERVICE, problems)?;
    let count = body
        .get("instances")
        .or_else(|| body.get("container_count"));
    let mut change = ServiceChange {
        name: parsed(body, "name", str::parse::<ServiceName>, problems),
        image: parsed(body, "image", image_reference, problems),
        stateful: body
            .get("stateful")
            .and_then(|field| field.boolean(problems)),
        entrypoint: body
            .get("entrypoint")
            .and_then(|field| program(&field, problems)),
        command: list(
            body,
            "cmd",
            |field, problems| field.text(problems),
            problems,
        ),
        environment: list(body, "env", variable, problems),
        ports: list(body, "ports", port, problems),
        links: list(body, "links", link, problems),
        volumes: list(body, "volumes", item, problems),
        volumes_from: list(body, "volumes_from", item, problems),
        affinity: list(body, "affinity", item, problems),
        instances: count.and_then(|field| field.number(0, Service::MAX_INSTANCES, problems)),
        strategy: parsed(body, "strategy", strategy, problems),
        wait_for_port: None,
        min_health: None,
        placing: PlacingChange::default(),
        rollout: RolloutChange::default(),
        job: JobChange::default(),
        lease: LeaseChange::default(),
        stop_signal: parsed(body, "stop_signal", signal_or_none, problems),
        stop_grace_millis: grace(body, problems),
        network_mode: parsed(body, "net", network_mode, problems),
        resources: ResourcesChange::read(body, problems),
        privileges: PrivilegesChange::read(body, problems),
        logging: LoggingChange::read(body, problems),
        health_check: body
            .get("health_check")
            .and_then(|field| health_check::read(&field, problems)),
        hooks: body
            .get("hooks")
            .and_then(|field| hooks::read(&field, problems)),
        labels: body
            .get("labels")
            .and_then(|field| labels(&field, problems)),
    };
    if let Some(deploy) = body.get("deploy_opts") {
        read_deploy(&deploy, &mut change, problems);
    }
    Some(change)
}

fn network_mode(text: &str) -> Result<NetworkMode, &'static str> {
    let known = NetworkMode::NAMES
        .into_iter()
        .find(|(name, _)| *name == text);
    known
        .map(|(_, mode)| mode)
        .ok_or("has to be bridge or host")
}

fn parsed<T, E: fmt::Display>(
    body: &Field<'_>,
    key: &str,
    read: impl FnOnce(&str) -> Result<T, E>,
    problems: &mut Vec<FieldProblem>,
) -> Option<T> {
    body.get(key)?.parsed(read, problems)
}

/// One word; the empty text is the image's own.
#[expect(
    clippy::option_option,
    reason = "whether it is spoken of, and whether there is to be one"
)]
fn program(field: &Field<'_>, problems: &mut Vec<FieldProblem>) -> Option<Option<String>> {
    let text = field.text(problems)?;
    Some(Some(text).filter(|text| !text.is_empty()))
}

pub(super) fn list<T>(
    body: &Field<'_>,
    key: &str,
    read: impl Fn(&Field<'_>, &mut Vec<FieldProblem>) -> Option<T>,
    problems: &mut Vec<FieldProblem>,
) -> Option<Vec<T>> {
    let items = body.get(key)?.items(problems)?;
    let items = items.iter().filter_map(|item| read(item, problems));
    Some(items.collect())
}

fn item<T: std::str::FromStr<Err: fmt::Display>>(
    field: &Field<'_>,
    problems: &mut Vec<FieldProblem>,
) -> Option<T> {
    field.parsed(str::parse, problems)
}

fn variable(field: &Field<'_>, problems: &mut Vec<FieldProblem>) -> Option<String> {
    let read = |text: &str| Service::variable_name(text).map(|_| text.to_owned());
    field.parsed(read, problems)
}

fn port(field: &Field<'_>, problems: &mut Vec<FieldProblem>) -> Option<Port> {
    field.check_fields(&PORT, problems)?;
    let ip = field.get("ip").map(|ip| ip.parsed(str::parse, problems));
    let protocol = field.get("protocol").map(|protocol| {
        let read = |text: &str| {
            let protocol = text.parse::<Protocol>();
            protocol.map_err(|()| "has to be tcp or udp")
        };
        protocol.parsed(read, problems)
    });
    let node_port = port_number(field, "node_port", problems);
    let container_port = port_number(field, "container_port", problems);
    Some(Port {
        ip: ip.unwrap_or(Some(Port::ANY))?,
        node_port: node_port?,
        container_port: container_port?,
        protocol: protocol.unwrap_or(Some(Protocol::Tcp))?,
    })
}

fn port_number(field: &Field<'_>, key: &str, problems: &mut Vec<FieldProblem>) -> Option<u16> {
    let field = field.required(key, problems)?;
    let number = field.number(1, u32::from(u16::MAX), problems)?;
    number.try_into().ok()
}

/// `{name, alias}` as it is created, or `{id, alias}` as it was shown, the id `grid/stack/name`.
fn link(field: &Field<'_>, problems: &mut Vec<FieldProblem>) -> Option<Link> {
    field.check_fields(&LINK, problems)?;
    let alias = field.get("alias").map(|alias| alias.text(problems));
    let alias = alias.unwrap_or(Some(String::new()))?;
    let alias = Some(alias.as_str()).filter(|alias| !alias.is_empty());
    if let Some(id) = field.get("id").filter(|_| field.get("name").is_none()) {
        let read = |id: &str| match id.split_once('/') {
            Some((_, target)) if target.contains('/') => {
                Link::new(target, alias).map_err(|problem| problem.to_string())
            }
            Some(_) | None => Err(format!("`{id}` is not GRID/STACK/SERVICE")),
        };
        return id.parsed(read, problems);
    }
    let name = field.required("name", problems)?;
    name.parsed(|name| Link::new(name, alias), problems)
}

fn strategy(text: &str) -> Result<Strategy, &'static str> {
    let strategy = STRATEGIES.iter().find(|(name, _)| *name == text);
    strategy
        .map(|(_, strategy)| *strategy)
        .ok_or("has to be ha, daemon or random")
}

fn signal_or_none(text: &str) -> Result<Option<String>, crate::stack::InvalidSignal> {
    match text {
        "" => Ok(None),
        text => stop_signal(text).map(Some),
    }
}

/// Seconds as a number, or a duration as in a file.
fn grace(body: &Field<'_>, problems: &mut Vec<FieldProblem>) -> Option<u64> {
    body.get("stop_grace_period")?
        .parsed(grace_millis, problems)
}

/// A list of `KEY=VALUE`, or an object.
fn labels(field: &Field<'_>, problems: &mut Vec<FieldProblem>) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    let given = if field.is_object() {
        let entries = field.entries().into_iter();
        let entries = entries.filter_map(|(key, value)| {
            let text = format!("{key}={}", value.word(problems)?);
            Some((value, text))
        });
        entries.collect::<Vec<_>>()
    } else {
        let items = field.items(problems)?.into_iter();
        let items = items.filter_map(|item| {
            let text = item.text(problems)?;
            Some((item, text))
        });
        items.collect()
    };
    for (field, text) in given {
        match Service::label(&text) {
            Ok((key, value)) => {
                if labels.insert(key.to_owned(), value.to_owned()).is_some() {
                    problems.push(field.problem(format!("the label `{key}` is given twice")));
                }
            }
            Err(problem) => problems.push(field.problem(problem)),
        }
    }
    Some(labels)
}

fn read_deploy(deploy: &Field<'_>, change: &mut ServiceChange, problems: &mut Vec<FieldProblem>) {
    if deploy.check_fields(&DEPLOY, problems).is_none() {
        return;
    }
    change.wait_for_port = deploy.get("wait_for_port").and_then(|field| {
        let number = field.number(0, u32::from(u16::MAX), problems)?;
        let port = u16::try_from(number).ok()?;
        Some(Some(port).filter(|port| *port > 0))
    });
    change.min_health = deploy.get("min_health").and_then(|field| {
        let share = Deploy::thousandths(field.real(problems)?);
        if share.is_none() {
            problems.push(field.problem("has to be from 0 to 1"));
        }
        share
    });
    change.placing = PlacingChange::read(deploy, problems);
    change.rollout = RolloutChange::read(deploy, problems);
    change.job = JobChange::read(deploy, problems);
    change.lease = LeaseChange::read(deploy, problems);
}
