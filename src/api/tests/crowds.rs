//! More connections than there are places for: each is told so, and a place that is free again is given away.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::fixture::{ADMIN_TOKEN, Server, view};
use crate::api::client::ApiError;
use crate::api::routes::handover::Handovers;
use crate::api::server::limits::Limits;
use crate::api::types::error::ErrorKind;
use crate::api::types::exec::{EXEC, Said, Start, asking};

/// Far above what an answer takes.
const SOON: Duration = Duration::from_secs(10);
const PING: &[u8] = b"GET /v1/ping HTTP/1.1\r\nHost: a\r\n\r\n";
const COMMAND: &str = "/v1/containers/home/alpha/shop.web-1/exec";

fn few() -> Limits {
    Limits {
        of_one_host: 2,
        farewells: 1,
        farewell: Duration::from_millis(200),
        ..Limits::default()
    }
}

/// A connection that was answered, and is kept.
async fn kept(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.tcp).await.unwrap();
    stream.write_all(PING).await.unwrap();
    let mut line = [0; 13];
    let read = timeout(SOON, stream.read_exact(&mut line)).await;
    read.expect("it is answered").unwrap();
    assert_eq!(&line, b"HTTP/1.1 200 ");
    stream
}

/// All that comes until the connection is closed.
async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = timeout(SOON, stream.read_to_end(&mut answer)).await;
    // Who is closed before he was read hears that his connection broke.
    let _ = read.expect("it is closed");
    String::from_utf8(answer).unwrap()
}

async fn pinged(server: &Server) -> String {
    let mut stream = TcpStream::connect(server.tcp).await.unwrap();
    if stream.write_all(PING).await.is_err() {
        return String::new();
    }
    let mut answer = vec![0; 4096];
    let read = timeout(SOON, stream.read(&mut answer)).await;
    let length = read.expect("it is answered or closed").unwrap_or(0);
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[tokio::test]
async fn a_host_with_too_many_connections_is_told_so_and_answered_again_once_one_has_ended() {
    let server = Server::limited(view(), few(), Handovers::default()).await;
    let first = kept(&server).await;
    let _second = kept(&server).await;

    let mut third = TcpStream::connect(server.tcp).await.unwrap();
    third.write_all(PING).await.unwrap();
    let answer = rest(&mut third).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["error"]["kind"], "busy");
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains("2 connections"), "{message}");

    drop(first);
    let until = Instant::now() + SOON;
    loop {
        let answer = pinged(&server).await;
        if answer.starts_with("HTTP/1.1 200 ") {
            return;
        }
        assert!(Instant::now() < until, "{answer}");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn who_is_one_too_many_and_asks_for_nothing_is_closed_and_takes_no_place_of_others() {
    let server = Server::limited(view(), few(), Handovers::default()).await;
    let (_first, _second) = (kept(&server).await, kept(&server).await);
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(server.tcp).await.unwrap());
    }
    for stream in &mut silent {
        let answer = rest(stream).await;
        assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    }
    let _: Value = server.client.get("/v1/grids/home").await.unwrap();
}

async fn command(server: &Server) -> Result<impl Sized + use<>, ApiError> {
    let connection = server.client.carried(COMMAND, EXEC).await?;
    let mut command = asking(connection);
    let start = Start {
        command: vec!["sleep".to_owned()],
        ..Start::default()
    };
    command.send(Said::Start(start)).await.unwrap();
    Ok(command.boxed_local())
}

#[tokio::test]
async fn more_connections_than_may_be_handed_over_are_refused_and_http_goes_on() {
    let server = Server::limited(view(), Limits::default(), Handovers::new(1)).await;
    let first = command(&server).await.unwrap();

    let refused = command(&server).await.err().unwrap();
    assert_eq!(refused.status, Some(503));
    assert_eq!(refused.kind, ErrorKind::Busy);
    assert!(refused.message.contains("1 connections"), "{refused}");
    let token = data_encoding::HEXLOWER.encode(&ADMIN_TOKEN);
    let upgrade = format!(
        "GET {COMMAND} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let mut socket = TcpStream::connect(server.tcp).await.unwrap();
    socket.write_all(upgrade.as_bytes()).await.unwrap();
    let mut line = [0; 13];
    let read = timeout(SOON, socket.read_exact(&mut line)).await;
    read.expect("it is answered").unwrap();
    assert_eq!(&line, b"HTTP/1.1 503 ");
    let _: Value = server.client.get("/v1/grids/home").await.unwrap();

    drop(first);
    let until = Instant::now() + SOON;
    while let Err(refused) = command(&server).await {
        assert!(Instant::now() < until, "{refused}");
        sleep(Duration::from_millis(10)).await;
    }
}
