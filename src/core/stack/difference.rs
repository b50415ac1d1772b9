//! What an upgrade does to the services of a stack: which are created, scaled, replaced and removed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{Service, size_text};
use crate::id::ServiceName;

/// A service as one side of a comparison has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Side<'a> {
    /// `Err` says why the definition cannot be read here.
    pub service: Result<&'a Service, &'a str>,
    /// `None` where the side says nothing of it: then it stays as it is.
    pub instances: Option<u32>,
}

/// What becomes of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceDifference {
    pub name: ServiceName,
    pub fate: Fate,
    /// Its data stays where it ran.
    pub stateful: bool,
    /// By key, in the order of their names.
    pub keys: Vec<KeyDifference>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is new.
    Create,
    /// Only the number of its instances changes: the containers that stay are not touched.
    Scale,
    /// Its containers are replaced, one after the other.
    Replace,
    Remove,
}

/// One key of a service, as a stack file names it: `image`, `environment.MODE`, `deploy.strategy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDifference {
    pub key: String,
    /// `None`: it was not there.
    pub before: Option<Value>,
    /// `None`: it is not there any more.
    pub after: Option<Value>,
}

/// The services that differ, in the order of their names.
pub fn difference(
    before: &BTreeMap<ServiceName, Side<'_>>,
    after: &BTreeMap<ServiceName, Side<'_>>,
) -> Vec<ServiceDifference> {
    let names: BTreeSet<&ServiceName> = before.keys().chain(after.keys()).collect();
    names
        .into_iter()
        .filter_map(|name| of_service(name, before.get(name), after.get(name)))
        .collect()
}

fn of_service(
    name: &ServiceName,
    before: Option<&Side<'_>>,
    after: Option<&Side<'_>>,
) -> Option<ServiceDifference> {
    let keys = match (before, after) {
        // What goes needs no list of what it was.
        (Some(_), None) => Vec::new(),
        (before, after) => keys(before, after),
    };
    let fate = match (before, after) {
        (None, None) => return None,
        (None, Some(_)) => Fate::Create,
        (Some(_), None) => Fate::Remove,
        (Some(_), Some(_)) if keys.is_empty() => return None,
        (Some(_), Some(_)) if keys.iter().all(|one| one.key == INSTANCES) => Fate::Scale,
        (Some(_), Some(_)) => Fate::Replace,
    };
    let is_stateful =
        |side: Option<&Side<'_>>| side.is_some_and(|side| side.service.is_ok_and(|s| s.stateful));
    Some(ServiceDifference {
        name: name.clone(),
        fate,
        stateful: is_stateful(before) || is_stateful(after),
        keys,
    })
}

const INSTANCES: &str = "instances";

fn keys(before: Option<&Side<'_>>, after: Option<&Side<'_>>) -> Vec<KeyDifference> {
    let (mut old, mut new) = (said(before), said(after));
    // Silence leaves the number as it is.
    if before.is_some() && (!old.contains_key(INSTANCES) || !new.contains_key(INSTANCES)) {
        old.remove(INSTANCES);
        new.remove(INSTANCES);
    }
    let names: BTreeSet<String> = old.keys().chain(new.keys()).cloned().collect();
    names
        .into_iter()
        .map(|key| KeyDifference {
            before: old.remove(&key),
            after: new.remove(&key),
            key,
        })
        .filter(|one| one.before != one.after)
        .collect()
}

/// What a side says, by key.
fn said(side: Option<&Side<'_>>) -> BTreeMap<String, Value> {
    let Some(side) = side else {
        return BTreeMap::new();
    };
    let mut keys = match side.service {
        Ok(service) => definition(service),
        Err(problem) => BTreeMap::from([("unreadable".to_owned(), Value::from(problem))]),
    };
    if let Some(instances) = side.instances {
        keys.insert(INSTANCES.to_owned(), Value::from(instances));
    }
    keys
}

/// What a definition says beyond what it would say if it said nothing but its image.
fn definition(service: &Service) -> BTreeMap<String, Value> {
    let silent = fields(&Service::new(String::new()));
    let mut keys = BTreeMap::new();
    for (field, value) in fields(service) {
        if silent.get(&field) != Some(&value) {
            add(field, value, &mut keys);
        }
    }
    for port in &service.ports {
        push(&mut keys, "ports", port.to_string());
    }
    for link in &service.links {
        push(&mut keys, "links", link.to_string());
    }
    for volume in &service.volumes {
        push(&mut keys, "volumes", volume.to_string());
    }
    for from in &service.volumes_from {
        push(&mut keys, "volumes_from", from.to_string());
    }
    keys
}

fn fields(service: &Service) -> Map<String, Value> {
    match serde_json::to_value(service).expect("a service holds only text keys, text and numbers") {
        Value::Object(fields) => fields,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            unreachable!("a service is an object")
        }
    }
}

fn add(field: String, value: Value, keys: &mut BTreeMap<String, Value>) {
    match (field.as_str(), value) {
        // In the form of stack files, which `definition` adds.
        ("ports" | "links" | "volumes" | "volumes_from", _) => {}
        ("environment", Value::Array(variables)) => {
            for text in variables.iter().filter_map(Value::as_str) {
                let (name, value) = text.split_once('=').unwrap_or((text, ""));
                keys.insert(format!("environment.{name}"), Value::from(value));
            }
        }
        ("stop_grace_millis", value) => {
            keys.insert(
                "stop_grace_period".to_owned(),
                Value::from(format!("{value}ms")),
            );
        }
        ("resources", Value::Object(parts)) => {
            keys.extend(parts.into_iter().map(|(part, value)| {
                let value = quantity(&part, value);
                (part, value)
            }));
        }
        ("privileges", Value::Object(parts)) => keys.extend(parts),
        ("hooks", Value::Object(stages)) => {
            let stages = stages.into_iter();
            keys.extend(stages.map(|(stage, value)| (format!("hooks.{stage}"), value)));
        }
        ("logging", Value::Object(parts)) => {
            for (part, value) in parts {
                add_logging(&part, value, keys);
            }
        }
        ("deploy", Value::Object(parts)) => {
            let silent = serde_json::to_value(super::Deploy::default()).unwrap_or_default();
            for (part, value) in parts {
                if part == "lease" {
                    keys.insert("deploy.singleton".to_owned(), Value::from("lease"));
                    keys.insert("deploy.witnesses".to_owned(), value);
                } else if silent.get(&part) != Some(&value) {
                    let (key, value) = share(&part, value);
                    keys.insert(format!("deploy.{key}"), value);
                }
            }
        }
        ("health_check", Value::Object(parts)) => {
            let parts = parts.into_iter();
            keys.extend(parts.map(|(part, value)| (format!("health_check.{part}"), value)));
        }
        ("labels", Value::Object(labels)) => {
            for (name, value) in labels {
                keys.insert(format!("labels.{name}"), value);
            }
        }
        (_, value) => {
            keys.insert(field, value);
        }
    }
}

fn add_logging(part: &str, value: Value, keys: &mut BTreeMap<String, Value>) {
    if let Value::Object(options) = value {
        let options = options.into_iter();
        keys.extend(options.map(|(name, value)| (format!("logging.{part}.{name}"), value)));
    } else {
        keys.insert(format!("logging.{part}"), value);
    }
}

/// Bytes and thousandths of cores as people write them.
fn quantity(part: &str, value: Value) -> Value {
    match (part, value.as_u64()) {
        ("cpus", Some(thousandths)) => Value::from(decimal(thousandths)),
        ("mem_limit" | "memswap_limit" | "shm_size", Some(bytes)) => Value::from(size_text(bytes)),
        _ => value,
    }
}

/// Thousandths as `0.5`.
fn decimal(thousandths: u64) -> String {
    let text = format!("{}.{:03}", thousandths / 1_000, thousandths % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Thousandths are for us, a share is what people write.
fn share(part: &str, value: Value) -> (String, Value) {
    match value.as_u64() {
        Some(thousandths) if part == "min_health" => {
            (part.to_owned(), Value::from(decimal(thousandths)))
        }
        Some(_) | None => (part.to_owned(), value),
    }
}

fn push(keys: &mut BTreeMap<String, Value>, key: &str, item: String) {
    let list = keys
        .entry(key.to_owned())
        .or_insert_with(|| Value::Array(Vec::new()));
    if let Value::Array(items) = list {
        items.push(Value::from(item));
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn service(json: Value) -> Service {
        serde_json::from_value(json).unwrap()
    }

    type Declared<'a> = (&'a str, &'a Service, Option<u32>);

    fn sides<'a>(declared: &[Declared<'a>]) -> BTreeMap<ServiceName, Side<'a>> {
        let side = |(name, service, instances): &Declared<'a>| {
            let side = Side {
                service: Ok(*service),
                instances: *instances,
            };
            (name.parse().unwrap(), side)
        };
        declared.iter().map(side).collect()
    }

    #[track_caller]
    fn check(before: &[Declared<'_>], after: &[Declared<'_>], expected: &Expect) {
        let mut text = String::new();
        for one in difference(&sides(before), &sides(after)) {
            text += &format!("{:?} {} stateful={}\n", one.fate, one.name, one.stateful);
            for key in one.keys {
                let show = |value: Option<Value>| value.map_or("-".to_owned(), |v| v.to_string());
                let (before, after) = (show(key.before), show(key.after));
                text += &format!("  {}: {before} > {after}\n", key.key);
            }
        }
        expected.assert_eq(&text);
    }

    #[test]
    fn keys_are_those_of_stack_files() {
        let old = service(serde_json::json!({
            "image": "nginx:1", "environment": ["A=1", "B=2"],
            "ports": [{"ip": "0.0.0.0", "node_port": 80, "container_port": 8080, "protocol": "tcp"}],
            "deploy": {"strategy": "ha", "min_health": 800},
        }));
        let new = service(serde_json::json!({
            "image": "nginx:2", "environment": ["A=1", "B=3", "C="], "stop_grace_millis": 2500,
            "deploy": {"strategy": "daemon", "min_health": 500}, "labels": {"team": "a"},
        }));
        check(
            &[("web", &old, Some(2))],
            &[("web", &new, None)],
            &expect![[r#"
                Replace web stateful=false
                  deploy.min_health: - > "0.5"
                  deploy.strategy: - > "daemon"
                  environment.B: "2" > "3"
                  environment.C: - > ""
                  image: "nginx:1" > "nginx:2"
                  labels.team: - > "a"
                  ports: ["0.0.0.0:80:8080/tcp"] > -
                  stop_grace_period: - > "2500ms"
            "#]],
        );
    }

    #[test]
    fn limits_are_shown_as_people_write_them() {
        let old = service(serde_json::json!({
            "image": "a:1", "resources": {"cpus": 500, "mem_limit": 536_870_912},
            "logging": {"driver": "syslog"},
        }));
        let new = service(serde_json::json!({
            "image": "a:1", "resources": {"cpus": 2000, "shm_size": 1000},
            "logging": {"driver": "syslog", "options": {"tag": "x"}},
            "privileges": {"privileged": true, "pid": "host", "cap_add": ["NET_ADMIN"]},
        }));
        check(
            &[("web", &old, None)],
            &[("web", &new, None)],
            &expect![[r#"
                Replace web stateful=false
                  cap_add: - > ["NET_ADMIN"]
                  cpus: "0.5" > "2"
                  logging.options.tag: - > "x"
                  mem_limit: "512m" > -
                  pid: - > "host"
                  privileged: - > true
                  shm_size: - > "1000"
            "#]],
        );
    }

    #[test]
    fn a_lease_is_told_in_the_keys_of_stack_files() {
        let old = Service::new("a:1");
        let new = service(serde_json::json!({
            "image": "a:1", "deploy": {"strategy": "ha", "min_health": 800, "lease": ["a", "b", "c"]},
        }));
        check(
            &[("web", &old, None)],
            &[("web", &new, None)],
            &expect![[r#"
                Replace web stateful=false
                  deploy.singleton: - > "lease"
                  deploy.witnesses: - > ["a","b","c"]
            "#]],
        );
    }

    #[test]
    fn other_instances_alone_touch_no_container_and_silence_changes_nothing() {
        let web = Service::new("nginx:1");
        check(
            &[("web", &web, Some(2))],
            &[("web", &web, Some(3))],
            &expect![[r#"
                Scale web stateful=false
                  instances: 2 > 3
            "#]],
        );
        check(
            &[("web", &web, Some(2))],
            &[("web", &web, None)],
            &expect![[""]],
        );
    }

    #[test]
    fn a_service_comes_and_another_goes() {
        let mut db = Service::new("postgres:15");
        db.stateful = true;
        let web = Service::new("nginx:1");
        check(
            &[("db", &db, Some(1))],
            &[("web", &web, Some(3))],
            &expect![[r#"
                Remove db stateful=true
                Create web stateful=false
                  image: - > "nginx:1"
                  instances: - > 3
            "#]],
        );
    }
}
