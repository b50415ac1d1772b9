//! JSON over HTTP on a unix socket: the same few lines ask kontena's daemon and a Docker engine, so that
//! both are timed with the same ruler. The connection is kept, as a client library would.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::sync::Mutex;

/// A join dials another node and a container's removal unmounts; nothing here takes longer.
const LIMIT: Duration = Duration::from_secs(60);

/// Whoever listens on one socket.
#[derive(Debug)]
pub(crate) struct Endpoint {
    socket: PathBuf,
    connection: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

impl Endpoint {
    pub(crate) fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
            connection: Mutex::default(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        self.ask(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.ask(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<Value> {
        self.ask(Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Value> {
        self.ask(Method::DELETE, path, None).await
    }

    /// The answer's JSON, null where it has no body. Any refusal is an error.
    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let asked = format!("{method} {path} at `{}`", self.socket.display());
        let (status, bytes) = tokio::time::timeout(LIMIT, self.exchange(method, path, body))
            .await
            .with_context(|| format!("no answer to {asked}"))?
            .with_context(|| format!("failed to ask {asked}"))?;
        if !status.is_success() && status != StatusCode::NOT_MODIFIED {
            bail!("{asked}: {status}: {}", String::from_utf8_lossy(&bytes));
        }
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).with_context(|| format!("{asked}: the answer is no JSON"))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Bytes)> {
        let mut kept = self.connection.lock().await;
        let mut connection = match kept.take() {
            Some(connection) if connection.is_ready() => connection,
            Some(_) | None => self.connect().await?,
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("Host", "localhost");
        if body.is_some() {
            request = request.header("Content-Type", "application/json");
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = request.body(Full::new(Bytes::from(body)))?;
        let answer = connection.send_request(request).await?;
        let status = answer.status();
        let bytes = answer.into_body().collect().await?.to_bytes();
        // Ready again once its task has seen the end of the answer.
        if connection.ready().await.is_ok() {
            *kept = Some(connection);
        }
        Ok((status, bytes))
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>> {
        let stream = UnixStream::connect(&self.socket).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Its failure is the request's failure.
        tokio::spawn(connection);
        Ok(sender)
    }
}
