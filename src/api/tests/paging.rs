//! Lists in pages.

use std::sync::Arc;

use kontena_core::id::TokenId;
use kontena_core::time::WallTime;
use kontena_core::view::{JoinToken, View};
use serde_json::Value;

use super::fixture::{NOON, Server, raw, view};
use super::openapi::{document, filled, operations};
use crate::api::types::error::ErrorKind;

/// With three join tokens, two of which were made at once.
fn with_tokens(mut view: View) -> View {
    let documents = Arc::make_mut(&mut view.documents);
    for (number, created) in [(1, NOON), (2, NOON + 5), (3, NOON)] {
        let token = JoinToken {
            created: WallTime(created),
            revoked: false,
        };
        documents.join_tokens.insert(TokenId([number; 32]), token);
    }
    view
}

/// The lists, as the document has them: what tells of a next page.
fn lists() -> Vec<String> {
    let operations = operations(&document()).into_iter();
    let lists = operations.filter(|(_, _, operation)| {
        let headers = &operation["responses"]["200"]["headers"];
        headers["Link"].is_object()
    });
    lists.map(|(_, path, _)| filled(&path)).collect()
}

/// The items of an answer: its only list.
pub(super) fn items(answer: &Value) -> Vec<Value> {
    let mut lists = answer
        .as_object()
        .unwrap()
        .values()
        .filter_map(Value::as_array);
    lists.next().unwrap().clone()
}

/// A page, and the query of the next one.
pub(super) async fn page(server: &Server, path: &str) -> (Vec<Value>, Option<String>) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let answer = raw(server, request.as_bytes()).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
    let link = head.lines().find_map(|line| line.strip_prefix("link: <"));
    let next = link.map(|link| link.split_once('>').unwrap().0.to_owned());
    (items(&serde_json::from_str(body).unwrap()), next)
}

#[tokio::test]
async fn every_list_can_be_read_page_by_page_and_is_whole_without_asking() {
    let server = Server::reading(with_tokens(view())).await;
    let lists = lists();
    assert_eq!(lists.len(), 12, "{lists:#?}");
    let mut seen = 0;
    for path in lists {
        let whole: Value = server.client.get(&path).await.unwrap();
        let whole = items(&whole);
        let mut read = Vec::new();
        let mut query = Some("?limit=1".to_owned());
        while let Some(asked) = query {
            let (page, next) = page(&server, &format!("{path}{asked}")).await;
            assert!(page.len() <= 1, "{path}{asked}");
            read.extend(page);
            query = next;
        }
        assert_eq!(read, whole, "{path}");
        seen += read.len();
    }
    assert!(seen > 12, "{seen}");
}

#[tokio::test]
async fn the_next_page_is_of_what_was_asked_for() {
    let server = Server::reading(view()).await;
    let path = "/v1/grids/home/services";
    let (first, next) = page(&server, &format!("{path}?stack=shop&limit=1")).await;
    let (second, last) = page(&server, &format!("{path}{}", next.unwrap())).await;
    let names: Vec<_> = first
        .iter()
        .chain(&second)
        .map(|one| &one["name"])
        .collect();
    assert_eq!(names, ["db", "web"]);
    assert_eq!(last, None);
}

#[tokio::test]
async fn a_page_of_no_size_is_refused() {
    let server = Server::reading(view()).await;
    let long = format!("after={}", "a".repeat(257));
    for query in [
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=many",
        "limit=",
        "pages=2",
        &long,
    ] {
        let refused = server
            .refused(&format!("/v1/grids/home/nodes?{query}"))
            .await;
        assert_eq!(refused.status, Some(422), "{query}");
        assert_eq!(refused.kind, ErrorKind::Invalid, "{query}");
    }
}
