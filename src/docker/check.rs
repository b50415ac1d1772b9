//! Asking a container once whether it does its work.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use kontena_core::reconcile::action::{CheckTarget, Failure, Outcome, Success};
use tokio::net::TcpStream;

use super::Docker;
use super::command::Ran;

/// As in Kontena, where the agent asked.
const AGENT: &str = concat!("Kontena/", env!("CARGO_PKG_VERSION"));

/// How much of what a command says is told to everybody.
const MAX_SAID_BYTES: usize = 200;

impl Docker {
    pub(super) async fn check(&self, target: CheckTarget, limit: Duration) -> Outcome {
        match target {
            CheckTarget::Tcp { address, port } => within(limit, connect(address, port))
                .await
                .map(|_| Success::Done),
            CheckTarget::Http { address, port, uri } => {
                within(limit, ask(address, port, &uri)).await
            }
            CheckTarget::Exec { container, command } => {
                let Ran { code, output } = self.command(&container, &command, limit).await?;
                match code {
                    0 => Ok(Success::Done),
                    code => Err(not_ready(said(code, output.back()))),
                }
            }
        }
    }
}

/// What was asked, or that nothing came in time.
async fn within<T>(
    limit: Duration,
    asked: impl Future<Output = Result<T, String>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(limit, asked).await {
        Ok(answer) => answer.map_err(not_ready),
        Err(_) => Err(not_ready(format!("no answer in {} s", limit.as_secs()))),
    }
}

fn not_ready(problem: String) -> Failure {
    Failure::NotReady { problem }
}

async fn connect(address: IpAddr, port: u16) -> Result<TcpStream, String> {
    let connected = TcpStream::connect(SocketAddr::new(address, port)).await;
    connected.map_err(|error| format!("port {port}: {error}"))
}

/// The head of the answer says it all: the rest is not read, and a redirect not followed.
async fn ask(address: IpAddr, port: u16, uri: &str) -> Result<Success, String> {
    let stream = connect(address, port).await?;
    let failed = |error: hyper::Error| format!("GET {uri} on port {port}: {error}");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(failed)?;
    let request = Request::get(uri)
        .header(HOST, SocketAddr::new(address, port).to_string())
        .header(USER_AGENT, AGENT)
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("GET {uri}: {error}"))?;
    let (mut connection, mut is_open) = (pin!(connection), true);
    let mut answer = pin!(sender.send_request(request));
    let answer = loop {
        tokio::select! {
            answer = &mut answer => break answer,
            // What broke it is told to whoever waits for the answer.
            _ = &mut connection, if is_open => is_open = false,
        }
    };
    let status = answer.map_err(failed)?.status();
    match is_well(status) {
        true => Ok(Success::Done),
        false => Err(format!(
            "GET {uri} on port {port}: status {}",
            status.as_u16()
        )),
    }
}

fn is_well(status: StatusCode) -> bool {
    status.is_success() || status.is_redirection()
}

fn said(code: i64, last: Option<&String>) -> String {
    match last
        .map(|line| shortened(line))
        .filter(|line| !line.is_empty())
    {
        Some(line) => format!("the command ended with {code}: {line}"),
        None => format!("the command ended with {code}"),
    }
}

fn shortened(line: &str) -> &str {
    let mut end = line.len().min(MAX_SAID_BYTES);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line[..end].trim()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers one request with this, and hands over what it was asked.
    async fn server(answer: &'static str) -> (SocketAddr, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let read = stream.read(&mut asked).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&asked[..read]).into_owned()
        });
        (address, task)
    }

    async fn check(target: CheckTarget, limit: Duration) -> Outcome {
        let docker = Docker::connect(Some("/nowhere"), "kontena").unwrap();
        docker.check(target, limit).await
    }

    fn http(at: SocketAddr) -> CheckTarget {
        CheckTarget::Http {
            address: at.ip(),
            port: at.port(),
            uri: "/up?x=1".to_owned(),
        }
    }

    const LIMIT: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn a_status_below_400_is_well_and_a_redirect_is_not_followed() {
        for (answer, is_well) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", true),
            ("HTTP/1.0 204 No Content\r\n\r\n", true),
            (
                "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\n\r\n",
                true,
            ),
            ("HTTP/1.1 400 Bad Request\r\n\r\n", false),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n", false),
            ("SSH-2.0-OpenSSH_9.2\r\n", false),
            ("", false),
        ] {
            let (address, server) = server(answer).await;
            let outcome = check(http(address), LIMIT).await;
            assert_eq!(outcome.is_ok(), is_well, "{answer}: {outcome:?}");
            let asked = server.await.unwrap().to_ascii_lowercase();
            assert!(asked.starts_with("get /up?x=1 http/1.1\r\n"), "{asked}");
            assert!(asked.contains("user-agent: kontena/"), "{asked}");
        }
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_fails_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let before = Instant::now();
        let outcome = check(http(address), Duration::from_secs(1)).await;
        let problem = "no answer in 1 s".to_owned();
        assert_eq!(outcome, Err(Failure::NotReady { problem }));
        assert!(before.elapsed() < Duration::from_secs(5));
    }

    #[tokio::test]
    async fn a_port_that_accepts_is_well() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let target = || CheckTarget::Tcp {
            address: at.ip(),
            port: at.port(),
        };
        assert_eq!(check(target(), LIMIT).await, Ok(Success::Done));
        drop(listener);
        let refused = check(target(), LIMIT).await;
        assert!(matches!(refused, Err(Failure::NotReady { .. })));
    }

    #[test]
    fn what_a_command_said_last_is_told_in_short() {
        assert_eq!(said(2, None), "the command ended with 2");
        let long = "é".repeat(200);
        let told = said(1, Some(&long));
        assert!(told.len() < 240 && told.ends_with('é'), "{told}");
    }
}
