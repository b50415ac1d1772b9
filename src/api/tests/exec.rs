//! Commands in containers, over both ways to ask for one. What real engines do is told by the e2e tests.

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use kontena_core::report::{Health, InstanceState};
use kontena_core::view::Freshness;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::fixture::{ADMIN_TOKEN, Server, add_report, container, hold, key, view};
use crate::api::client::ApiError;
use crate::api::types::error::ErrorKind;
use crate::api::types::exec::{EXEC, Failed, Heard, Said, Size, Start, asking};

const WEB: &str = "/v1/containers/home/alpha/shop.web-1";

fn start(words: &[&str]) -> Start {
    Start {
        command: words.iter().map(ToString::to_string).collect(),
        ..Start::default()
    }
}

/// What is heard of a command until its end.
async fn heard(server: &Server, said: impl IntoIterator<Item = Said>) -> Vec<Heard> {
    let path = format!("{WEB}/exec");
    let connection = server.client.carried(&path, EXEC).await.unwrap();
    let mut command = asking(connection);
    for word in said {
        command.send(word).await.unwrap();
    }
    let heard = command.map(Result::unwrap);
    heard.collect().await
}

#[tokio::test]
async fn bytes_go_to_a_command_and_come_back_as_they_are() {
    let server = Server::reading(view()).await;
    let all: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let pieces = all
        .chunks(9_999)
        .map(|piece| Said::Input(Bytes::copy_from_slice(piece)));
    let said = [Said::Start(start(&["cat"]))].into_iter().chain(pieces);
    let heard = heard(&server, said.chain([Said::InputEnds])).await;
    let (last, output) = heard.split_last().unwrap();
    let output = output.iter().flat_map(|word| match word {
        Heard::Output(bytes) => bytes.to_vec(),
        other => panic!("{other:?}"),
    });
    assert_eq!(output.collect::<Vec<u8>>(), all);
    assert_eq!(*last, Heard::Ended(0));
}

#[tokio::test]
async fn how_a_command_ends_is_told() {
    let server = Server::reading(view()).await;
    let ended = heard(&server, [Said::Start(start(&["exit", "7"]))]).await;
    assert_eq!(ended, [Heard::Ended(7)]);
    let failed = heard(&server, [Said::Start(start(&["nothing"]))]).await;
    assert_eq!(
        failed,
        [Heard::Failed(
            Failed::Wrong,
            "there is no such command".to_owned()
        )]
    );
}

#[tokio::test]
async fn a_command_is_over_when_whoever_asked_for_it_is_gone() {
    let server = Server::reading(view()).await;
    let path = format!("{WEB}/exec");
    let connection = server.client.carried(&path, EXEC).await.unwrap();
    let mut command = asking(connection);
    command.send(Said::Start(start(&["sleep"]))).await.unwrap();
    let mut over = server.containers.over.subscribe();
    drop(command);
    over.wait_for(|over| *over == 1).await.unwrap();
}

async fn refused(server: &Server, path: &str) -> ApiError {
    match server.client.carried(path, EXEC).await {
        Ok(_) => panic!("`{path}` was carried"),
        Err(refused) => refused,
    }
}

#[tokio::test]
async fn a_container_that_is_not_there_or_does_not_run_is_refused_before_anything_is_handed_over() {
    let server = Server::reading(view()).await;
    for missing in [
        "alpha/shop.web-9",
        "beta/shop.web-1",
        "omega/shop.web-1",
        "gamma/shop.web-2",
    ] {
        let refused = refused(&server, &format!("/v1/containers/home/{missing}/exec")).await;
        assert_eq!(refused.kind, ErrorKind::NotFound, "{missing}");
    }
    let plain = server.refused(&format!("{WEB}/exec")).await;
    assert_eq!(plain.kind, ErrorKind::Invalid);
    assert!(plain.message.contains("kontena-exec"), "{plain}");
}

#[tokio::test]
async fn what_the_engine_says_of_a_container_is_handed_on() {
    let server = Server::reading(view()).await;
    let told: Value = server.client.get(&format!("{WEB}/inspect")).await.unwrap();
    assert_eq!(
        told,
        json!({"Id": container('a'), "HostConfig": {"Memory": 0}})
    );
}

#[tokio::test]
async fn a_command_without_input_is_answered_in_one() {
    let server = Server::reading(view()).await;
    let path = format!("{WEB}/exec");
    let body = json!({"cmd": ["say", "grüße"]});
    let answer: Value = server.client.post(&path, &body).await.unwrap();
    assert_eq!(answer, json!([["grüße"], ["\u{fffd}"], 0]));
    let body = json!({"cmd": ["nothing"]});
    let wrong = server.client.post::<_, Value>(&path, &body).await;
    let wrong = wrong.unwrap_err();
    assert_eq!(wrong.message, "there is no such command");
}

#[tokio::test]
async fn what_is_no_mistake_of_the_request_is_not_answered_as_one() {
    let server = Server::reading(view()).await;
    for (command, status, kind) in [
        ("nothing", 422, ErrorKind::Invalid),
        ("stopped", 409, ErrorKind::Invalid),
        ("broken", 502, ErrorKind::Unreachable),
        ("busy", 503, ErrorKind::Busy),
    ] {
        let body = json!({"cmd": [command]});
        let path = format!("{WEB}/exec");
        let refused = server.client.post::<_, Value>(&path, &body).await;
        let refused = refused.unwrap_err();
        assert_eq!(
            (refused.status, refused.kind),
            (Some(status), kind),
            "{command}"
        );
    }
}

#[tokio::test]
async fn what_would_be_ignored_is_refused() {
    let server = Server::reading(view()).await;
    let path = format!("{WEB}/exec");
    for field in ["stdin", "shell"] {
        let body = json!({"cmd": ["say", "a"], field: true});
        let refused = server.client.post::<_, Value>(&path, &body).await;
        assert_eq!(refused.unwrap_err().status, Some(422), "{field}");
    }
    let refused = refused(&server, &format!("{path}?stdin=1")).await;
    assert_eq!(refused.status, Some(422));
}

#[tokio::test]
async fn a_container_that_does_not_run_or_whose_node_is_cut_off_is_told_apart() {
    let mut view = view();
    let hash = view.documents.services[&key("shop/web")].latest.hash;
    let stopped = hold(hash, 'a', InstanceState::Stopped, Health::Unknown);
    let running = hold(hash, 'b', InstanceState::Running, Health::Healthy);
    add_report(&mut view, 1, Freshness::Fresh, &[("shop/web-1", stopped)]);
    add_report(&mut view, 2, Freshness::Fresh, &[("shop/web-2", running)]);
    let server = Server::reading(view).await;
    for (name, status) in [("alpha/shop.web-1", 409), ("beta/shop.web-2", 502)] {
        let path = format!("/v1/containers/home/{name}/exec");
        assert_eq!(refused(&server, &path).await.status, Some(status), "{name}");
        let body = json!({"cmd": ["say", "a"]});
        let ran = server.client.post::<_, Value>(&path, &body).await;
        assert_eq!(ran.unwrap_err().status, Some(status), "{name}");
    }
}

type Socket = WebSocketStream<TcpStream>;

async fn socket(server: &Server, query: &str) -> Result<Socket, Error> {
    let token = data_encoding::HEXLOWER.encode(&ADMIN_TOKEN);
    let url = format!("ws://{}{WEB}/exec{query}", server.tcp);
    let mut request = url.into_client_request().unwrap();
    let bearer = format!("Bearer {token}").parse().unwrap();
    request.headers_mut().insert("authorization", bearer);
    let stream = TcpStream::connect(server.tcp).await.unwrap();
    let (socket, _) = client_async(request, stream).await?;
    Ok(socket)
}

async fn say(socket: &mut Socket, word: Value) {
    let text = Message::Text(word.to_string().into());
    socket.send(text).await.unwrap();
}

/// Everything until the close, and its code.
async fn to_the_end(mut socket: Socket) -> (Vec<Value>, u16) {
    let mut told = Vec::new();
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Text(text) => told.push(serde_json::from_str(&text).unwrap()),
            Message::Close(frame) => return (told, frame.unwrap().code.into()),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn kontenas_clients_type_into_a_command_and_read_what_it_writes() {
    let server = Server::reading(view()).await;
    let mut socket = socket(&server, "?interactive=true&tty=true&shell=true")
        .await
        .unwrap();
    say(
        &mut socket,
        json!({"tty_size": {"width": 80, "height": 24}}),
    )
    .await;
    say(&mut socket, json!({"cmd": ["cat"]})).await;
    say(
        &mut socket,
        json!({"tty_size": {"width": 100, "height": 30}}),
    )
    .await;
    say(&mut socket, json!({"stdin": "hello"})).await;
    say(&mut socket, json!({"stdin": null})).await;
    let (told, code) = to_the_end(socket).await;
    let chunk = json!({"stream": "stdout", "chunk": "hello"});
    assert_eq!(told, [chunk, json!({"exit": 0})]);
    assert_eq!(code, 1000);
    let size = |width, height| Size { width, height };
    let asked = Start {
        command: vec!["cat".to_owned()],
        shell: true,
        tty: true,
        stdin: true,
        size: Some(size(80, 24)),
        environment: Vec::new(),
    };
    assert_eq!(*server.containers.asked.lock().unwrap(), [asked]);
    assert_eq!(*server.containers.resized.lock().unwrap(), [size(100, 30)]);
}

#[tokio::test]
async fn a_character_that_comes_in_pieces_is_one_for_kontenas_clients() {
    let server = Server::reading(view()).await;
    let mut socket = socket(&server, "").await.unwrap();
    say(&mut socket, json!({"cmd": ["say", "ü€"]})).await;
    let (told, code) = to_the_end(socket).await;
    let chunk = |stream: &str, text: &str| json!({"stream": stream, "chunk": text});
    let expected = [
        chunk("stdout", "ü"),
        chunk("stdout", "€"),
        chunk("stderr", "\u{fffd}"),
        json!({"exit": 0}),
    ];
    assert_eq!((told.as_slice(), code), (&expected[..], 1000));
}

#[tokio::test]
async fn kontenas_clients_are_told_what_went_wrong() {
    let server = Server::reading(view()).await;
    let mut failing = socket(&server, "").await.unwrap();
    say(&mut failing, json!({"cmd": ["nothing"]})).await;
    let told = to_the_end(failing).await;
    assert_eq!(
        told,
        (vec![json!({"error": "there is no such command"})], 4000)
    );

    let mut garbled = socket(&server, "").await.unwrap();
    garbled.send(Message::Text("{".into())).await.unwrap();
    let (told, code) = to_the_end(garbled).await;
    assert_eq!((told.len(), code), (1, 4000));
}

#[tokio::test]
async fn a_message_that_is_too_long_ends_the_command() {
    let server = Server::reading(view()).await;
    let mut socket = socket(&server, "?interactive=true").await.unwrap();
    say(&mut socket, json!({"cmd": ["cat"]})).await;
    let mut over = server.containers.over.subscribe();
    let long = "x".repeat((1 << 20) + 1);
    // The server may have broken the connection before all of it is written.
    socket.send(Message::Text(long.into())).await.ok();
    over.wait_for(|over| *over == 1).await.unwrap();
}

#[tokio::test]
async fn a_stranger_gets_no_socket() {
    let server = Server::reading(view()).await;
    let url = format!("ws://{}{WEB}/exec", server.tcp);
    let stream = TcpStream::connect(server.tcp).await.unwrap();
    match client_async(url, stream).await {
        Err(Error::Http(response)) => assert_eq!(response.status(), 401),
        other => panic!("{other:?}"),
    }
}
