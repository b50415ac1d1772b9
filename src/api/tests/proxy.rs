//! Connections that are carried over the API. That bytes arrive is told by the e2e tests: here no instance
//! has an address that leads anywhere.

use super::fixture::{Server, accepted, view};
use crate::api::client::ApiError;
use crate::api::types::CARRIED;
use crate::api::types::error::ErrorKind;

async fn refused(server: &Server, path: &str) -> ApiError {
    match server.client.carried(path, CARRIED).await {
        Ok(_) => panic!("`{path}` was carried"),
        Err(refused) => refused,
    }
}

#[tokio::test]
async fn what_cannot_be_carried_is_refused_with_the_reason() {
    let server = Server::start(view(), |_, _| accepted()).await;
    let missing = refused(&server, "/v1/proxy/home/shop/nothing/80").await;
    assert_eq!(missing.kind, ErrorKind::NotFound);
    for port in ["0", "65536", "http"] {
        let wrong = refused(&server, &format!("/v1/proxy/home/shop/web/{port}")).await;
        assert_eq!(wrong.kind, ErrorKind::Invalid, "{port}");
    }
    let nowhere = refused(&server, "/v1/proxy/home/shop/db/5432").await;
    assert_eq!(nowhere.kind, ErrorKind::Unreachable);
    assert!(
        nowhere.message.contains("no instance of `shop/db`"),
        "{nowhere}"
    );
}

#[tokio::test]
async fn who_does_not_ask_for_the_handover_is_told_how() {
    let server = Server::start(view(), |_, _| accepted()).await;
    let refused = server.refused("/v1/proxy/home/shop/web/80").await;
    assert_eq!(refused.kind, ErrorKind::Invalid);
    assert!(refused.message.contains("kontena-tcp"), "{refused}");
}
