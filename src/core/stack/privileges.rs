//! What a container may do to the host, and as whom it runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// In a revision the fields have the names of stack files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Privileges {
    /// `USER`, `UID`, either with `:GROUP`; `None` is the image's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// All that the host can do.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub privileged: bool,
    /// Its file system, but for volumes, cannot be written.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub read_only: bool,
    /// Capabilities of Linux beyond Docker's default ones, without `CAP_`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cap_add: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cap_drop: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<PidMode>,
    /// Fields of a newer version.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, serde_json::Value>,
}

/// Whose processes a container sees, if not its own alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PidMode {
    Host,
}

#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidPrivilege {
    #[error("`{0}` is no capability: expected one as `NET_ADMIN`, or `ALL`")]
    Capability(String),
    #[error("`{0}` is no user: expected a name or number, and perhaps `:GROUP`")]
    User(String),
    #[error("`{0}` is not possible: only `host`")]
    Pid(String),
}

impl Privileges {
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl std::str::FromStr for PidMode {
    type Err = InvalidPrivilege;

    fn from_str(text: &str) -> Result<Self, InvalidPrivilege> {
        match text {
            "host" => Ok(Self::Host),
            _ => Err(InvalidPrivilege::Pid(text.to_owned())),
        }
    }
}

/// A capability in Docker's spelling: `net_admin` and `CAP_NET_ADMIN` are `NET_ADMIN`.
///
/// # Errors
/// What can be no name of one. Whether there is such a one, the kernel of the node says.
pub fn capability(text: &str) -> Result<String, InvalidPrivilege> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
    let letters = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
    let is_name = (1..=40).contains(&name.len()) && name.bytes().all(letters);
    let invalid = || InvalidPrivilege::Capability(text.to_owned());
    is_name.then(|| name.to_owned()).ok_or_else(invalid)
}

/// A user as Docker takes it.
///
/// # Errors
/// Nothing, something longer than 255 bytes, or with spaces or more than one colon.
pub fn user(text: &str) -> Result<String, InvalidPrivilege> {
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control();
    let parts = text.split(':').count();
    let is_user = !text.starts_with(':')
        && (1..=255).contains(&text.len())
        && parts <= 2
        && text.chars().all(is_plain);
    let invalid = || InvalidPrivilege::User(text.to_owned());
    is_user.then(|| text.to_owned()).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_has_one_spelling() {
        for (text, expected) in [
            ("NET_ADMIN", "NET_ADMIN"),
            ("cap_sys_ptrace", "SYS_PTRACE"),
            ("all", "ALL"),
        ] {
            assert_eq!(capability(text).unwrap(), expected);
        }
        for text in ["", "CAP_", "NET ADMIN", "NET-ADMIN", "9"] {
            assert!(capability(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_user_may_have_a_group() {
        for text in ["root", "1000", "1000:1000", "www-data:web"] {
            assert_eq!(user(text).unwrap(), text);
        }
        for text in ["", ":1", "a b", "a:b:c", "a\n"] {
            assert!(user(text).is_err(), "{text:?}");
        }
    }
}
