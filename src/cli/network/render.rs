//! Networks as people read them. Pure.

use std::collections::BTreeMap;

use super::super::fields::Fields;
use super::super::table::{Cell, Table};
use super::super::text::{Colour, bytes, or_dash};
use super::PairJson;
use crate::api::types::network::{Containers, NodeNetwork, Way};

pub(super) fn table(pairs: &[PairJson]) -> Table {
    let mut table = Table::new(&[
        "FROM",
        "TO",
        "WAY",
        "THROUGH",
        "RTT, LOSS",
        "RECEIVED, SENT",
        "HANDSHAKE",
    ])
    .with_addresses("THROUGH");
    for PairJson { from, peer } in pairs {
        table.row([
            from.as_str().into(),
            peer.node.as_str().into(),
            Cell::coloured(peer.way.as_str(), Some(colour(peer.way))),
            or_dash(peer.through.as_ref()).into(),
            quality(peer.rtt_micros, peer.lost_in_1000).into(),
            format!("{}, {}", bytes(peer.received_bytes), bytes(peer.sent_bytes)).into(),
            or_dash(peer.handshake_age_millis.map(ago).as_ref()).into(),
        ]);
    }
    table
}

fn colour(way: Way) -> Colour {
    match way {
        Way::Direct | Way::Punched => Colour::Green,
        Way::Relayed => Colour::Yellow,
        Way::None => Colour::Red,
    }
}

/// Two in a column: on a narrow terminal they stand below each other, and addresses have room.
fn quality(rtt_micros: Option<u64>, lost_in_1000: Option<u16>) -> String {
    let known = [rtt_micros.map(rtt), lost_in_1000.map(loss)];
    match known.into_iter().flatten().collect::<Vec<_>>() {
        none if none.is_empty() => "-".to_owned(),
        known => known.join(", "),
    }
}

fn rtt(micros: u64) -> String {
    match micros {
        0..10_000 => format!("{}.{:02} ms", micros / 1000, micros % 1000 / 10),
        _ => format!("{}.{} ms", micros / 1000, micros % 1000 / 100),
    }
}

fn loss(in_1000: u16) -> String {
    format!("{}.{} %", in_1000 / 10, in_1000 % 10)
}

fn ago(millis: u64) -> String {
    format!("{} s ago", millis / 1000)
}

/// Those that are not 0.
fn counted(counts: &BTreeMap<String, u64>) -> Vec<String> {
    let some = counts.iter().filter(|(_, count)| **count > 0);
    some.map(|(what, count)| format!("{what}: {count}"))
        .collect()
}

/// What of a node's network is on its host.
pub(in crate::cli) fn shown(network: &NodeNetwork) -> String {
    let containers = match network.containers {
        Containers::Plain => "on Docker's own bridge",
        Containers::Pending => "wait for the network",
        Containers::Attached => "in the grid's network",
    };
    let mut fields = Fields::new();
    fields.section(&network.node, |fields| {
        fields
            .field("containers", containers)
            .known("problem", network.problem.as_ref())
            .field("subnet", or_dash(network.subnet.as_ref()))
            .field("address", or_dash(network.address.as_ref()))
            .field(
                "management address",
                or_dash(network.management_address.as_ref()),
            )
            .field("interface", or_dash(network.interface.as_ref()))
            .known("udp port", network.port)
            .known("mtu", network.mtu)
            .field("bridge", or_dash(network.bridge.as_ref()))
            .field("docker network", or_dash(network.engine_network.as_ref()))
            .list("firewall rules", &network.rules)
            .list(
                "ways",
                network.peers.iter().map(|peer| {
                    let through = or_dash(peer.through.as_ref());
                    format!("{}: {} {through}", peer.node, peer.way.as_str())
                }),
            )
            .list("dropped packets", counted(&network.drops))
            .list("questions for names", counted(&network.names));
    });
    fields.finish()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn times_and_sizes_are_short() {
        assert_eq!(rtt(1_234), "1.23 ms");
        assert_eq!(rtt(59), "0.05 ms");
        assert_eq!(rtt(45_678), "45.6 ms");
        assert_eq!(loss(31), "3.1 %");
        assert_eq!(ago(61_900), "61 s ago");
    }

    #[test]
    fn everything_that_is_ours_on_a_host_is_shown() {
        let network = NodeNetwork {
            node: "a".to_owned(),
            containers: Containers::Attached,
            subnet: Some("10.80.7.0/24".to_owned()),
            interface: Some("kontena0".to_owned()),
            bridge: Some("kontena-br".to_owned()),
            rules: vec!["iptables -t nat -A POSTROUTING".to_owned()],
            drops: [("foreign source".to_owned(), 3)].into(),
            names: [("answered".to_owned(), 12), ("failed".to_owned(), 0)].into(),
            ..NodeNetwork::default()
        };
        expect![[r#"
            a:
              containers: in the grid's network
              subnet: 10.80.7.0/24
              address: -
              management address: -
              interface: kontena0
              bridge: kontena-br
              docker network: -
              firewall rules:
                - iptables -t nat -A POSTROUTING
              ways: -
              dropped packets:
                - foreign source: 3
              questions for names:
                - answered: 12
        "#]]
        .assert_eq(&shown(&network));
    }
}
