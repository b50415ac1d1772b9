//! What a request says and nobody reads: it is refused, not ignored.

use serde_json::{Value, json};

use super::fixture::{Server, accepted, raw, view};
use super::openapi::{document, filled, operations};
use crate::api::client::ApiError;
use crate::api::types::error::ErrorKind;

async fn answered(server: &Server, method: &str, path: &str, body: &str) -> (String, Value) {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let answer = raw(server, request.as_bytes()).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().to_owned();
    (status, serde_json::from_str(body).unwrap_or_default())
}

#[tokio::test]
async fn a_parameter_that_an_operation_does_not_know_is_refused_by_each_of_them() {
    let server = Server::reading(view()).await;
    let mut asked = 0;
    for (method, path, _) in operations(&document()) {
        let path = format!("{}?nonsense=1", filled(&path));
        let (status, body) = answered(&server, &method.to_uppercase(), &path, "").await;
        assert_eq!(status, "422", "{method} {path}: {body}");
        assert_eq!(body["error"]["kind"], "invalid", "{method} {path}");
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains("`nonsense`"), "{method} {path}: {message}");
        asked += 1;
    }
    assert!(asked > 60, "{asked}");
}

#[tokio::test]
async fn a_query_of_nothing_is_none() {
    let server = Server::reading(view()).await;
    for query in ["?", "?&"] {
        let path = format!("/v1/grids/home{query}");
        let (status, body) = answered(&server, "GET", &path, "").await;
        assert_eq!(status, "200", "{query}: {body}");
    }
    let (status, _) = answered(&server, "HEAD", "/v1/grids/home?x", "").await;
    assert_eq!(status, "422");
    let (status, _) = answered(&server, "DELETE", "/v1/grids/home?x", "").await;
    assert_eq!(status, "405", "what is wrong first is told first");
    let (status, _) = answered(&server, "GET", "/v1/nothing?x", "").await;
    assert_eq!(status, "404");
}

#[tokio::test]
async fn what_a_delete_says_beside_its_path_is_refused_where_nobody_reads_it() {
    let server = Server::reading(view()).await;
    let mut asked = 0;
    for (method, path, _) in operations(&document()) {
        if method != "delete" {
            continue;
        }
        let path = filled(&path);
        let (status, body) = answered(&server, "DELETE", &path, r#"{"nonsense": 1}"#).await;
        assert_eq!(status, "422", "{path}: {body}");
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains("`nonsense`"), "{path}: {message}");
        asked += 1;
    }
    assert!(asked >= 9, "{asked}");
}

#[tokio::test]
async fn a_delete_says_nothing_or_an_object_of_nothing() {
    let server = Server::start(view(), |_, _| accepted()).await;
    let path = format!("/v1/join_tokens/{}", "ab".repeat(32));
    let _: Value = server.client.delete(&path).await.unwrap();
    let _: Value = server.client.delete_with(&path, &json!({})).await.unwrap();
    let nothing = json!(null);
    let _: Value = server.client.delete_with(&path, &nothing).await.unwrap();
    let list: Result<Value, ApiError> = server.client.delete_with(&path, &json!([])).await;
    assert_eq!(list.unwrap_err().kind, ErrorKind::Invalid);
}
