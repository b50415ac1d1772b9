//! One-off containers: which node is asked, for which instance, and what is refused before anything is handed over.

use std::sync::Arc;

use futures::{SinkExt, StreamExt};
use kontena_core::id::NodeId;
use kontena_core::report::OneOff;
use kontena_core::time::WallTime;
use serde_json::{Value, json};

use super::fixture::{NOON, Server, container, node, raw, view};
use crate::api::client::ApiError;
use crate::api::types::error::ErrorKind;
use crate::api::types::exec::{EXEC, Heard, Said, Start, asking};

const RUN: &str = "/v1/services/home/shop/web/run";

fn asked(server: &Server) -> Vec<(NodeId, String, u64)> {
    let asked = server.containers.one_offs.lock().unwrap();
    let told = asked
        .iter()
        .map(|(node, asked)| (*node, asked.instance.to_string(), asked.generation));
    told.collect()
}

async fn refused(server: &Server, path: &str) -> ApiError {
    match server.client.carried(path, EXEC).await {
        Ok(_) => panic!("`{path}` was carried"),
        Err(refused) => refused,
    }
}

#[tokio::test]
async fn a_command_runs_in_the_place_of_an_instance_with_its_variables() {
    let server = Server::reading(view()).await;
    let connection = server.client.carried(RUN, EXEC).await.unwrap();
    let mut command = asking(connection);
    let start = Start {
        command: vec!["exit".to_owned(), "7".to_owned()],
        environment: vec!["MODE=test".to_owned()],
        ..Start::default()
    };
    command.send(Said::Start(start.clone())).await.unwrap();
    let heard: Vec<Heard> = command.map(Result::unwrap).collect().await;
    assert_eq!(heard, [Heard::Ended(7)]);
    assert_eq!(asked(&server), [(node(1), "shop/web-1".to_owned(), 7)]);
    assert_eq!(*server.containers.asked.lock().unwrap(), [start]);
}

#[tokio::test]
async fn a_command_without_input_is_answered_in_one() {
    let server = Server::reading(view()).await;
    let body = json!({"cmd": ["say", "a"], "env": ["A=b"], "instance": 2, "node": "alpha"});
    let answer: Value = server.client.post(RUN, &body).await.unwrap();
    assert_eq!(answer, json!([["a"], ["\u{fffd}"], 0]));
    assert_eq!(asked(&server), [(node(1), "shop/web-2".to_owned(), 7)]);
    let body = json!({"cmd": ["a"], "stdin": true});
    let wrong = server.client.post::<_, Value>(RUN, &body).await;
    assert_eq!(wrong.unwrap_err().status, Some(422));
}

#[tokio::test]
async fn what_cannot_run_is_refused_before_anything_is_handed_over() {
    let server = Server::reading(view()).await;
    for (path, status, words) in [
        (
            "/v1/services/home/shop/none/run".to_owned(),
            404,
            "shop/none",
        ),
        (
            "/v1/services/home/shop/db/run".to_owned(),
            409,
            "never deployed",
        ),
        (format!("{RUN}?node=omega"), 404, "omega"),
        (format!("{RUN}?node=beta"), 409, "drains"),
        (format!("{RUN}?node=gamma"), 409, "absent"),
        (format!("{RUN}?instance=9"), 404, "instance 9"),
        (format!("{RUN}?instance=x"), 422, ""),
        (format!("{RUN}?stdin=1"), 422, "stdin"),
    ] {
        let refused = refused(&server, &path).await;
        assert_eq!(refused.status, Some(status), "{path}: {refused}");
        assert!(refused.message.contains(words), "{path}: {refused}");
    }
    assert_eq!(asked(&server), []);
    let plain = server.refused(RUN).await;
    assert_eq!(plain.kind, ErrorKind::Invalid);
    assert!(plain.message.contains("kontena-exec"), "{plain}");
}

#[tokio::test]
async fn what_is_not_there_is_told_before_what_a_handshake_lacks() {
    let server = Server::reading(view()).await;
    for (path, status) in [
        (RUN, "426"),
        ("/v1/services/home/shop/none/run", "404"),
        ("/v1/services/home/shop/db/run", "409"),
        ("/v1/containers/home/alpha/shop.web-1/exec", "426"),
        ("/v1/containers/home/alpha/shop.none-1/exec", "404"),
    ] {
        let half = format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: close\r\n\r\n"
        );
        let answer = raw(&server, half.as_bytes()).await;
        let first = answer.lines().next().unwrap_or_default();
        assert!(first.contains(status), "{path}: {answer}");
    }
    assert_eq!(asked(&server), []);
}

#[tokio::test]
async fn a_one_off_container_is_listed_and_found_by_its_name_and_is_no_instance() {
    let mut view = view();
    let report = Arc::make_mut(view.reports.get_mut(&node(1)).unwrap());
    let told = OneOff {
        instance: "shop/web-1".parse().unwrap(),
        container: container('c'),
        since: WallTime(NOON),
    };
    report.one_offs.insert("shop.web-run-abc".to_owned(), told);
    let server = Server::reading(view).await;
    let names = |answer: &Value| -> Vec<String> {
        let rows = answer["containers"].as_array().unwrap().iter();
        rows.map(|row| row["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let all: Value = server.client.get("/v1/containers/home").await.unwrap();
    assert_eq!(names(&all), ["shop.web-1", "shop.web-run-abc"]);
    let path = "/v1/services/home/shop/web/containers";
    let own: Value = server.client.get(path).await.unwrap();
    assert!(!names(&own).contains(&"shop.web-run-abc".to_owned()));
    let path = "/v1/containers/home/alpha/shop.web-run-abc/inspect";
    let told: Value = server.client.get(path).await.unwrap();
    assert_eq!(told["Id"], container('c'));
}
