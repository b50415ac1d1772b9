//! Settings as texts become settings as values: the same rules for flags, environment and file.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use tracing::Level;

use crate::network::Names;

use super::{ConfigProblem, DaemonArgs, Docker, NODE_PORT};

/// What one place says; `None` where it is silent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) data_dir: Option<PathBuf>,
    pub(super) socket: Option<PathBuf>,
    pub(super) listen: Option<Vec<SocketAddr>>,
    pub(super) advertise: Option<Vec<SocketAddr>>,
    pub(super) api_listen: Option<SocketAddr>,
    pub(super) docker: Option<Docker>,
    /// `Some(None)` is off.
    pub(super) overlay: Option<Option<Names>>,
    pub(super) overlay_port: Option<u16>,
    pub(super) log: Option<Level>,
}

impl Settings {
    /// These, and `lower` where they are silent. A list replaces a list.
    pub(super) fn or(self, lower: Self) -> Self {
        Self {
            data_dir: self.data_dir.or(lower.data_dir),
            socket: self.socket.or(lower.socket),
            listen: self.listen.or(lower.listen),
            advertise: self.advertise.or(lower.advertise),
            api_listen: self.api_listen.or(lower.api_listen),
            docker: self.docker.or(lower.docker),
            overlay: self.overlay.or(lower.overlay),
            overlay_port: self.overlay_port.or(lower.overlay_port),
            log: self.log.or(lower.log),
        }
    }

    /// Sets what `key` names, as an option is called without its dashes.
    pub(super) fn set(
        &mut self,
        key: &str,
        values: &[String],
        origin: &str,
        problems: &mut Vec<ConfigProblem>,
    ) {
        let mut reading = Reading { origin, problems };
        match key {
            "data-dir" => self.data_dir = reading.one(values, path),
            "socket" => self.socket = reading.one(values, path),
            "listen" => self.listen = reading.many(values, node_address),
            "advertise" => self.advertise = reading.many(values, reachable),
            "api-listen" => self.api_listen = reading.one(values, api_address),
            "docker" => self.docker = reading.one(values, docker),
            "overlay" => self.overlay = reading.one(values, overlay),
            "overlay-port" => self.overlay_port = reading.one(values, port),
            "log" => self.log = reading.one(values, level),
            unknown => reading.problem(format!("`{unknown}` is not a known setting")),
        }
    }
}

/// All settings, as an option is called without its dashes.
pub(super) const KEYS: [&str; 9] = [
    "data-dir",
    "socket",
    "listen",
    "advertise",
    "api-listen",
    "docker",
    "overlay",
    "overlay-port",
    "log",
];

pub(super) fn from_flags(flags: &DaemonArgs, problems: &mut Vec<ConfigProblem>) -> Settings {
    let one = |value: &Option<String>| value.iter().cloned().collect::<Vec<_>>();
    let mut settings = Settings::default();
    for (key, values) in [
        ("data-dir", one(&flags.data_dir)),
        ("socket", one(&flags.socket)),
        ("listen", flags.listen.clone()),
        ("advertise", flags.advertise.clone()),
        ("api-listen", one(&flags.api_listen)),
        ("docker", one(&flags.docker)),
        ("overlay", one(&flags.overlay)),
        ("overlay-port", one(&flags.overlay_port)),
        ("log", one(&flags.log)),
    ] {
        if !values.is_empty() {
            settings.set(key, &values, &format!("--{key}"), problems);
        }
    }
    settings
}

/// `KONTENA_DATA_DIR` and so on; lists with commas. Empty ones count as unset.
pub(super) fn from_environment(
    lookup: impl Fn(&str) -> Option<String>,
    problems: &mut Vec<ConfigProblem>,
) -> Settings {
    let mut settings = Settings::default();
    for key in KEYS {
        let name = format!("KONTENA_{}", key.replace('-', "_").to_uppercase());
        let Some(text) = lookup(&name).filter(|text| !text.is_empty()) else {
            continue;
        };
        let values: Vec<String> = match key {
            "listen" | "advertise" => text.split(',').map(|item| item.trim().to_owned()).collect(),
            _ => vec![text],
        };
        settings.set(key, &values, &name, problems);
    }
    settings
}

/// Docker's own variable: below the file, because it was not set for us.
pub(super) fn docker_host(
    lookup: impl Fn(&str) -> Option<String>,
    problems: &mut Vec<ConfigProblem>,
) -> Option<Docker> {
    let text = lookup("DOCKER_HOST").filter(|text| !text.is_empty())?;
    let mut reading = Reading {
        origin: "DOCKER_HOST",
        problems,
    };
    let docker = reading.one(&[text], docker)?;
    let wants_tls = lookup("DOCKER_TLS_VERIFY").is_some_and(|text| !text.is_empty());
    if wants_tls && matches!(docker, Docker::Tcp(_)) {
        reading.problem(
            "an engine behind TLS is not supported yet (DOCKER_TLS_VERIFY is set)".to_owned(),
        );
    }
    Some(docker)
}

struct Reading<'p> {
    origin: &'p str,
    problems: &'p mut Vec<ConfigProblem>,
}

impl Reading<'_> {
    fn problem(&mut self, message: String) {
        self.problems.push(ConfigProblem {
            origin: self.origin.to_owned(),
            message,
        });
    }

    fn one<T>(&mut self, values: &[String], read: fn(&str) -> Result<T, String>) -> Option<T> {
        match values {
            [value] => self.many(std::slice::from_ref(value), read)?.pop(),
            [] | [_, _, ..] => {
                self.problem("takes one value".to_owned());
                None
            }
        }
    }

    fn many<T>(
        &mut self,
        values: &[String],
        read: fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let mut read_values = Vec::new();
        for value in values {
            match read(value) {
                Ok(value) => read_values.push(value),
                Err(problem) => self.problem(problem),
            }
        }
        (!read_values.is_empty()).then_some(read_values)
    }
}

fn path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(format!("`{text}` has to be an absolute path"))
    }
}

/// `IP` or `IP:PORT`; an IPv6 address with a port stands in brackets.
fn node_address(text: &str) -> Result<SocketAddr, String> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let bare = bare.unwrap_or(text).parse::<IpAddr>();
    let address = bare
        .map(|ip| SocketAddr::new(ip, NODE_PORT))
        .or_else(|_| text.parse());
    address.map_err(|_| {
        format!("`{text}` is not an address: expected IP or IP:PORT, e.g. 10.0.0.5:{NODE_PORT}")
    })
}

fn reachable(text: &str) -> Result<SocketAddr, String> {
    let address = node_address(text)?;
    if address.ip().is_unspecified() || address.port() == 0 {
        return Err(format!(
            "`{text}` is nothing that another node can connect to"
        ));
    }
    Ok(address)
}

/// A port is needed: the API over TCP has no port of its own.
fn api_address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is not an address: expected IP:PORT, e.g. 127.0.0.1:9292"))
}

fn docker(text: &str) -> Result<Docker, String> {
    if let Some(socket) = text.strip_prefix("unix://") {
        return path(socket).map(Docker::Socket);
    }
    let host = text
        .strip_prefix("tcp://")
        .or_else(|| text.strip_prefix("http://"))
        .map(|host| host.trim_end_matches('/'));
    match host {
        Some(host) if is_host_and_port(host) => Ok(Docker::Tcp(host.to_owned())),
        Some(_) | None => Err(format!(
            "`{text}` is not a Docker engine: expected unix:///PATH or tcp://HOST:PORT"
        )),
    }
}

fn is_host_and_port(text: &str) -> bool {
    let authority: Option<hyper::http::uri::Authority> = text.parse().ok();
    authority.is_some_and(|authority| {
        authority.port_u16().is_some() && !authority.host().is_empty() && !text.contains('@')
    })
}

/// The interface's name, or `off`.
fn overlay(text: &str) -> Result<Option<Names>, String> {
    match text {
        "off" => Ok(None),
        name => Names::of(name).map(Some),
    }
}

fn port(text: &str) -> Result<u16, String> {
    let port = text.parse().ok().filter(|port| *port != 0);
    port.ok_or_else(|| format!("`{text}` is not a port: expected a number up to 65535"))
}

fn level(text: &str) -> Result<Level, String> {
    match text.to_ascii_lowercase().as_str() {
        "error" => Ok(Level::ERROR),
        "warn" => Ok(Level::WARN),
        "info" => Ok(Level::INFO),
        "debug" => Ok(Level::DEBUG),
        "trace" => Ok(Level::TRACE),
        _ => Err(format!(
            "`{text}` is not a log level: use error, warn, info, debug or trace"
        )),
    }
}
