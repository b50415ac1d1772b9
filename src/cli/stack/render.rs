//! Stacks as people read them. Pure.

use super::super::fields::Fields;
use super::super::service::ports;
use super::super::table::{Cell, Table};
use super::super::text::{Colour, or_dash};
use crate::api::types::service::{Port, Service};
use crate::api::types::stack::{Stack, StackState};

pub(super) fn table(stacks: &[Stack]) -> Table {
    let mut table = Table::new(&[
        "NAME",
        "STACK",
        "VERSION",
        "SERVICES",
        "STATE",
        "EXPOSED PORTS",
    ]);
    for stack in stacks {
        table.row([
            stack.name.as_str().into(),
            stack.stack.as_str().into(),
            stack.version.as_str().into(),
            stack.services.len().to_string().into(),
            Cell::coloured(stack.state.as_str(), colour(stack.state)),
            ports(&exposed(stack)).into(),
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
            .known("expose", stack.expose.as_ref());
        fields.section("services", |fields| {
            for service in &stack.services {
                fields.section(&service.name, |fields| self::service(fields, service));
            }
        });
    });
    fields.finish()
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
        variables: std::collections::BTreeMap::new(),
        metadata: std::collections::BTreeMap::new(),
        parent: None,
        children: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::super::output::Look;
    use super::super::super::service;
    use super::*;

    fn shop() -> Stack {
        example(vec![service::example("shop", "web")])
    }

    #[test]
    fn stacks_are_listed_with_the_ports_of_their_services() {
        expect![[r"
            NAME  STACK      VERSION  SERVICES  STATE              EXPOSED PORTS
            shop  demo/shop  0.1.0    1         partially_running  0.0.0.0:8080->80/tcp
        "]]
        .assert_eq(&table(&[shop()]).render(Look::PLAIN));
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
