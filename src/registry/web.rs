//! HTTP and HTTPS as a client that trusts nobody: bounded size, time and redirects.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use ureq::http::{Response, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, Error};

/// How long an error of a server may be as it is told, in characters.
const MAX_REASON: usize = 300;

/// How far a server may send us on.
const MAX_REDIRECTS: u32 = 5;

/// What one answer may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Of a body, in bytes.
    pub(crate) bytes: u64,
    /// From the first look-up of a name to the last byte.
    pub(crate) time: Duration,
}

/// A stack file has a mebibyte at most; a search answers with some hundred bytes for each stack.
impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 4 << 20,
            time: Duration::from_secs(30),
        }
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) why: String,
    pub(crate) hint: Option<String>,
    /// What the server said, if it said something.
    pub(super) status: Option<u16>,
}

impl Refused {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            hint: None,
            status: None,
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
    Put,
    Delete,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accept {
    Json,
    Yaml,
    /// A text of the web.
    Anything,
}

impl Accept {
    fn header(self) -> &'static str {
        match self {
            Self::Json => JSON,
            Self::Yaml => "application/yaml",
            Self::Anything => "*/*",
        }
    }
}

const JSON: &str = "application/vnd.api+json";

#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) url: &'a str,
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) accept: Accept,
    pub(super) body: Option<&'a Value>,
    pub(super) token: Option<&'a str>,
}

#[derive(Debug)]
pub(crate) struct Web {
    limits: Limits,
}

impl Web {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits }
    }

    /// The text at an address.
    pub(crate) fn read(&self, url: &str) -> Result<String, Refused> {
        if !["http://", "https://"]
            .iter()
            .any(|scheme| url.starts_with(scheme))
        {
            return Err(Refused::new(format!("`{}` is not read", place(url)))
                .hint("addresses begin with `https://` or `http://`"));
        }
        self.ask(&Request {
            method: Method::Get,
            url,
            query: &[],
            accept: Accept::Anything,
            body: None,
            token: None,
        })
    }

    pub(super) fn ask(&self, asked: &Request<'_>) -> Result<String, Refused> {
        let agent = self.agent(asked);
        let answer = send(&agent, asked).map_err(|error| self.told(asked.url, &error))?;
        let status = answer.status();
        let forward = answer.headers().get(header::LOCATION);
        let forward = forward.and_then(|place| place.to_str().ok()).map(clean);
        let body = self.body(answer);
        if status.is_success() {
            return body.map_err(|error| self.told(asked.url, &error));
        }
        let mut why = format!("`{}` answered {status}", place(asked.url));
        // An error whose text cannot be read is one all the same.
        if let Some(reason) = reason(&body.unwrap_or_default()) {
            why.push_str(": ");
            why.push_str(&reason);
        }
        let refused = Refused {
            status: Some(status.as_u16()),
            ..Refused::new(why)
        };
        Err(match forward {
            Some(place) if status.is_redirection() => {
                refused.hint(format!("it names another place, `{place}`: ask there"))
            }
            Some(_) | None => refused,
        })
    }

    fn agent(&self, asked: &Request<'_>) -> Agent {
        // What is changed is sent to nobody but who was meant.
        let redirects = if asked.method == Method::Get {
            MAX_REDIRECTS
        } else {
            0
        };
        let is_safe = asked.url.starts_with("https://");
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .https_only(is_safe)
            .max_redirects(redirects)
            .max_redirects_will_error(asked.method == Method::Get)
            .timeout_global(Some(self.limits.time))
            .user_agent(concat!("kontena/", env!("CARGO_PKG_VERSION")));
        if is_safe {
            config.tls_config(trust())
        } else {
            config
        }
        .build()
        .into()
    }

    fn body(&self, mut answer: Response<Body>) -> Result<String, Error> {
        // One byte more than is allowed, so that a longer text is refused and never cut.
        let limit = self.limits.bytes.saturating_add(1);
        let mut bytes = Vec::new();
        let mut reader = answer.body_mut().as_reader().take(limit);
        reader.read_to_end(&mut bytes).map_err(Error::from)?;
        if bytes.len() as u64 > self.limits.bytes {
            return Err(Error::BodyExceedsLimit(self.limits.bytes));
        }
        String::from_utf8(bytes).map_err(|_| {
            Error::Io(std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                "the answer is not UTF-8",
            ))
        })
    }

    fn told(&self, url: &str, error: &Error) -> Refused {
        let what = format!("failed to read `{}`", place(url));
        let seconds = self.limits.time.as_secs_f32();
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "ureq's enum, which grows: what is not told in words of ours is told in its own"
        )]
        let why = match error {
            Error::Timeout(_) => format!("{what}: it took longer than {seconds} s"),
            Error::BodyExceedsLimit(limit) => {
                format!("{what}: the answer is longer than {limit} bytes")
            }
            Error::TooManyRedirects => {
                format!("{what}: it sends us on more than {MAX_REDIRECTS} times")
            }
            other => format!("{what}: {}", clean(&other.to_string())),
        };
        let refused = Refused::new(why);
        match is_about_certificates(error) {
            true => refused.hint("a certificate of your own counts where `SSL_CERT_FILE` names it"),
            false => refused,
        }
    }
}

fn is_about_certificates(error: &Error) -> bool {
    matches!(error, Error::Rustls(_) | Error::Tls(_))
        || matches!(error, Error::Io(problem) if problem.to_string().contains("certificate"))
}

fn send(agent: &Agent, asked: &Request<'_>) -> Result<Response<Body>, Error> {
    let pairs = || asked.query.iter().copied();
    let with_body = match asked.method {
        Method::Get => {
            let request = agent.get(asked.url).query_pairs(pairs());
            return signed(request, asked).call();
        }
        Method::Delete => {
            let request = agent.delete(asked.url).query_pairs(pairs());
            return signed(request, asked).call();
        }
        Method::Post => agent.post(asked.url),
        Method::Put => agent.put(asked.url),
    };
    let body = asked.body.map(ToString::to_string).unwrap_or_default();
    signed(with_body.query_pairs(pairs()), asked)
        .header(header::CONTENT_TYPE, JSON)
        .send(body)
}

fn signed<B>(request: ureq::RequestBuilder<B>, asked: &Request<'_>) -> ureq::RequestBuilder<B> {
    let request = request.header(header::ACCEPT, asked.accept.header());
    match asked.token {
        Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
        None => request,
    }
}

/// Whom this machine trusts, as everything else on it does.
fn trust() -> TlsConfig {
    let found = rustls_native_certs::load_native_certs();
    let roots: Vec<Certificate<'static>> = found
        .certs
        .iter()
        .map(|certificate| Certificate::from_der(certificate).to_owned())
        .collect();
    TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build()
}

/// What a server says is wrong: JSON:API's `errors`, Kontena's `error`, or the first line of a text.
fn reason(body: &str) -> Option<String> {
    let told = match serde_json::from_str::<Value>(body) {
        Ok(value) => reason_of(&value)?,
        Err(_) if body.trim_start().starts_with('<') => return None,
        Err(_) => body.lines().next()?.to_owned(),
    };
    let told = clean(&told);
    (!told.is_empty()).then_some(told)
}

fn reason_of(value: &Value) -> Option<String> {
    if let Some(errors) = value.get("errors").and_then(Value::as_array) {
        let texts = errors.iter().filter_map(|error| {
            let text = error.get("detail").or_else(|| error.get("title"));
            text.and_then(Value::as_str)
        });
        return Some(texts.collect::<Vec<_>>().join("; "));
    }
    let error = value.get("error")?;
    let text = error.as_str().map(str::to_owned);
    Some(text.unwrap_or_else(|| error.to_string()))
}

/// As much of it as a person wants to read, without anything that a terminal would obey.
fn clean(text: &str) -> String {
    let text = text.trim().chars().filter(|c| !c.is_control());
    text.take(MAX_REASON).collect()
}

/// An address without what may be secret in it.
fn place(url: &str) -> String {
    let place = url.split(['?', '#']).next().unwrap_or_default();
    match place.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = host.rsplit('@').next().unwrap_or_default();
            clean(&format!("{scheme}://{host}/{path}"))
        }
        None => clean(place),
    }
}

/// A text as a part of a path.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}
