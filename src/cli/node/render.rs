//! Nodes as people read them. Pure: the time is an argument.

use jiff::Timestamp;

use super::super::fields::Fields;
use super::super::table::{Cell, Table};
use super::super::text::{Colour, age, or_dash, yes_no};
use crate::api::types::node::{Node, NodeStatus};

pub(super) fn table(nodes: &[Node], now: Timestamp) -> Table {
    let mut table = Table::new(&[
        "NAME",
        "VERSION",
        "STATUS",
        "AVAILABILITY",
        "ADDRESS",
        "LABELS",
    ]);
    for node in nodes {
        table.row([
            node.name.as_str().into(),
            or_dash(node.agent_version.as_ref()).into(),
            Cell::coloured(status(node, now), colour(node)),
            node.availability.as_str().into(),
            or_dash(node.addresses.first()).into(),
            or_dash(Some(&node.labels.join(",")).filter(|labels| !labels.is_empty())).into(),
        ]);
    }
    table
}

/// `online`, `online (late)`, `offline 5 min`.
pub(super) fn status(node: &Node, now: Timestamp) -> String {
    match node.status {
        NodeStatus::Created => "created".to_owned(),
        NodeStatus::Connecting => "connecting".to_owned(),
        NodeStatus::Online | NodeStatus::Drain if node.freshness == "fresh" => "online".to_owned(),
        NodeStatus::Online | NodeStatus::Drain => format!("online ({})", node.freshness),
        NodeStatus::Offline => {
            let since = node.since.map(|since| age(since, now)).unwrap_or_default();
            format!("offline {since}").trim_end().to_owned()
        }
    }
}

fn colour(node: &Node) -> Option<Colour> {
    match node.status {
        NodeStatus::Created | NodeStatus::Connecting => Some(Colour::Yellow),
        NodeStatus::Online | NodeStatus::Drain => Some(Colour::Green),
        NodeStatus::Offline => Some(Colour::Red),
    }
}

pub(super) fn shown(node: &Node, now: Timestamp) -> String {
    let mut fields = Fields::new();
    fields.section(&node.name, |fields| {
        fields
            .field("id", &node.node_id)
            .field("agent version", or_dash(node.agent_version.as_ref()))
            .field("docker version", or_dash(node.docker_version.as_ref()))
            .field("status", status(node, now))
            .field("freshness", &node.freshness)
            .known("since", node.since)
            .field("connected", yes_no(node.connected))
            .known("last connect", node.connected_at)
            .known("last seen", node.last_seen_at)
            .field("availability", &node.availability)
            .list("addresses", &node.addresses)
            .known("overlay ip", node.overlay_ip.as_ref())
            .known("dns", node.dns.as_ref())
            .field("os", or_dash(node.os.as_ref()))
            .field("kernel", or_dash(node.kernel_version.as_ref()))
            .known("cpus", node.cpus)
            .known(
                "memory",
                node.mem_total.map(|bytes| format!("{} MiB", bytes >> 20)),
            )
            .known("docker root", node.engine_root_dir.as_ref())
            .field("number", node.node_number)
            .field("instances", node.instance_count)
            .list("labels", &node.labels);
        if !node.problems.is_empty() {
            fields.list("problems", &node.problems);
        }
    });
    fields.finish()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::super::output::Look;
    use super::*;

    fn now() -> Timestamp {
        "2026-01-31T12:05:00Z".parse().unwrap()
    }

    fn node(name: &str, status: NodeStatus, freshness: &str) -> Node {
        Node {
            id: format!("demo/{name}"),
            node_id: "ab".repeat(32),
            name: name.to_owned(),
            agent_version: Some("2.0.0".to_owned()),
            docker_version: Some("20.10.24".to_owned()),
            status,
            connected: status == NodeStatus::Online,
            created_at: None,
            connected_at: None,
            disconnected_at: None,
            last_seen_at: None,
            availability: "active".to_owned(),
            labels: vec!["az=a".to_owned(), "ssd".to_owned()],
            node_number: 1,
            initial_member: false,
            public_ip: None,
            private_ip: None,
            overlay_ip: None,
            dns: Some(format!("{name}.node.demo.kontena.local")),
            os: Some("Debian 12".to_owned()),
            kernel_version: None,
            driver: None,
            volume_drivers: Vec::new(),
            cpus: Some(2),
            mem_total: Some(4 << 30),
            engine_root_dir: None,
            resource_usage: None,
            freshness: freshness.to_owned(),
            since: Some("2026-01-31T12:00:00Z".parse().unwrap()),
            addresses: vec!["10.0.0.1:8470".to_owned()],
            instance_count: 4,
            problems: Vec::new(),
        }
    }

    #[test]
    fn nodes_are_listed_with_how_long_they_are_away() {
        let mut joining = node("c", NodeStatus::Connecting, "fresh");
        (joining.agent_version, joining.addresses, joining.labels) = (None, Vec::new(), Vec::new());
        let nodes = [
            node("a", NodeStatus::Online, "fresh"),
            node("b", NodeStatus::Offline, "absent"),
            joining,
            node("d", NodeStatus::Online, "late"),
        ];
        expect![[r"
            NAME  VERSION  STATUS         AVAILABILITY  ADDRESS        LABELS
            a     2.0.0    online         active        10.0.0.1:8470  az=a,ssd
            b     2.0.0    offline 5 min  active        10.0.0.1:8470  az=a,ssd
            c     -        connecting     active        -              -
            d     2.0.0    online (late)  active        10.0.0.1:8470  az=a,ssd
        "]]
        .assert_eq(&table(&nodes, now()).render(Look::PLAIN));
    }

    #[test]
    fn a_node_is_shown_with_its_problems() {
        let mut node = node("a", NodeStatus::Online, "fresh");
        node.problems
            .push("the Docker engine does not answer".to_owned());
        expect![[r#"
            a:
              id: abababababababababababababababababababababababababababababababab
              agent version: 2.0.0
              docker version: 20.10.24
              status: online
              freshness: fresh
              since: 2026-01-31T12:00:00.000Z
              connected: yes
              availability: active
              addresses:
                - 10.0.0.1:8470
              dns: a.node.demo.kontena.local
              os: Debian 12
              kernel: -
              cpus: 2
              memory: 4096 MiB
              number: 1
              instances: 4
              labels:
                - az=a
                - ssd
              problems:
                - the Docker engine does not answer
        "#]]
        .assert_eq(&shown(&node, now()));
    }
}
