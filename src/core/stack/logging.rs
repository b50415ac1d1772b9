//! Where the engine sends what a container prints.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `logging` of stack files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logging {
    /// Docker's name of it; `None` is the engine's own. Of most but `json-file`, `local` and `journald` the
    /// engine keeps nothing to read again, so `kontena service logs` shows none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// Fields of a newer version.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, serde_json::Value>,
}

#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidLogging {
    #[error("`{0}` is no log driver: expected a name as `syslog`")]
    Driver(String),
    #[error("`{0}` is no option: expected `NAME=VALUE`")]
    Option(String),
}

impl Logging {
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The name of a driver, of the engine's own or of a plugin: `syslog`, `grafana/loki:latest`.
///
/// # Errors
/// Nothing, something longer than 255 bytes, or with spaces.
pub fn log_driver(text: &str) -> Result<String, InvalidLogging> {
    let is_name =
        (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    let invalid = || InvalidLogging::Driver(text.to_owned());
    is_name.then(|| text.to_owned()).ok_or_else(invalid)
}

/// One option, `NAME=VALUE`.
///
/// # Errors
/// Without a name or `=`.
pub fn log_option(text: &str) -> Result<(String, String), InvalidLogging> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = pair.ok_or_else(|| InvalidLogging::Option(text.to_owned()))?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_is_a_name_and_an_option_has_one() {
        assert_eq!(log_driver("grafana/loki:2").unwrap(), "grafana/loki:2");
        assert!(log_driver("").is_err());
        assert!(log_driver("my driver").is_err());
        assert_eq!(
            log_option("tag=a=b").unwrap(),
            ("tag".to_owned(), "a=b".to_owned())
        );
        assert!(log_option("tag").is_err());
        assert!(log_option("=b").is_err());
    }
}
