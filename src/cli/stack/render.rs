//! Stacks as people read them. Pure.

use std::collections::BTreeMap;

use kontena_stackfile::{Value as Variable, yaml};
use serde_json::Value as Json;

use super::super::fields::Fields;
use super::super::service::ports;
use super::super::table::{Cell, Table};
use super::super::text::{Colour, or_dash, printable};
use super::plan;
use crate::api::types::conflict::{ConflictSide, StackConflict};
use crate::api::types::service::{Port, Service};
use crate::api::types::stack::{Stack, StackState};

/// `stacks` as a tree: each with how deep it lies.
pub(super) fn table(stacks: &[(usize, &Stack)]) -> Table {
    let mut table = Table::new(&[
        "NAME",
        "STACK",
        "VERSION",
        "SERVICES",
        "STATE",
        "EXPOSED PORTS",
        "LABELS",
    ]);
    for (depth, stack) in stacks {
        let indent = "  ".repeat(*depth);
        table.row([
            format!("{indent}{}", stack.name).into(),
            stack.stack.as_str().into(),
            stack.version.as_str().into(),
            stack.services.len().to_string().into(),
            Cell::coloured(stack.state.as_str(), colour(stack.state)),
            ports(&exposed(stack)).into(),
            stack.labels.join(",").into(),
        ]);
    }
    table
}

fn exposed(stack: &Stack) -> Vec<Port> {
    let services = stack.services.iter();
    services
        .flat_map(|service| service.definition.ports.iter().cloned())
        .collect()
}

fn colour(state: StackState) -> Option<Colour> {
    match state {
        StackState::Running => Some(Colour::Green),
        StackState::Deploying | StackState::PartiallyRunning => Some(Colour::Yellow),
        StackState::Initialized | StackState::Stopped => None,
    }
}

pub(super) fn shown(stack: &Stack) -> String {
    let mut fields = Fields::new();
    fields.section(&stack.name, |fields| {
        fields
            .field("created", or_dash(stack.created_at.as_ref()))
            .field("updated", or_dash(stack.updated_at.as_ref()))
            .field("state", stack.state.as_str())
            .field("stack", &stack.stack)
            .field("version", &stack.version)
            .field("revision", stack.revision)
            .known("description", stack.description.as_ref())
            .known("expose", stack.expose.as_ref())
            .known("parent", stack.parent.as_ref().map(|parent| &parent.name));
        some_list(fields, "labels", &stack.labels);
        let children: Vec<String> = stack
            .children
            .iter()
            .map(|child| child.name.clone())
            .collect();
        some_list(fields, "dependencies", &children);
        metadata(fields, &stack.metadata);
        conflicts(fields, &stack.conflicts);
        fields.section("services", |fields| {
            for service in &stack.services {
                fields.section(&service.name, |fields| self::service(fields, service));
            }
        });
    });
    fields.finish()
}

fn some_list(fields: &mut Fields, key: &str, items: &[String]) {
    if !items.is_empty() {
        fields.list(key, items);
    }
}

/// What its file says of itself, as the file says it.
fn metadata(fields: &mut Fields, metadata: &BTreeMap<String, Json>) {
    if metadata.is_empty() {
        return;
    }
    fields.section("metadata", |fields| {
        for (name, value) in metadata {
            said_of_itself(fields, name, value);
        }
    });
}

fn said_of_itself(fields: &mut Fields, name: &str, value: &Json) {
    let name = printable(name);
    match value {
        Json::Object(inner) if !inner.is_empty() => {
            fields.section(&name, |fields| {
                for (name, value) in inner {
                    said_of_itself(fields, name, value);
                }
            });
        }
        Json::Array(items) => {
            fields.list(&name, items.iter().map(plan::shown));
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Object(_) => {
            fields.field(&name, plan::shown(value));
        }
    }
}

/// The values of a stack's variables, as a file that gives them again.
pub(super) fn values(stack: &Stack) -> String {
    let variables = stack.variables.iter();
    let variables = variables.map(|(name, value)| (name.clone(), Variable::from_json(value)));
    yaml::print(&Variable::Map(variables.collect()))
}

/// Who wrote what where both sides of a split touched the same thing.
fn conflicts(fields: &mut Fields, conflicts: &[StackConflict]) {
    if conflicts.is_empty() {
        return;
    }
    fields.section("conflicts", |fields| {
        for conflict in conflicts {
            let subject = conflict.subject.as_str();
            let name = match &conflict.service {
                Some(service) => format!("{service} {subject}"),
                None => subject.to_owned(),
            };
            let sides = conflict.sides.iter().enumerate();
            fields.list(&name, sides.map(|(index, side)| said(side, index == 0)));
        }
    });
}

fn said(side: &ConflictSide, in_force: bool) -> String {
    let value = match side.value.as_object() {
        Some(keys) => {
            let keys = keys.iter();
            let keys: Vec<String> = keys
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| format!("{key}={}", plan::shown(value)))
                .collect();
            keys.join(", ")
        }
        None => plan::shown(&side.value),
    };
    let revision = side.revision.as_ref();
    let revision = revision.map_or(String::new(), |revision| format!(", revision {revision}"));
    let mark = if in_force { " (in force)" } else { "" };
    let at = or_dash(side.at.as_ref());
    format!("{value}: by {} at {at}{revision}{mark}", side.by)
}

fn service(fields: &mut Fields, service: &Service) {
    let counts = service.counts;
    fields
        .field("image", or_dash(service.definition.image.as_ref()))
        .field("state", service.state.as_str())
        .field("revision", service.revision)
        .field(
            "instances",
            format!("{} / {}", counts.running, counts.desired),
        )
        .field("healthy", counts.healthy)
        .list(
            "ports",
            service
                .definition
                .ports
                .iter()
                .map(|port| ports(std::slice::from_ref(port))),
        );
}

/// A stack of these services, for tests.
#[cfg(test)]
pub(super) fn example(services: Vec<Service>) -> Stack {
    Stack {
        id: "demo/shop".to_owned(),
        name: "shop".to_owned(),
        stack: "demo/shop".to_owned(),
        version: "0.1.0".to_owned(),
        revision: 1,
        state: StackState::PartiallyRunning,
        created_at: Some("2026-01-31T12:00:00Z".parse().unwrap()),
        updated_at: None,
        description: Some("a shop".to_owned()),
        source: None,
        services,
        expose: None,
        labels: Vec::new(),
        variables: BTreeMap::new(),
        metadata: BTreeMap::new(),
        parent: None,
        children: Vec::new(),
        conflicts: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::{Value, json};

    use super::super::super::output::Look;
    use super::super::super::service;
    use super::*;
    use crate::api::types::conflict::ConflictSubject;

    fn shop() -> Stack {
        example(vec![service::example("shop", "web")])
    }

    #[test]
    fn stacks_are_listed_with_the_ports_of_their_services_and_their_labels() {
        let mut shop = shop();
        shop.labels = vec!["team=a".to_owned(), "tier=1".to_owned()];
        expect![[r"
            NAME  STACK      VERSION  SERVICES  STATE              EXPOSED PORTS         LABELS
            shop  demo/shop  0.1.0    1         partially_running  0.0.0.0:8080->80/tcp  team=a,tier=1
        "]]
        .assert_eq(&table(&[(0, &shop)]).render(Look::PLAIN));
    }

    #[test]
    fn a_stack_shows_who_wrote_what_on_both_sides_of_a_split() {
        let side = |value: Value, by: &str, revision: Option<&str>| ConflictSide {
            value,
            revision: revision.map(str::to_owned),
            by: by.to_owned(),
            at: Some("2026-01-31T12:00:00Z".parse().unwrap()),
        };
        let conflict = |service: Option<&str>, subject, sides| StackConflict {
            service: service.map(str::to_owned),
            subject,
            sides,
        };
        let mut shop = example(Vec::new());
        shop.conflicts = vec![
            conflict(
                None,
                ConflictSubject::File,
                vec![
                    side(
                        json!({"stack": "shop", "version": "2", "expose": null}),
                        "n1",
                        None,
                    ),
                    side(
                        json!({"stack": "shop", "version": "3", "expose": "web"}),
                        "n2",
                        None,
                    ),
                ],
            ),
            conflict(
                Some("web"),
                ConflictSubject::Definition,
                vec![
                    side(
                        json!({"image": "a:2", "environment.MODE": null}),
                        "n1",
                        Some("2~ab12"),
                    ),
                    side(
                        json!({"image": "a:3", "environment.MODE": "x"}),
                        "n2",
                        Some("2~90fe"),
                    ),
                ],
            ),
            conflict(
                Some("web"),
                ConflictSubject::Instances,
                vec![side(json!(5), "n2", None), side(json!(6), "n1", None)],
            ),
        ];
        expect![[r#"
            shop:
              created: 2026-01-31T12:00:00.000Z
              updated: -
              state: partially_running
              stack: demo/shop
              version: 0.1.0
              revision: 1
              description: a shop
              conflicts:
                file:
                  - stack=shop, version=2: by n1 at 2026-01-31T12:00:00.000Z (in force)
                  - expose=web, stack=shop, version=3: by n2 at 2026-01-31T12:00:00.000Z
                web definition:
                  - image=a:2: by n1 at 2026-01-31T12:00:00.000Z, revision 2~ab12 (in force)
                  - environment.MODE=x, image=a:3: by n2 at 2026-01-31T12:00:00.000Z, revision 2~90fe
                web instances:
                  - 5: by n2 at 2026-01-31T12:00:00.000Z (in force)
                  - 6: by n1 at 2026-01-31T12:00:00.000Z
              services:
        "#]].assert_eq(&shown(&shop));
    }

    #[test]
    fn a_stack_shows_what_its_file_says_of_itself() {
        let mut shop = example(Vec::new());
        let said = json!({"tags": ["store", 2], "owner": {"team": "blue", "on call": null}, "url": "http://a"});
        shop.metadata = serde_json::from_value(said).unwrap();
        expect![[r#"
            shop:
              created: 2026-01-31T12:00:00.000Z
              updated: -
              state: partially_running
              stack: demo/shop
              version: 0.1.0
              revision: 1
              description: a shop
              metadata:
                owner:
                  on call: null
                  team: blue
                tags:
                  - store
                  - 2
                url: http://a
              services:
        "#]]
        .assert_eq(&shown(&shop));
    }

    #[test]
    fn a_stack_is_shown_with_its_services() {
        expect![[r#"
            shop:
              created: 2026-01-31T12:00:00.000Z
              updated: -
              state: partially_running
              stack: demo/shop
              version: 0.1.0
              revision: 1
              description: a shop
              services:
                web:
                  image: nginx:latest
                  state: running
                  revision: 3
                  instances: 2 / 2
                  healthy: 1
                  ports:
                    - 0.0.0.0:8080->80/tcp
        "#]]
        .assert_eq(&shown(&shop()));
    }
}
