//! The key-value store as Kontena's command line asks for it.

use serde_json::{Value, json};

use super::fixture::{Server, view};
use crate::api::client::ApiError;
use crate::api::types::key::{KeyChanged, KeyRead, KeyRemoval, KeyStore};

async fn set(server: &Server, key: &str, body: Value) -> Result<KeyChanged, ApiError> {
    let path = format!("/v1/etcd/home/{key}");
    server.client.post(&path, &body).await
}

async fn get(server: &Server, key: &str) -> Result<Value, ApiError> {
    server.client.get(&format!("/v1/etcd/home/{key}")).await
}

fn status(answer: Result<impl std::fmt::Debug, ApiError>) -> Option<u16> {
    answer.expect_err("it is refused").status
}

#[tokio::test]
async fn what_was_set_is_read_under_one_slash_or_two_and_with_any_letters() {
    let server = Server::reading(view()).await;
    let changed = set(&server, "/app/mode", json!({"value": "fast"})).await;
    assert_eq!(changed.unwrap().key, "/app/mode");
    for path in ["/app/mode", "app/mode", "%2Fapp%2Fmode"] {
        assert_eq!(get(&server, path).await.unwrap(), json!({"value": "fast"}));
    }
    set(&server, "/gr%C3%BC%C3%9Fe%20an%3F", json!({"value": ""}))
        .await
        .unwrap();
    let children = get(&server, "/").await.unwrap();
    assert_eq!(
        children,
        json!({"children": [{"key": "/app"}, {"key": "/gr\u{fc}\u{df}e an?", "value": ""}]})
    );
    server.stop().await;
}

#[tokio::test]
async fn a_directory_lists_what_is_in_it_or_all_that_is_below() {
    let server = Server::reading(view()).await;
    for key in ["/d/x/1", "/d/x/2", "/d/y"] {
        set(&server, key, json!({"value": key})).await.unwrap();
    }
    set(&server, "/d/empty", json!({})).await.unwrap();
    let keys = async |path: &str| -> Vec<Value> {
        let read: KeyRead = server.client.get(path).await.unwrap();
        let KeyRead::Directory(all) = read else {
            panic!("{read:?}");
        };
        all.children
            .into_iter()
            .map(|child| json!(child.key))
            .collect()
    };
    assert_eq!(keys("/v1/etcd/home//d").await, ["/d/empty", "/d/x", "/d/y"]);
    assert_eq!(
        keys("/v1/etcd/home//d?recursive=true").await,
        ["/d/empty", "/d/x/1", "/d/x/2", "/d/y"]
    );
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_nothing_is_changed() {
    let server = Server::reading(view()).await;
    set(&server, "/v", json!({"value": "1"})).await.unwrap();
    assert_eq!(status(get(&server, "/none").await), Some(404));
    assert_eq!(
        status(set(&server, "/v/x", json!({"value": "1"})).await),
        Some(409)
    );
    assert_eq!(
        status(set(&server, "/..", json!({"value": "1"})).await),
        Some(422)
    );
    assert_eq!(
        status(set(&server, "/", json!({"value": "1"})).await),
        Some(422)
    );
    assert_eq!(
        status(set(&server, "/a", json!({"value": "1", "ttl": 0})).await),
        Some(422)
    );
    assert_eq!(
        status(set(&server, "/a", json!({"valeu": "1"})).await),
        Some(422)
    );
    let long = "x".repeat(64 * 1024 + 1);
    assert_eq!(
        status(set(&server, "/a", json!({"value": long})).await),
        Some(422)
    );
    let other = server.client.get::<Value>("/v1/etcd/other//v").await;
    assert_eq!(status(other), Some(404));
    let store: KeyStore = server.client.get("/v1/etcd/home").await.unwrap();
    assert_eq!((store.keys, store.bytes, store.index), (1, 3, 1));
    server.stop().await;
}

#[tokio::test]
async fn a_directory_goes_only_with_all_that_is_in_it() {
    let server = Server::reading(view()).await;
    set(&server, "/d/x", json!({"value": "1"})).await.unwrap();
    let remove = async |recursive| {
        let path = "/v1/etcd/home//d";
        let removal = KeyRemoval { recursive };
        server
            .client
            .delete_with::<_, KeyChanged>(path, &removal)
            .await
    };
    assert_eq!(status(remove(false).await), Some(409));
    remove(true).await.unwrap();
    assert_eq!(status(get(&server, "/d").await), Some(404));
    server.stop().await;
}
