//! The engine asked over a connection of our own: one that it hands over to a command, and answers as they are.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::handshake;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use kontena_core::reconcile::action::ContainerId;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::{Docker, ExecId, ExecOptions, READ_LIMIT};
use crate::docker::trouble::Trouble;

/// A connection that is a command's.
pub(crate) type Hijacked = TokioIo<Upgraded>;

/// What an engine tells of one container, with the largest labels and environments that it takes.
const MAX_ANSWER: usize = 8 << 20;

impl Docker {
    pub(super) async fn start_exec(
        &self,
        id: &ExecId,
        options: &ExecOptions,
    ) -> Result<Hijacked, Trouble> {
        let mut body = json!({"Detach": false, "Tty": options.tty});
        if let Some((width, height)) = options.size.filter(|_| options.tty) {
            // Since API 1.42; older engines pass over it.
            body["ConsoleSize"] = json!([height, width]);
        }
        self.hijack(&format!("/exec/{}/start", id.0), body.to_string())
            .await
    }

    /// The input and output of a container's program, from now on.
    pub(in crate::docker) async fn attach_to(
        &self,
        container: &ContainerId,
        options: &ExecOptions,
    ) -> Result<Hijacked, Trouble> {
        let input = if options.stdin { "&stdin=1" } else { "" };
        let path = format!(
            "/containers/{}/attach?stream=1&stdout=1&stderr=1{input}",
            container.0
        );
        self.hijack(&path, String::new()).await
    }

    async fn hijack(&self, path: &str, body: String) -> Result<Hijacked, Trouble> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(HOST, "docker")
            .header(CONTENT_TYPE, "application/json")
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "tcp")
            .body(Full::new(Bytes::from(body)));
        let started = async {
            let response = self.answer(request.map_err(broken)?).await?;
            match response.status() {
                StatusCode::SWITCHING_PROTOCOLS => {
                    let upgraded = hyper::upgrade::on(response).await;
                    upgraded.map(TokioIo::new).map_err(broken)
                }
                status => Err(said(status, &whole(response).await?)),
            }
        };
        bounded(started).await
    }

    /// What a path tells, as JSON.
    pub(super) async fn read(&self, path: &str) -> Result<Value, Trouble> {
        let request = Request::builder()
            .uri(path)
            .header(HOST, "docker")
            .body(Full::new(Bytes::new()));
        let read = async {
            let response = self.answer(request.map_err(broken)?).await?;
            let status = response.status();
            let bytes = whole(response).await?;
            match status.is_success() {
                true => serde_json::from_slice(&bytes).map_err(broken),
                false => Err(said(status, &bytes)),
            }
        };
        bounded(read).await
    }

    async fn answer(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Trouble> {
        let address = self.address();
        if let Some(path) = address.strip_prefix("unix://") {
            return exchange(UnixStream::connect(path).await.map_err(broken)?, request).await;
        }
        let authority = address.split_once("://").map_or(address, |(_, rest)| rest);
        let authority = authority.trim_end_matches('/');
        exchange(
            TcpStream::connect(authority).await.map_err(broken)?,
            request,
        )
        .await
    }
}

async fn exchange<I>(io: I, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Trouble>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = handshake(TokioIo::new(io)).await.map_err(broken)?;
    tokio::spawn(async move {
        // Its failure reaches the request or the body as an error too.
        if let Err(problem) = connection.with_upgrades().await {
            tracing::debug!(%problem, "A connection to the engine ended");
        }
    });
    sender.send_request(request).await.map_err(broken)
}

async fn whole(response: Response<Incoming>) -> Result<Bytes, Trouble> {
    let body = Limited::new(response.into_body(), MAX_ANSWER)
        .collect()
        .await;
    let body = body.map_err(|problem| Trouble::Unreachable(problem.to_string()))?;
    Ok(body.to_bytes())
}

/// The engine's own words, `{"message": …}`.
fn said(status: StatusCode, body: &[u8]) -> Trouble {
    let told: Option<Value> = serde_json::from_slice(body).ok();
    let message = told.as_ref().and_then(|it| it.get("message")?.as_str());
    Trouble::Refused {
        status: status.as_u16(),
        message: message.unwrap_or("it does not say why").to_owned(),
    }
}

fn broken(problem: impl std::fmt::Display) -> Trouble {
    Trouble::Unreachable(problem.to_string())
}

async fn bounded<T>(work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    let silent = |_| Trouble::Unreachable(format!("no answer in {} s", READ_LIMIT.as_secs()));
    timeout(READ_LIMIT, work).await.map_err(silent)?
}
