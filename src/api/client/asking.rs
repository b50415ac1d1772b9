//! One request to one node, and its answer.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout};

use super::{ApiError, READ_LIMIT};
use crate::api::target::Target;
use crate::api::types::MAX_BODY_BYTES;

/// A node on the same host answers at once; one across the world in a round trip.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// An answer that is larger is a mistake: 200 nodes with 100 services each are about 20 MiB.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// A request for the log of `--debug`. Of what was sent, only the path: bodies and headers hold tokens.
struct Asked {
    request: String,
    began: Instant,
}

impl Asked {
    fn now(method: &Method, path: &str) -> Self {
        Self {
            request: format!("{method} {path}"),
            began: Instant::now(),
        }
    }

    fn tell(&self, answer: &Result<Response<Incoming>, ApiError>) {
        let Self { request, began } = self;
        let millis = began.elapsed().as_millis();
        match answer {
            Ok(response) => {
                let status = response.status().as_u16();
                tracing::debug!(%request, status, millis, "The API answered");
            }
            Err(problem) => tracing::debug!(%request, %problem, millis, "The API did not answer"),
        }
    }
}

/// A node that is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking<'t>(pub(super) &'t Target);

impl Asking<'_> {
    pub(super) async fn exchange<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        limit: Duration,
    ) -> Result<T, ApiError> {
        let answered = async {
            let response = self.ask(method, path, body).await?;
            if !response.status().is_success() {
                return Err(self.refusal(response).await);
            }
            let bytes = self.whole(response.into_body()).await?;
            serde_json::from_slice(&bytes).map_err(|problem| ApiError::unreadable(&problem))
        };
        timeout(limit, answered)
            .await
            .map_err(|_| ApiError::silent(self.0, limit))?
    }

    /// The connection, handed over to a protocol: what is written goes to whatever the path leads to.
    pub(super) async fn carried(
        &self,
        path: &str,
        protocol: &'static str,
    ) -> Result<TokioIo<Upgraded>, ApiError> {
        let asked = Asked::now(&Method::GET, path);
        let mut request = self.request(Method::GET, path, Bytes::new())?;
        let headers = request.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static(protocol));
        let answer = timeout(READ_LIMIT, self.exchanged(request)).await;
        let answer = answer.map_err(|_| ApiError::silent(self.0, READ_LIMIT))?;
        asked.tell(&answer);
        let response = answer?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(self.refusal(response).await);
        }
        let upgraded = hyper::upgrade::on(response).await;
        let upgraded = upgraded.map_err(|problem| ApiError::broken(self.0, &problem))?;
        Ok(TokioIo::new(upgraded))
    }

    /// The body of an answer that goes on.
    pub(super) async fn open(&self, path: &str) -> Result<Incoming, ApiError> {
        let asked = self.ask(Method::GET, path, Bytes::new());
        let response = timeout(READ_LIMIT, asked)
            .await
            .map_err(|_| ApiError::silent(self.0, READ_LIMIT))??;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        Ok(response.into_body())
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, ApiError> {
        let asked = Asked::now(&method, path);
        let request = self.request(method, path, body)?;
        let answer = self.exchanged(request).await;
        asked.tell(&answer);
        answer
    }

    async fn exchanged(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, ApiError> {
        let mut sender = self.connect().await?;
        sender
            .send_request(request)
            .await
            .map_err(|problem| ApiError::broken(self.0, &problem))
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, ApiError> {
        // A server that stops reading half-way may break the connection before its answer is read.
        if body.len() > MAX_BODY_BYTES {
            return Err(ApiError::too_large(MAX_BODY_BYTES));
        }
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.0.host())
            .header(ACCEPT, "application/json");
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(token) = self.0.token() {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| ApiError::token_form())?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        request
            .body(Full::new(body))
            .map_err(|problem| ApiError::malformed(path, &problem))
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, ApiError> {
        let connected = async {
            match self.0 {
                Target::Socket(path) => open(UnixStream::connect(path).await).await,
                Target::Tcp { authority, .. } => open(TcpStream::connect(authority).await).await,
            }
        };
        timeout(CONNECT_LIMIT, connected)
            .await
            .map_err(|_| ApiError::unopened(self.0, CONNECT_LIMIT))?
            .map_err(|problem| ApiError::unconnected(self.0, &problem))
    }

    async fn whole(&self, body: Incoming) -> Result<Bytes, ApiError> {
        Limited::new(body, MAX_ANSWER_BYTES)
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
            .map_err(|problem| ApiError::broken(self.0, problem.as_ref()))
    }

    async fn refusal(&self, response: Response<Incoming>) -> ApiError {
        let status = response.status().as_u16();
        match timeout(READ_LIMIT, self.whole(response.into_body())).await {
            Ok(Ok(bytes)) => ApiError::answered(status, &bytes),
            Ok(Err(problem)) => problem,
            Err(_) => ApiError::silent(self.0, READ_LIMIT),
        }
    }
}

/// The HTTP side of a fresh connection; its driver ends with the exchange.
async fn open<I>(connected: std::io::Result<I>) -> std::io::Result<SendRequest<Full<Bytes>>>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(connected?))
        .await
        .map_err(std::io::Error::other)?;
    tokio::spawn(async move {
        // Its failure reaches the request or the body as an error too.
        if let Err(problem) = connection.with_upgrades().await {
            tracing::debug!(%problem, "API connection ended");
        }
    });
    Ok(sender)
}
