//! How it is found out whether a running container does its work.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Asked again and again of each running container. In a revision it has the form of stack files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct HealthCheck {
    pub question: Question,
    /// Seconds from the end of one probe to the next, at least `timeout`.
    pub interval: u32,
    /// Seconds that an answer may take.
    pub timeout: u32,
    /// Seconds after the start in which no failure counts.
    pub initial_delay: u32,
    /// Fields of a newer version.
    pub unknown: BTreeMap<String, serde_json::Value>,
}

/// What is asked of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Healthy is a status from 200 to 399; a redirect is not followed.
    Http { port: u16, uri: String },
    /// Healthy is what accepts a connection.
    Tcp { port: u16 },
    /// Healthy is what ends with 0, run by `/bin/sh -c` in the container. Kontena had none.
    Exec { command: String },
}

#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidHealthCheck {
    #[error("`{0}` is no protocol: expected http, tcp or exec")]
    Protocol(String),
    #[error("a check by {0} needs a `port`")]
    NoPort(&'static str),
    #[error("a check by exec needs a `cmd`")]
    NoCommand,
    #[error("`cmd` is only for exec")]
    NotForCommand,
    #[error("`port` and `uri` are not for exec")]
    NotForExec,
    #[error("`{0}` is no path: it begins with `/`, and has no spaces and at most {max} bytes", max = HealthCheck::MAX_URI_BYTES)]
    Uri(String),
    #[error("the command has more than {max} bytes", max = HealthCheck::MAX_COMMAND_BYTES)]
    LongCommand,
    #[error("`{key}` has to be from {least} to {most} seconds")]
    Seconds {
        key: &'static str,
        least: u32,
        most: u32,
    },
    #[error("`interval` is {interval} s, shorter than `timeout`, which is {timeout} s")]
    ShortInterval { interval: u32, timeout: u32 },
}

impl HealthCheck {
    /// Kontena's.
    pub const INTERVAL: u32 = 60;
    /// Kontena's.
    pub const TIMEOUT: u32 = 10;
    /// Kontena's.
    pub const INITIAL_DELAY: u32 = 10;
    /// A day: what is asked more seldom is not watched.
    pub const MAX_SECONDS: u32 = 24 * 60 * 60;
    /// What servers take in the first line of a request.
    pub const MAX_URI_BYTES: usize = 2_000;
    /// It travels with the container, as a label.
    pub const MAX_COMMAND_BYTES: usize = 4_096;

    /// Asked as Kontena asks where nothing else is said.
    pub fn new(question: Question) -> Self {
        Self {
            question,
            interval: Self::INTERVAL,
            timeout: Self::TIMEOUT,
            initial_delay: Self::INITIAL_DELAY,
            unknown: BTreeMap::new(),
        }
    }

    pub fn protocol(&self) -> &'static str {
        match self.question {
            Question::Http { .. } => "http",
            Question::Tcp { .. } => "tcp",
            Question::Exec { .. } => "exec",
        }
    }

    pub(crate) fn interval(&self) -> Duration {
        Duration::from_secs(self.interval.into())
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout.into())
    }

    pub(crate) fn initial_delay(&self) -> Duration {
        Duration::from_secs(self.initial_delay.into())
    }
}

/// A health check as it is written: every key may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    pub protocol: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_delay: Option<u32>,
    /// Fields of a newer version.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, serde_json::Value>,
}

impl From<HealthCheck> for Written {
    fn from(check: HealthCheck) -> Self {
        let written = Self {
            protocol: check.protocol().to_owned(),
            interval: Some(check.interval),
            timeout: Some(check.timeout),
            initial_delay: Some(check.initial_delay),
            unknown: check.unknown,
            ..Self::default()
        };
        match check.question {
            Question::Http { port, uri } => Self {
                port: Some(port),
                uri: Some(uri),
                ..written
            },
            Question::Tcp { port } => Self {
                port: Some(port),
                ..written
            },
            Question::Exec { command } => Self {
                cmd: Some(command),
                ..written
            },
        }
    }
}

impl TryFrom<Written> for HealthCheck {
    type Error = InvalidHealthCheck;

    fn try_from(written: Written) -> Result<Self, InvalidHealthCheck> {
        let check = Self {
            interval: written.interval.unwrap_or(Self::INTERVAL),
            timeout: written.timeout.unwrap_or(Self::TIMEOUT),
            initial_delay: written.initial_delay.unwrap_or(Self::INITIAL_DELAY),
            unknown: written.unknown.clone(),
            question: question(written)?,
        };
        for (key, seconds, least) in [
            ("interval", check.interval, 1),
            ("timeout", check.timeout, 1),
            ("initial_delay", check.initial_delay, 0),
        ] {
            let most = Self::MAX_SECONDS;
            if !(least..=most).contains(&seconds) {
                return Err(InvalidHealthCheck::Seconds { key, least, most });
            }
        }
        let (interval, timeout) = (check.interval, check.timeout);
        if interval < timeout {
            return Err(InvalidHealthCheck::ShortInterval { interval, timeout });
        }
        Ok(check)
    }
}

fn question(written: Written) -> Result<Question, InvalidHealthCheck> {
    let Written {
        protocol,
        port,
        uri,
        cmd,
        ..
    } = written;
    // A port 0 is none.
    let port = port.filter(|port| *port > 0);
    match protocol.as_str() {
        "http" | "tcp" if cmd.is_some() => Err(InvalidHealthCheck::NotForCommand),
        "http" => Ok(Question::Http {
            port: port.ok_or(InvalidHealthCheck::NoPort("http"))?,
            uri: path(uri.unwrap_or_else(|| "/".to_owned()))?,
        }),
        // Kontena takes a path for it too, and does nothing with it.
        "tcp" => Ok(Question::Tcp {
            port: port.ok_or(InvalidHealthCheck::NoPort("tcp"))?,
        }),
        "exec" if port.is_some() || uri.is_some() => Err(InvalidHealthCheck::NotForExec),
        "exec" => match cmd.filter(|command| !command.trim().is_empty()) {
            None => Err(InvalidHealthCheck::NoCommand),
            Some(command) if command.len() > HealthCheck::MAX_COMMAND_BYTES => {
                Err(InvalidHealthCheck::LongCommand)
            }
            Some(command) => Ok(Question::Exec { command }),
        },
        _ => Err(InvalidHealthCheck::Protocol(protocol)),
    }
}

fn path(uri: String) -> Result<String, InvalidHealthCheck> {
    let is_plain = |byte: u8| byte.is_ascii_graphic();
    let is_path = uri.starts_with('/')
        && uri.len() <= HealthCheck::MAX_URI_BYTES
        && uri.bytes().all(is_plain);
    if is_path {
        return Ok(uri);
    }
    Err(InvalidHealthCheck::Uri(uri))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: serde_json::Value) -> Result<HealthCheck, String> {
        serde_json::from_value(json).map_err(|problem| problem.to_string())
    }

    #[test]
    fn what_is_not_said_is_as_in_kontena() {
        let check = read(serde_json::json!({"protocol": "http", "port": 80})).unwrap();
        assert_eq!(
            check.question,
            Question::Http {
                port: 80,
                uri: "/".to_owned()
            }
        );
        let times = (check.interval, check.timeout, check.initial_delay);
        assert_eq!(times, (60, 10, 10));
    }

    #[test]
    fn what_is_written_is_read_again_with_the_fields_of_a_newer_version() {
        for json in [
            serde_json::json!({"protocol": "http", "port": 80, "uri": "/up", "interval": 5, "timeout": 5, "initial_delay": 0}),
            serde_json::json!({"protocol": "tcp", "port": 80, "interval": 60, "timeout": 10, "initial_delay": 10, "grpc": 1}),
            serde_json::json!({"protocol": "exec", "cmd": "true", "interval": 60, "timeout": 10, "initial_delay": 10}),
        ] {
            let check = read(json.clone()).unwrap();
            assert_eq!(serde_json::to_value(check).unwrap(), json);
        }
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        for (json, problem) in [
            (
                serde_json::json!({"protocol": "grpc", "port": 80}),
                "`grpc` is no protocol: expected http, tcp or exec",
            ),
            (
                serde_json::json!({"protocol": "tcp"}),
                "a check by tcp needs a `port`",
            ),
            (
                serde_json::json!({"protocol": "http", "port": 0}),
                "a check by http needs a `port`",
            ),
            (
                serde_json::json!({"protocol": "http", "port": 80, "uri": "/a b"}),
                "`/a b` is no path: it begins with `/`, and has no spaces and at most 2000 bytes",
            ),
            (
                serde_json::json!({"protocol": "exec", "cmd": " "}),
                "a check by exec needs a `cmd`",
            ),
            (
                serde_json::json!({"protocol": "exec", "cmd": "a", "port": 1}),
                "`port` and `uri` are not for exec",
            ),
            (
                serde_json::json!({"protocol": "tcp", "port": 1, "cmd": "a"}),
                "`cmd` is only for exec",
            ),
            (
                serde_json::json!({"protocol": "tcp", "port": 1, "interval": 0}),
                "`interval` has to be from 1 to 86400 seconds",
            ),
            (
                serde_json::json!({"protocol": "tcp", "port": 1, "interval": 5}),
                "`interval` is 5 s, shorter than `timeout`, which is 10 s",
            ),
        ] {
            assert_eq!(read(json).unwrap_err(), problem);
        }
    }
}
