//! What `vpn` prints. Pure.

use super::super::fields::Fields;
use super::super::output::Look;
use super::super::table::Table;
use super::super::text::{moment, or_dash};
use crate::api::types::vpn::{Vpn, VpnEntry, VpnUser};

pub(super) fn opened(entry: &VpnEntry) -> String {
    let node = &entry.node;
    match &entry.endpoint {
        Some(endpoint) => format!("node `{node}` lets VPN users in at {endpoint} (UDP)"),
        None => format!("node `{node}` lets VPN users in once its network is up"),
    }
}

/// The entries, then the users.
pub(super) fn listed(vpn: &Vpn, look: Look) -> String {
    let mut entries = Table::new(&["ENTRY", "STATUS", "ENDPOINT"]);
    for entry in &vpn.entries {
        entries.row([
            entry.node.as_str().into(),
            entry.freshness.as_str().into(),
            or_dash(entry.endpoint.as_ref()).into(),
        ]);
    }
    let mut users = Table::new(&["USER", "REACHES", "CREATED"]);
    for user in &vpn.users {
        users.row([
            user.name.as_str().into(),
            reaches(user).into(),
            moment(user.created_at.as_ref()).into(),
        ]);
    }
    format!("{}\n{}", entries.render(look), users.render(look))
}

fn reaches(user: &VpnUser) -> String {
    match &user.only {
        None => "everything".to_owned(),
        Some(only) => only.join(", "),
    }
}

pub(super) fn shown(users: &[&VpnUser]) -> String {
    let mut fields = Fields::new();
    for user in users {
        fields.section(&user.name, |fields| {
            fields
                .field("key", &user.public_key)
                .field("created", or_dash(user.created_at.as_ref()))
                .field("reaches", reaches(user))
                .list(
                    "addresses",
                    user.addresses
                        .iter()
                        .map(|address| format!("{} at node {}", address.address, address.node)),
                );
        });
    }
    fields.finish()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::api::types::vpn::VpnAddress;

    fn user(name: &str, only: Option<&[&str]>) -> VpnUser {
        VpnUser {
            name: name.to_owned(),
            public_key: "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=".to_owned(),
            only: only.map(|only| only.iter().map(ToString::to_string).collect()),
            created_at: Some("2026-01-31T12:00:00Z".parse().unwrap()),
            addresses: vec![VpnAddress {
                node: "a".to_owned(),
                address: "10.80.7.200".parse().unwrap(),
            }],
        }
    }

    fn entry(node: &str, endpoint: Option<&str>) -> VpnEntry {
        VpnEntry {
            node: node.to_owned(),
            freshness: "fresh".to_owned(),
            endpoint: endpoint.map(str::to_owned),
            public_key: None,
            dns: None,
        }
    }

    #[test]
    fn entries_and_users_are_listed() {
        let vpn = Vpn {
            entries: vec![entry("a", Some("203.0.113.7:8472")), entry("b", None)],
            users: vec![
                user("contractor", Some(&["blog", "shop/web"])),
                user("laptop", None),
            ],
            ..Vpn::default()
        };
        expect![[r#"
            ENTRY  STATUS  ENDPOINT
            a      fresh   203.0.113.7:8472
            b      fresh   -

            USER        REACHES         CREATED
            contractor  blog, shop/web  2026-01-31 12:00:00Z
            laptop      everything      2026-01-31 12:00:00Z
        "#]]
        .assert_eq(&listed(&vpn, Look::PLAIN));
    }

    #[test]
    fn a_user_is_shown_with_its_addresses() {
        expect![[r"
            laptop:
              key: HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=
              created: 2026-01-31T12:00:00.000Z
              reaches: everything
              addresses:
                - 10.80.7.200 at node a
        "]]
        .assert_eq(&shown(&[&user("laptop", None)]));
    }
}
