//! The VPN: what is shown of it, and what reaches the node.

use kontena_core::command::Command;
use kontena_core::network::vpn::{Entry, Reach, User, VpnKey};
use kontena_core::report::Network;
use kontena_core::time::WallTime;
use kontena_core::view::View;
use serde_json::json;

use super::changes::{documents, noting};
use super::fixture::{NOON, Server, accepted, node, view};
use crate::api::types::error::ErrorKind;
use crate::api::types::vpn::{Vpn, VpnEntry, VpnUser};
use crate::api::types::{Changed, Saved};

const KEY: &str = "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=";

fn key() -> VpnKey {
    KEY.parse().unwrap()
}

/// Alpha and gamma let users in; alpha's network is up.
fn opened() -> View {
    let mut view = view();
    let vpn = &mut documents(&mut view).vpn;
    let address = Some("203.0.113.7".parse().unwrap());
    vpn.entries.insert(node(1), Entry { address });
    vpn.entries.insert(node(3), Entry::default());
    let user = User {
        name: "laptop".parse().unwrap(),
        host: Some(200),
        reach: Reach::Only(["shop".parse().unwrap()].into()),
        created: WallTime(NOON),
    };
    vpn.users.insert(key(), user);
    let report = view.reports.get_mut(&node(1)).unwrap();
    std::sync::Arc::make_mut(report).network = Some(Network {
        port: 8470,
        ..Network::default()
    });
    view
}

#[tokio::test]
async fn entries_and_users_are_shown_with_what_a_client_has_to_know() {
    let server = Server::start(opened(), |_, _| accepted()).await;
    let vpn: Vpn = server.client.get("/v1/vpn/home").await.unwrap();
    let [alpha, gamma] = vpn.entries.as_slice() else {
        panic!("{vpn:?}");
    };
    assert_eq!(alpha.endpoint.as_deref(), Some("203.0.113.7:8470"));
    assert_eq!(alpha.dns, Some("10.80.1.1".parse().unwrap()));
    assert_eq!(
        (gamma.node.as_str(), &gamma.endpoint),
        ("gamma", &None),
        "it never said where"
    );
    let [user] = vpn.users.as_slice() else {
        panic!("{vpn:?}");
    };
    assert_eq!(user.only.as_deref(), Some(&["shop".to_owned()][..]));
    let addresses: Vec<String> = user
        .addresses
        .iter()
        .map(|one| one.address.to_string())
        .collect();
    assert_eq!(addresses, ["10.80.1.200", "10.80.3.200"]);
    assert_eq!(vpn.networks, ["10.80.0.0/12"]);
    assert_eq!(vpn.search, ["home.kontena.local", "kontena.local"]);
}

#[tokio::test]
async fn a_node_is_opened_and_closed() {
    let (server, noted) = noting(|command, view| {
        let entries = &mut documents(view).vpn.entries;
        match command {
            Command::OpenVpn { node, entry } => drop(entries.insert(*node, *entry)),
            Command::CloseVpn(node) => drop(entries.remove(node)),
            other => panic!("{other:?}"),
        }
        accepted()
    })
    .await;
    let path = "/v1/vpn/home/entries/beta";
    let body = json!({"address": "203.0.113.9"});
    let made: Changed<VpnEntry> = server.client.put(path, &body).await.unwrap();
    assert_eq!(
        (made.object.node.as_str(), made.object.endpoint),
        ("beta", None)
    );
    let _: Saved = server.client.delete(path).await.unwrap();
    assert_eq!(noted.lock().unwrap().len(), 2);
    let client = &server.client;
    let nobody = "/v1/vpn/home/entries/nobody";
    let refused = client.put::<_, Changed<VpnEntry>>(nobody, &json!({})).await;
    assert!(refused.unwrap_err().is_not_found());
    let body = json!({"address": "here"});
    let refused = client.put::<_, Changed<VpnEntry>>(path, &body).await;
    assert_eq!(refused.unwrap_err().kind, ErrorKind::Invalid);
}

#[tokio::test]
async fn a_user_is_let_in_limited_and_shut_out() {
    let (server, noted) = noting(|command, view| {
        let users = &mut documents(view).vpn.users;
        match command {
            Command::AddVpnUser { name, key, reach } => {
                let user = User {
                    name: name.clone(),
                    host: Some(192),
                    reach: reach.clone(),
                    created: WallTime(NOON),
                };
                users.insert(*key, user);
            }
            Command::LimitVpnUser { reach, .. } => {
                users.get_mut(&key()).unwrap().reach = reach.clone();
            }
            Command::RemoveVpnUser(_) => users.clear(),
            other => panic!("{other:?}"),
        }
        accepted()
    })
    .await;
    let client = &server.client;
    let body = json!({"name": "laptop", "public_key": KEY});
    let made: Changed<VpnUser> = client.post("/v1/vpn/home/users", &body).await.unwrap();
    assert_eq!(
        (made.object.name.as_str(), made.object.only),
        ("laptop", None)
    );
    let path = "/v1/vpn/home/users/laptop";
    let _: Saved = client
        .put(path, &json!({"only": ["shop/web"]}))
        .await
        .unwrap();
    let _: Saved = client.put(path, &json!({"only": null})).await.unwrap();
    let _: Saved = client.delete(path).await.unwrap();
    assert_eq!(noted.lock().unwrap().len(), 4);

    let unsaid = client.put::<_, Saved>(path, &json!({})).await.unwrap_err();
    assert_eq!(
        unsaid.kind,
        ErrorKind::Invalid,
        "a limit is not lifted by saying nothing"
    );
    for (field, value) in [
        ("public_key", "short"),
        ("name", "Laptop"),
        ("public_key", ZERO),
    ] {
        let mut body = body.clone();
        body[field] = json!(value);
        let refused = client
            .post::<_, Changed<VpnUser>>("/v1/vpn/home/users", &body)
            .await;
        assert_eq!(refused.unwrap_err().kind, ErrorKind::Invalid, "{value}");
    }
}

const ZERO: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
