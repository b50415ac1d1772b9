//! The Docker edge: carries out one [`Action`] at a time, and watches what really runs.
//!
//! In: actions of the core, each naming everything. Out: an [`Outcome`] for each of them
//! ([`Docker::carry_out`]), what the engine shows ([`Docker::watch`]) and what containers wrote
//! ([`Docker::logs`]). Every call is bounded in time. Connecting is lazy, so the engine may be down
//! when the daemon starts; after a break the API version is negotiated again, because the engine may
//! have been upgraded meanwhile.
//!
//! Not here: any choice. Which container, which image, when and how often again is `reconcile`'s.

mod actions;
mod arrival;
mod check;
mod command;
mod container;
mod contents;
#[cfg(test)]
pub(crate) mod engine_tests;
mod exec;
mod fencing;
mod hook;
mod labels;
mod login;
mod logs;
mod meaning;
mod network;
mod newest;
mod one_off;
mod process;
mod pull;
mod spec;
mod throw_away;
mod trouble;
mod usage;
mod volume;
mod watch;

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use bollard::API_DEFAULT_VERSION;
use bollard::auth::DockerCredentials;
use bollard::errors::Error;
use hyper::http::{HeaderMap, HeaderValue};

pub(crate) use contents::{Carrier, MountWatch, Staged, Tar, TarProblem, User};
pub(crate) use exec::{ExecOptions, NotStarted, Piece};
pub(crate) use login::{Login, Logins};
pub(crate) use logs::{LogLine, LogOptions, LogStream};
pub(crate) use network::{BridgeNetwork, Ensured, Removed};
pub(crate) use process::{Process, Running};
pub(crate) use usage::Usage;
pub(crate) use watch::Watch;

use crate::fence::Fences;
use contents::claims::Claims;
use fencing::Grouping;
use login::NoLogins;
use trouble::Trouble;

/// Where Docker listens unless it is told otherwise.
pub(crate) const STANDARD_SOCKET: &str = "unix:///var/run/docker.sock";

/// The header that a registry's name and password are told in.
const CREDENTIALS: &str = "x-registry-auth";

/// For calls that read: they take about 2 ms on an idle engine, and seconds on one that swaps.
const READ_LIMIT: Duration = Duration::from_secs(10);

/// For calls that make, start or remove a container: 0.4 s together on an idle engine, and up to a
/// minute on a disk that is busy pulling.
const CHANGE_LIMIT: Duration = Duration::from_secs(120);

/// Bollard's own limit, out of the way: it bounds the head of an answer only, and must not cut a
/// stop with a long grace, or a log that is quiet for hours.
const OUT_OF_THE_WAY: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A Docker engine, there or not. Clones share one negotiated client.
#[derive(Clone)]
pub(crate) struct Docker {
    address: Arc<str>,
    /// The grid's network on this engine.
    network: Arc<str>,
    client: Arc<Mutex<Option<bollard::Docker>>>,
    logins: Arc<dyn Logins>,
    /// What runs under a lease starts as these say.
    fences: Fences,
    /// Of the engine that is connected.
    grouping: Arc<Mutex<Option<Grouping>>>,
    /// Shared by whoever makes volumes, and makes or starts what mounts them; held alone by who removes or replaces one.
    mounting: Arc<tokio::sync::RwLock<()>>,
    /// Copies that are read or replaced.
    claims: Claims,
    /// Tells what this life of the daemon made from what is left of others.
    life: Arc<str>,
    /// One-off containers that somebody waits for.
    awaited: one_off::AwaitedNames,
}

impl fmt::Debug for Docker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Docker({})", self.address)
    }
}

impl Docker {
    /// The engine at `address`, as in `DOCKER_HOST`: `unix:///path`, `/path`, `tcp://host:port` or
    /// `http://host:port`; [`STANDARD_SOCKET`] where there is none. Nothing is sent yet. An address
    /// of another form is an error.
    /// Containers of the grid's network are attached to the one called `network`.
    pub(crate) fn connect(address: Option<&str>, network: &str) -> anyhow::Result<Self> {
        let address = match address.map(str::trim).filter(|raw| !raw.is_empty()) {
            None => STANDARD_SOCKET.to_owned(),
            Some(path) if path.starts_with('/') => format!("unix://{path}"),
            Some(raw) => raw.to_owned(),
        };
        check_address(&address)?;
        Ok(Self {
            address: address.into(),
            network: network.into(),
            client: Arc::default(),
            logins: Arc::new(NoLogins),
            fences: Fences::none(),
            grouping: Arc::default(),
            mounting: Arc::default(),
            claims: Claims::default(),
            life: contents::random()?.into(),
            awaited: one_off::AwaitedNames::default(),
        })
    }

    /// The same engine, which asks registries as whom these say.
    pub(crate) fn with_logins(self, logins: Arc<dyn Logins>) -> Self {
        Self { logins, ..self }
    }

    /// The same engine, which starts what runs under a lease as these say.
    pub(crate) fn with_fences(self, fences: Fences) -> Self {
        Self { fences, ..self }
    }

    /// As whom the registry of an image is asked.
    fn credentials(&self, image: &str) -> Result<Option<DockerCredentials>, String> {
        let login = self.logins.login(image)?;
        Ok(login.map(DockerCredentials::from))
    }

    /// Where the engine is, as it was understood.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// One call of at most `limit`, after negotiating (at most [`READ_LIMIT`]) if that is due.
    async fn call<T, F>(
        &self,
        limit: Duration,
        request: impl FnOnce(bollard::Docker) -> F,
    ) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let client = self.client().await?;
        let result = within(limit, request(client)).await;
        if matches!(result, Err(Trouble::Unreachable(_))) {
            self.forget_client();
        }
        result
    }

    /// The negotiated client. Several callers may negotiate at once; any of the results will do.
    async fn client(&self) -> Result<bollard::Docker, Trouble> {
        if let Some(client) = self.shared().clone() {
            return Ok(client);
        }
        let client = new_client(&self.address)?;
        let client = within(READ_LIMIT, client.negotiate_version()).await?;
        *self.shared() = Some(client.clone());
        Ok(client)
    }

    /// Makes the next call negotiate again.
    fn forget_client(&self) {
        *self.shared() = None;
        *self.known_grouping() = None;
    }

    fn known_grouping(&self) -> std::sync::MutexGuard<'_, Option<Grouping>> {
        self.grouping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shared(&self) -> std::sync::MutexGuard<'_, Option<bollard::Docker>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check_address(address: &str) -> anyhow::Result<()> {
    let Some((scheme, rest)) = address.split_once("://") else {
        bail!("`{address}` is not an engine's address: use unix:///path or tcp://host:port");
    };
    match scheme {
        "unix" if rest.starts_with('/') => Ok(()),
        "tcp" | "http" => {
            let authority = rest.trim_end_matches('/');
            let (_, port) = authority
                .rsplit_once(':')
                .with_context(|| format!("`{address}` has no port: use {scheme}://host:port"))?;
            port.parse::<u16>()
                .map(|_| ())
                .with_context(|| format!("`{port}` in `{address}` is not a port"))
        }
        _ => bail!("`{address}` cannot be used: use unix:///path or tcp://host:port"),
    }
}

/// The engine reads credentials in base64 for URLs (RFC 4648, section 5), and goes on without those that it cannot read;
/// bollard writes them in the usual alphabet.
fn spell_for_urls(headers: &mut HeaderMap) {
    let Some(written) = headers.get_mut(CREDENTIALS) else {
        return;
    };
    let text = written.to_str().unwrap_or_default();
    let text = text.replace('+', "-").replace('/', "_");
    if let Ok(mut spelt) = HeaderValue::from_str(&text) {
        spelt.set_sensitive(true);
        *written = spelt;
    }
}

fn new_client(address: &str) -> Result<bollard::Docker, Trouble> {
    let seconds = OUT_OF_THE_WAY.as_secs();
    let client = if address.starts_with("unix://") {
        bollard::Docker::connect_with_unix(address, seconds, API_DEFAULT_VERSION)
    } else {
        bollard::Docker::connect_with_http(address, seconds, API_DEFAULT_VERSION)
    };
    let client = client.map_err(|error| Trouble::Unreachable(error.to_string()))?;
    Ok(client.with_request_modifier(|mut request| {
        spell_for_urls(request.headers_mut());
        request
    }))
}

async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Trouble> {
    match tokio::time::timeout(limit, call).await {
        Ok(result) => result.map_err(Trouble::from),
        Err(_) => Err(Trouble::Unreachable(format!(
            "no answer in {} s",
            limit.as_secs()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_socket_or_a_host_and_port() {
        let address =
            |raw| Docker::connect(raw, "kontena").map(|docker| docker.address().to_owned());
        assert_eq!(address(None).unwrap(), STANDARD_SOCKET);
        assert_eq!(address(Some("")).unwrap(), STANDARD_SOCKET);
        assert_eq!(address(Some("/run/d.sock")).unwrap(), "unix:///run/d.sock");
        assert_eq!(address(Some("tcp://h:2375")).unwrap(), "tcp://h:2375");
        for bad in ["tcp://h", "tcp://h:x", "ssh://h", "unix://d.sock", "h:2375"] {
            assert!(address(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn credentials_are_spelt_as_the_engine_reads_them() {
        let mut headers = HeaderMap::new();
        headers.insert("X-Registry-Auth", HeaderValue::from_static("ab+/c==+"));
        headers.insert("X-Other", HeaderValue::from_static("a/b+"));
        spell_for_urls(&mut headers);
        assert_eq!(headers["x-registry-auth"], "ab-_c==-");
        assert!(headers["x-registry-auth"].is_sensitive());
        assert_eq!(headers["x-other"], "a/b+");
        spell_for_urls(&mut HeaderMap::new());
    }

    #[tokio::test]
    async fn an_engine_that_is_down_is_unreachable_and_not_an_error_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        let docker = Docker::connect(socket.to_str(), "kontena").unwrap();
        assert!(matches!(
            docker.client().await,
            Err(Trouble::Unreachable(_))
        ));
    }
}
