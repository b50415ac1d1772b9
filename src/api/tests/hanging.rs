//! Clients that hang, talk nonsense or send without end: what they take is bounded, and others are answered.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::fixture::{ADMIN_TOKEN, Server, raw, view};
use crate::api::client::Client;
use crate::api::target::Target;
use crate::api::types::MAX_BODY_BYTES;

/// Far above what an answer takes, far below the patience of the server.
const SOON: Duration = Duration::from_secs(10);
/// What lies in the sockets of both sides beside the body that is taken.
const MOST_TAKEN: usize = 16 << 20;

fn token() -> String {
    data_encoding::HEXLOWER.encode(&ADMIN_TOKEN)
}

fn client(server: &Server) -> Client {
    Client::new(Target::Tcp {
        authority: server.tcp.to_string(),
        token: Some(token()),
    })
}

/// That the server answers, over both ways.
async fn answers(server: &Server) {
    let asked = async {
        let _: Value = server.client.get("/v1/grids/home").await.unwrap();
        let _: Value = client(server).get("/v1/grids/home").await.unwrap();
    };
    timeout(SOON, asked).await.expect("others are answered");
}

async fn connected(server: &Server) -> TcpStream {
    TcpStream::connect(server.tcp).await.unwrap()
}

#[tokio::test]
async fn clients_that_hang_half_way_through_anything_keep_nobody_waiting() {
    let server = Server::reading(view()).await;
    let token = token();
    let half_a_body = format!(
        "POST /v1/services/home/shop/web/scale HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: 100\r\n\r\n{{\"inst"
    );
    let half_a_chunk = format!(
        "POST /v1/init HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\
         Transfer-Encoding: chunked\r\n\r\nffff\r\n{{"
    );
    let begun = [
        "",
        "GE",
        "GET /v1/gr",
        "GET / HTTP/1.1\r\nHost: a\r\nX-",
        &half_a_body,
        &half_a_chunk,
    ];
    let mut hanging = Vec::new();
    for text in begun.iter().cycle().take(50) {
        let mut stream = connected(&server).await;
        stream.write_all(text.as_bytes()).await.unwrap();
        hanging.push(stream);
        if hanging.len() % 10 == 0 {
            answers(&server).await;
        }
    }
    answers(&server).await;
}

#[tokio::test]
async fn one_address_cannot_take_all_places() {
    let server = Server::reading(view()).await;
    let mut hanging = Vec::new();
    for _ in 0..300 {
        hanging.push(connected(&server).await);
    }
    // Those that are too many are closed, not left to wait.
    let mut last = hanging.pop().unwrap();
    let end = timeout(SOON, last.read(&mut [0; 1]))
        .await
        .expect("it is closed");
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");

    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = socket.connect(server.tcp).await.unwrap();
    let ping = b"GET /v1/ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    other.write_all(ping).await.unwrap();
    let mut answer = String::new();
    let read = timeout(SOON, other.read_to_string(&mut answer)).await;
    read.expect("another address is answered").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let _: Value = server.client.get("/v1/grids/home").await.unwrap();
}

#[tokio::test]
async fn garbage_is_refused_or_cut_off() {
    let server = Server::reading(view()).await;
    let long_header = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(1 << 20));
    let many_headers = format!("GET / HTTP/1.1\r\n{}\r\n", "X: a\r\n".repeat(1_000));
    let long_path = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(1 << 18));
    let garbage: [&[u8]; 9] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nno header\r\n\r\n",
        b"POST /v1/init HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        long_header.as_bytes(),
        many_headers.as_bytes(),
        long_path.as_bytes(),
    ];
    for bytes in garbage {
        let mut stream = connected(&server).await;
        // The server may close before all of it is written.
        let written = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let read = timeout(SOON, stream.read_to_end(&mut answer)).await;
        let read = read.expect("nobody waits for more of it");
        let shown = String::from_utf8_lossy(bytes)
            .chars()
            .take(40)
            .collect::<String>();
        let is_refused = answer.starts_with(b"HTTP/1.1 4") || answer.starts_with(b"HTTP/1.0 4");
        assert!(
            is_refused || answer.is_empty(),
            "{shown}: {answer:?} {written:?} {read:?}"
        );
        answers(&server).await;
    }
}

/// Sends a body of 100 MB for as long as it is taken: how much was, and what was answered.
async fn flood(server: &Server, head: String, piece: &[u8]) -> (usize, String) {
    let stream = connected(server).await;
    let (mut from, mut to) = stream.into_split();
    let sending = async move {
        to.write_all(head.as_bytes()).await.ok()?;
        let mut taken = 0;
        while taken < 100_000_000 {
            match timeout(Duration::from_secs(2), to.write_all(piece)).await {
                Ok(Ok(())) => taken += piece.len(),
                Ok(Err(_)) | Err(_) => break,
            }
        }
        Some(taken)
    };
    let reading = async move {
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(Ok(read @ 1..)) = timeout(SOON, from.read(&mut buffer)).await {
            answer.extend_from_slice(&buffer[..read]);
        }
        String::from_utf8_lossy(&answer).into_owned()
    };
    let (taken, answer) = tokio::join!(sending, reading);
    (taken.unwrap_or(0), answer)
}

#[tokio::test]
async fn of_100_mb_no_more_is_taken_than_a_body_may_have() {
    let server = Server::reading(view()).await;
    let token = token();
    let head = |method_and_path: &str, length: &str| {
        format!(
            "{method_and_path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n{length}\r\n\r\n"
        )
    };
    let plain = vec![b' '; 64 << 10];
    let chunk = [b"10000\r\n".as_slice(), &plain, b"\r\n"].concat();
    for (what, length, piece) in [
        ("POST /v1/init", "Content-Length: 100000000", &plain),
        ("POST /v1/init", "Transfer-Encoding: chunked", &chunk),
        (
            "POST /v1/services/home/shop/web/stop",
            "Transfer-Encoding: chunked",
            &chunk,
        ),
        ("GET /v1/grids/home", "Content-Length: 100000000", &plain),
        ("DELETE /v1/nothing", "Transfer-Encoding: chunked", &chunk),
    ] {
        let (taken, answer) = flood(&server, head(what, length), piece).await;
        assert!(
            taken < MOST_TAKEN,
            "{what}, {length}: {taken} bytes were taken"
        );
        if what.starts_with("POST") && !answer.is_empty() {
            assert!(
                answer.starts_with("HTTP/1.1 413 "),
                "{what}, {length}: {answer}"
            );
        }
        answers(&server).await;
    }
}

#[tokio::test]
async fn a_stranger_s_body_is_not_read() {
    let server = Server::reading(view()).await;
    let head = "POST /v1/init HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n".to_owned();
    let (taken, answer) = flood(&server, head, &vec![b' '; 64 << 10]).await;
    assert!(taken < MOST_TAKEN, "{taken}");
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 401 "),
        "{answer}"
    );
    answers(&server).await;
}

#[tokio::test]
async fn a_body_that_goes_on_beyond_its_limit_is_answered_and_a_stranger_s_at_once() {
    let server = Server::reading(view()).await;
    let known = format!("Authorization: Bearer {}\r\n", token());
    // No more is sent than has to be read: what nobody reads would break the connection before the answer.
    let too_long = vec![b' '; MAX_BODY_BYTES + 1];
    for (who, body, status) in [(known.as_str(), &*too_long, "413"), ("", b"", "401")] {
        let mut stream = connected(&server).await;
        let head =
            format!("POST /v1/init HTTP/1.1\r\nHost: a\r\n{who}Content-Length: 100000000\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        let mut line = [0; 13];
        let read = timeout(SOON, stream.read_exact(&mut line)).await;
        read.expect("it is answered").unwrap();
        let line = String::from_utf8_lossy(&line).into_owned();
        assert_eq!(line, format!("HTTP/1.1 {status} "));
    }
}

#[tokio::test]
async fn a_body_that_nests_too_deeply_is_refused() {
    let server = Server::reading(view()).await;
    let deep = "{\"a\":".repeat(100_000);
    let request = format!(
        "POST /v1/grids/home/stacks HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{deep}",
        deep.len()
    );
    let answer = raw(&server, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 422 "), "{answer}");
    answers(&server).await;
}
