//! External registries: what is shown, and that nobody is told a password.

use std::sync::Arc;

use kontena_core::command::Command;
use kontena_core::external_registry::Registry;
use kontena_core::identity::SecretKey;
use kontena_core::time::WallTime;
use kontena_core::view::View;
use serde_json::{Value, json};

use super::changes::{documents, noting};
use super::fixture::{NOON, Server, accepted, view};
use crate::api::client::ApiError;
use crate::api::types::registry::{ExternalRegistries, ExternalRegistry};
use crate::api::types::{Changed, Saved};
use crate::sealed;

const LISTED: &str = "/v1/grids/home/external_registries";

/// Does what the command says.
fn obey(command: &Command, view: &mut View) {
    let registries = &mut documents(view).registries;
    match command {
        Command::AddRegistry {
            name,
            account,
            keys,
        } => {
            let registry = Registry {
                account: (**account).clone(),
                since: WallTime(NOON),
                keys: keys.clone(),
            };
            registries.insert(name.clone(), Arc::new(registry));
        }
        Command::RemoveRegistry(name) => _ = registries.remove(name),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_password_reaches_the_node_sealed_and_is_shown_to_nobody() {
    let (server, noted) = noting(|command, view| {
        obey(command, view);
        accepted()
    })
    .await;
    let body = json!({
        "username": "me", "password": "s3cret!", "email": "me@example.com", "url": "quay.io"
    });
    let made: Changed<ExternalRegistry> = server.client.post(LISTED, &body).await.unwrap();
    assert_eq!(made.object.name, "quay.io");
    assert_eq!(made.object.url, "https://quay.io");
    assert_eq!(made.object.id, "home/quay.io");
    // The ids of the others are no keys, so they can be given no password.
    assert_eq!(made.object.missing_on, ["beta", "delta"]);
    let noted = noted.lock().unwrap().pop().unwrap();
    assert!(!format!("{noted:?}").contains("s3cret"));
    let listed: Value = server.client.get(LISTED).await.unwrap();
    assert!(!listed.to_string().contains("s3cret"));
    assert_eq!(listed["external_registries"][0]["username"], "me");
    let saved: Saved = server
        .client
        .delete("/v1/external_registries/home/quay.io")
        .await
        .unwrap();
    assert!(!saved.saved_on.is_empty());
    let listed: ExternalRegistries = server.client.get(LISTED).await.unwrap();
    assert_eq!(listed.external_registries, []);
}

#[tokio::test]
async fn each_member_can_open_what_was_sealed_for_it() {
    let identities: Vec<SecretKey> = (1..=2)
        .map(|seed| SecretKey::from_seed([seed; 32]))
        .collect();
    let mut shown = view();
    let roster = &mut documents(&mut shown).roster;
    let member = roster.values().next().unwrap().clone();
    *roster = identities
        .iter()
        .map(|identity| (identity.node_id(), member.clone()))
        .collect();
    let (sent, mut received) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::start(shown, move |command, view| {
        obey(&command, view);
        sent.send(command).unwrap();
        accepted()
    })
    .await;
    let body = json!({"username": "me", "password": "s3cret", "url": "http://10.0.0.1:5000/"});
    let made: Changed<ExternalRegistry> = server.client.post(LISTED, &body).await.unwrap();
    assert_eq!(made.object.missing_on, [""; 0]);
    let Some(Command::AddRegistry {
        name,
        account,
        keys,
    }) = received.recv().await
    else {
        panic!("no command");
    };
    assert_eq!(name.as_str(), "10.0.0.1:5000");
    for identity in &identities {
        let key = &keys[&identity.node_id()];
        let opened = sealed::open(identity, &name.secret(), &account.password, key);
        assert_eq!(opened.unwrap(), "s3cret");
    }
}

#[tokio::test]
async fn what_names_no_registry_or_has_no_password_is_refused() {
    let (server, noted) = noting(|_, _| accepted()).await;
    let refused = [
        (
            json!({"username": "me", "password": "x", "url": "ftp://quay.io"}),
            "address of a registry",
        ),
        (
            json!({"username": "me", "password": "x", "url": "https://me:x@quay.io"}),
            "by themselves",
        ),
        (
            json!({"username": "me", "password": "", "url": "quay.io"}),
            "`password` is empty",
        ),
        (
            json!({"username": "me", "password": "x".repeat(9000), "url": "quay.io"}),
            "`password` is longer than",
        ),
        (json!({"username": "me", "url": "quay.io"}), "password"),
    ];
    for (body, problem) in refused {
        let answer: Result<Changed<ExternalRegistry>, ApiError> =
            server.client.post(LISTED, &body).await;
        let answer = format!("{:?}", answer.unwrap_err());
        assert!(answer.contains(problem), "{answer}");
    }
    assert!(noted.lock().unwrap().is_empty());
}
