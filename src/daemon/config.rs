//! What the daemon is told: flags, then the environment, then a file, then defaults.
//!
//! Pure but for reading the file: [`load`] collects every mistake of all of them, and nothing is
//! opened or bound before there is none.

mod file;
mod settings;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use tracing::Level;

use crate::network::Names;
use settings::Settings;

/// Nodes talk to each other on this TCP port unless they are told otherwise.
pub(crate) const NODE_PORT: u16 = 8470;
/// Read if it is there and no other file is named.
pub(crate) const DEFAULT_FILE: &str = "/etc/kontena/kontena.toml";
const DEFAULT_DATA_DIR: &str = "/var/lib/kontena";
const DEFAULT_SOCKET: &str = "/run/kontena/kontena.sock";
const DEFAULT_DOCKER: &str = "/var/run/docker.sock";

/// What the daemon runs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) socket: PathBuf,
    /// Where other nodes reach this one; at least one.
    pub(crate) listen: Vec<SocketAddr>,
    /// Whether `listen` is the default. A host without IPv6 is then no mistake.
    pub(crate) listen_is_default: bool,
    /// Where this node says that it can be reached, best first. Empty: the addresses of its interfaces.
    pub(crate) advertise: Vec<SocketAddr>,
    /// The API over TCP; `None` is off.
    pub(crate) api_listen: Option<SocketAddr>,
    pub(crate) docker: Docker,
    /// What everything of the grid's network is called on this host; `None`: it takes no part.
    pub(crate) overlay: Option<Names>,
    /// UDP.
    pub(crate) overlay_port: u16,
    pub(crate) log: Level,
}

/// Where the Docker engine is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Docker {
    Socket(PathBuf),
    /// `HOST:PORT`, without TLS.
    Tcp(String),
}

/// The options of `kontena daemon`. All are texts here, so that all mistakes are reported together.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DaemonArgs {
    /// Where this node keeps its identity and the grid's documents [default: /var/lib/kontena]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<String>,

    /// The unix socket of the API, for root and the group `kontena` [default: /run/kontena/kontena.sock]
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<String>,

    /// Where other nodes reach this one, IP[:PORT]; may be repeated [default: 0.0.0.0:8470 and [::]:8470]
    #[arg(long, value_name = "IP[:PORT]")]
    pub(crate) listen: Vec<String>,

    /// Where this node says that it can be reached, IP[:PORT]; may be repeated [default: its addresses]
    #[arg(long, value_name = "IP[:PORT]")]
    pub(crate) advertise: Vec<String>,

    /// Answer the API over TCP too, to whoever has the administrator's token; unencrypted, so keep it
    /// to loopback or a private network [default: off]
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) api_listen: Option<String>,

    /// The Docker engine, unix:///PATH or tcp://HOST:PORT [default: DOCKER_HOST, then /var/run/docker.sock]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) docker: Option<String>,

    /// The interface of the grid's network, or `off` to take no part in it [default: kontena0]
    #[arg(long, value_name = "NAME")]
    pub(crate) overlay: Option<String>,

    /// Where the grid's network is reached, a UDP port [default: the number of the first --listen]
    #[arg(long, value_name = "PORT")]
    pub(crate) overlay_port: Option<String>,

    /// How much to log: error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log: Option<String>,

    /// A TOML file with any of these options as keys, as data_dir [default: /etc/kontena/kontena.toml,
    /// if it is there] [env: KONTENA_DAEMON_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<String>,
}

/// One mistake, and where it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigProblem {
    /// `--listen`, `KONTENA_LISTEN`, `/etc/kontena/kontena.toml:3`.
    pub(crate) origin: String,
    pub(crate) message: String,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.message)
    }
}

/// A configuration file: where it is, and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigFile {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Reads the file that the flags or `KONTENA_DAEMON_CONFIG` name, or the default one if it is there.
/// (`KONTENA_CONFIG` is the command line's file of contexts, as it was Kontena's.)
///
/// # Errors
/// A file that was named cannot be read.
pub(crate) fn read_file(
    flags: &DaemonArgs,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Option<ConfigFile>, ConfigProblem> {
    let by_environment = || environment("KONTENA_DAEMON_CONFIG").filter(|path| !path.is_empty());
    let named = flags.config.clone().or_else(by_environment);
    let path = named.clone().unwrap_or_else(|| DEFAULT_FILE.to_owned());
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(ConfigFile { path, text })),
        Err(problem) if named.is_none() && problem.kind() == std::io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(problem) => Err(ConfigProblem {
            origin: path,
            message: format!("failed to read it: {problem}"),
        }),
    }
}

/// The configuration, by the first of flags, environment and file that says something.
///
/// # Errors
/// Every mistake of all three, also of values that another one overrides.
pub(crate) fn load(
    flags: &DaemonArgs,
    environment: impl Fn(&str) -> Option<String>,
    file: Option<&ConfigFile>,
) -> Result<Config, Vec<ConfigProblem>> {
    let mut problems = Vec::new();
    let flags = settings::from_flags(flags, &mut problems);
    let docker_host = settings::docker_host(&environment, &mut problems);
    let environment = settings::from_environment(&environment, &mut problems);
    let file = file.map_or_else(Settings::default, |file| file::read(file, &mut problems));
    if problems.is_empty() {
        Ok(complete(flags.or(environment).or(file), docker_host))
    } else {
        Err(problems)
    }
}

fn complete(settings: Settings, docker_host: Option<Docker>) -> Config {
    let everywhere = || {
        let any: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        any.map(|ip| SocketAddr::new(ip, NODE_PORT)).to_vec()
    };
    Config {
        data_dir: settings.data_dir.unwrap_or_else(|| DEFAULT_DATA_DIR.into()),
        socket: settings.socket.unwrap_or_else(|| DEFAULT_SOCKET.into()),
        listen_is_default: settings.listen.is_none(),
        overlay_port: settings.overlay_port.unwrap_or_else(|| {
            let first = settings.listen.as_ref().and_then(|listen| listen.first());
            first.map_or(NODE_PORT, SocketAddr::port)
        }),
        overlay: settings.overlay.unwrap_or_else(|| Some(Names::standard())),
        advertise: settings.advertise.unwrap_or_default(),
        api_listen: settings.api_listen,
        docker: settings
            .docker
            .or(docker_host)
            .unwrap_or_else(|| Docker::Socket(DEFAULT_DOCKER.into())),
        listen: settings.listen.unwrap_or_else(everywhere),
        log: settings.log.unwrap_or(Level::INFO),
    }
}

#[cfg(test)]
mod tests;
