//! Refusals: their status, and their one shape.

use expect_test::expect;
use kontena_core::command::Refusal;
use serde_json::{Value, json};

use super::fixture::{Server, raw, view};
use crate::api::client::Client;
use crate::api::target::Target;
use crate::api::types::error::ErrorKind;

#[tokio::test]
async fn what_does_not_exist_is_404_by_its_name() {
    let server = Server::reading(view()).await;
    for (path, message) in [
        ("/v1/grids/work", "grid `work` does not exist"),
        ("/v1/grids/work/nodes", "grid `work` does not exist"),
        ("/v1/nodes/home/omega", "node `omega` does not exist"),
        (
            "/v1/services/home/shop/api",
            "service `shop/api` does not exist",
        ),
        (
            "/v1/services/home/shop/A_B",
            "service `shop/A_B` does not exist",
        ),
        ("/v1/stacks/home/blog", "stack `blog` does not exist"),
        ("/v1/stacks/home/null", "stack `null` does not exist"),
        (
            "/v1/services/home/null/api/instances",
            "service `api` does not exist",
        ),
        ("/v1/why/shop/api", "service `shop/api` does not exist"),
    ] {
        let refused = server.refused(path).await;
        assert_eq!(refused.status, Some(404), "{path}");
        assert_eq!(refused.kind, ErrorKind::NotFound, "{path}");
        assert_eq!(refused.message, message);
    }
    let refused = server.refused("/v1/grids/home/secrets").await;
    assert_eq!(refused.kind, ErrorKind::NotSupported);
    expect!["`GET /v1/grids/home/secrets` is not part of this version's API"]
        .assert_eq(&refused.message);
}

#[tokio::test]
async fn a_method_that_a_path_does_not_have_is_405_and_told_which_it_has() {
    let server = Server::reading(view()).await;
    for (method, path, allowed) in [
        ("DELETE", "/v1/grids/home", "GET,HEAD,PUT"),
        ("POST", "/v1/ping", "GET,HEAD"),
        ("TRACE", "/v1/init", "POST"),
    ] {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = raw(&server, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
        assert!(
            answer.contains(&format!("\r\nallow: {allowed}\r\n")),
            "{answer}"
        );
        assert!(answer.contains("\"kind\":\"not_supported\""), "{answer}");
    }
}

#[tokio::test]
async fn garbage_in_a_path_names_nothing_and_is_refused_as_everything_is() {
    let server = Server::reading(view()).await;
    let long = "a".repeat(60_000);
    for name in [
        "%ff",
        "%00",
        "%2e%2e",
        "..",
        "%F0%9F%90%B3",
        "%",
        "a%2fb",
        &long,
    ] {
        let request =
            format!("GET /v1/nodes/home/{name} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = raw(&server, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{name}: {answer}");
        assert!(
            answer.contains("{\"error\":{\"message\":"),
            "{name}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_wrong_body_is_422_and_names_every_field() {
    let server = Server::reading(view()).await;
    let wrong = async |path: &str, body: Value| {
        let refused = server
            .client
            .post::<_, Value>(path, &body)
            .await
            .unwrap_err();
        assert_eq!(refused.status, Some(422), "{path} {body}");
        refused.message
    };
    let create = "/v1/grids/home/services";
    expect!["colour: is not a known field; ports[0].node_port: has to be a whole number from 1 to 65535; ports[0].container_port: is missing"].assert_eq(
        &wrong(
            create,
            json!({"name": "a", "image": "b", "colour": 1, "privileged": true, "ports": [{"node_port": 0}]}),
        )
        .await,
    );
    expect!["name: is missing"].assert_eq(&wrong(create, json!({"image": "b"})).await);
    expect!["body: has to be an object, this is a list"].assert_eq(&wrong(create, json!([])).await);
    expect!["body: has to be an object, this is a list"]
        .assert_eq(&wrong("/v1/init", json!([null, "a"])).await);
    let plan = json!({"label": [["alpha", "a=b"]]});
    expect!["the body cannot be read: invalid type: sequence, expected a map at line 1 column 10"]
        .assert_eq(&wrong("/v1/grids/home/plan", plan).await);
    let service = "/v1/services/home/shop/web";
    expect!["the body cannot be read: unknown field `forse`, expected `force` at line 1 column 8"]
        .assert_eq(&wrong(&format!("{service}/deploy"), json!({"forse": true})).await);
    expect!["`now` is not a known field"]
        .assert_eq(&wrong(&format!("{service}/stop"), json!({"now": true})).await);
    expect!["`No Grid` is not a valid grid name: use 1 to 63 of a-z, 0-9 and `-`, starting with a letter or digit, not ending with `-`"].assert_eq(&wrong("/v1/init", json!({"grid": "No Grid"})).await);
    let renamed = server
        .client
        .put::<_, Value>(service, &json!({"name": "other"}))
        .await;
    expect!["name: `other` differs from `web`"].assert_eq(&renamed.unwrap_err().message);
}

#[tokio::test]
async fn the_shape_of_a_refusal_is_kontenas_with_message_hint_and_kind() {
    let server = Server::start(view(), |_, _| {
        Err(Refusal::AlreadyInGrid {
            grid: "home".to_owned(),
        })
    })
    .await;
    let answer = raw(
        &server,
        b"POST /v1/init HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
    )
    .await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 409 "), "{head}");
    expect![[r#"{"error":{"message":"this node already belongs to grid `home`","hint":"leave that grid first: `kontena leave`","kind":"exists"}}"#]].assert_eq(body);
}

#[tokio::test]
async fn a_body_of_more_than_2_mib_is_refused() {
    let server = Server::reading(view()).await;
    let body = json!({"name": "a", "image": "b".repeat(2 << 20)});
    let refused = server
        .client
        .post::<_, Value>("/v1/grids/home/services", &body)
        .await
        .unwrap_err();
    assert_eq!(refused.status, None);
    assert_eq!(refused.message, "the request is larger than 2 MiB");

    let request = format!(
        "POST /v1/init HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {0}\r\n\r\n{1}",
        (2 << 20) + 1,
        " ".repeat((2 << 20) + 1),
    );
    let answer = raw(&server, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_node_that_has_too_much_to_do_says_so() {
    let server = Server::start(view(), |_, _| Err(Refusal::Busy)).await;
    let path = "/v1/services/home/shop/web/restart";
    let refused = server.client.post::<_, Value>(path, &json!({})).await;
    let refused = refused.unwrap_err();
    assert_eq!((refused.status, refused.kind), (Some(503), ErrorKind::Busy));
}

#[tokio::test]
async fn without_a_daemon_the_hint_says_how_to_start_it() {
    let folder = tempfile::tempdir().unwrap();
    let client = Client::new(Target::Socket(folder.path().join("none.sock")));
    let refused = client.get::<Value>("/v1/status").await.unwrap_err();
    assert!(refused.is_unconnected());
    let hint = refused.hint.unwrap();
    assert!(hint.contains("systemctl start kontena"), "{hint}");
}

#[tokio::test]
async fn a_stopped_server_leaves_no_socket() {
    let server = Server::reading(view()).await;
    let folder = server.stop().await;
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn what_a_stack_keeps_for_its_next_upgrade_has_its_form() {
    let server = Server::reading(view()).await;
    let body = json!({
        "stack": "shop", "labels": ["Team=a", 7], "variables": ["a"],
        "parent": {"name": "a/b", "age": 3}, "services": [{"name": "web", "image": "nginx"}],
    });
    let refused: Result<Value, _> = server.client.post("/v1/grids/home/stacks", &body).await;
    let said = refused.unwrap_err().to_string();
    for expected in [
        "labels[0]: `Team=a` is not a label",
        "labels[1]: `7` is not a label",
        "variables: has to be an object",
        "parent.age: is not a known field",
        "parent.name: `a/b` has to be a name without `/`",
    ] {
        assert!(said.contains(expected), "{said}");
    }
}
