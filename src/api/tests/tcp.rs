//! TCP: nothing without the administrator's token.

use std::collections::BTreeSet;
use std::sync::Arc;

use kontena_core::command::{Accepted, Command};
use kontena_core::view::View;
use serde_json::{Value, json};

use super::fixture::{ADMIN_TOKEN, Server, accepted, view};
use crate::api::client::Client;
use crate::api::target::Target;
use crate::api::types::Changed;
use crate::api::types::error::ErrorKind;
use crate::api::types::membership::InitAnswer;

fn client(server: &Server, token: Option<&str>) -> Client {
    Client::new(Target::Tcp {
        authority: server.tcp.to_string(),
        token: token.map(str::to_owned),
    })
}

fn admin_token() -> String {
    data_encoding::HEXLOWER.encode(&ADMIN_TOKEN)
}

#[tokio::test]
async fn the_administrators_token_opens_everything() {
    let server = Server::start(view(), |_, _| accepted()).await;
    let client = client(&server, Some(&admin_token()));
    let _: Value = client.get("/v1/grids/home").await.unwrap();
    let path = "/v1/services/home/shop/web/restart";
    let _: Value = client.post(path, &json!({})).await.unwrap();
}

#[tokio::test]
async fn anybody_else_learns_the_version_and_nothing_more() {
    let server = Server::reading(view()).await;
    let almost = format!("{}0", &admin_token()[..63]);
    let hash = "00".repeat(32);
    for token in [
        None,
        Some(""),
        Some("x"),
        Some(almost.as_str()),
        Some(&hash),
    ] {
        let client = client(&server, token);
        for path in ["/", "/v1/ping"] {
            let _: Value = client.get(path).await.unwrap();
        }
        for path in [
            "/v1/status",
            "/v1/grids",
            "/v1/nodes/home/alpha",
            "/v1/nothing",
        ] {
            let refused = client.get::<Value>(path).await.unwrap_err();
            assert_eq!(refused.status, Some(401), "{token:?} {path}");
            assert_eq!(refused.kind, ErrorKind::Unauthorized);
            assert!(refused.hint.unwrap().contains("KONTENA_TOKEN"));
        }
    }
}

#[tokio::test]
async fn before_there_is_a_grid_no_token_is_valid() {
    let server = Server::reading(View::default()).await;
    let refused = client(&server, Some(&admin_token()))
        .post::<_, Value>("/v1/init", &json!({}))
        .await
        .unwrap_err();
    assert_eq!(refused.status, Some(401));
}

#[tokio::test]
async fn the_token_that_init_printed_is_valid_and_only_its_hash_reaches_the_node() {
    let server = Server::start(View::default(), |command, empty| {
        let Command::Init { admin_token, .. } = command else {
            panic!("{command:?}");
        };
        assert_ne!(admin_token, [7; 32], "the secret itself");
        *empty = view();
        let documents = Arc::make_mut(&mut empty.documents);
        documents.admin_tokens = BTreeSet::from([admin_token]);
        Ok(Accepted {
            join_token: Some("join".to_owned()),
            ..accepted()?
        })
    })
    .await;
    let answer: Changed<InitAnswer> = server.client.post("/v1/init", &json!({})).await.unwrap();
    let client = client(&server, Some(&answer.object.admin_token));
    let _: Value = client.get("/v1/grids/home").await.unwrap();
}
