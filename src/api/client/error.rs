//! Why a request failed, for the person who made it.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use crate::api::target::Target;
use crate::api::types::error::{ErrorBody, ErrorKind};

/// A refused or failed request: print `error: {message}` and, where there is one, `hint: {hint}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    /// `None`: no node answered.
    pub(crate) status: Option<u16>,
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Error for ApiError {}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl ApiError {
    /// Whether the thing asked for does not exist (any more).
    #[cfg(test)]
    pub(crate) fn is_not_found(&self) -> bool {
        self.kind == ErrorKind::NotFound
    }

    /// Whether nothing listens there, so that starting the daemon may help.
    pub(crate) fn is_unconnected(&self) -> bool {
        self.status.is_none() && self.kind == ErrorKind::Unreachable
    }

    /// Whether what was asked for may have been done all the same: nobody has said no.
    pub(crate) fn may_be_done(&self) -> bool {
        match self.status {
            Some(status) => status >= 500,
            None => matches!(self.kind, ErrorKind::Busy | ErrorKind::Other),
        }
    }

    fn local(kind: ErrorKind, message: String, hint: Option<&str>) -> Self {
        Self {
            status: None,
            kind,
            message,
            hint: hint.map(str::to_owned),
        }
    }

    pub(super) fn answered(status: u16, body: &[u8]) -> Self {
        match serde_json::from_slice::<ErrorBody>(body) {
            Ok(ErrorBody { error }) => Self {
                status: Some(status),
                kind: error.kind,
                message: error.message,
                hint: error.hint,
            },
            Err(_) => Self::foreign(status, body),
        }
    }

    /// An answer that no node of ours gives: a proxy, or something else on that port.
    fn foreign(status: u16, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(&body[..body.len().min(200)]);
        let first = text.lines().next().unwrap_or_default().trim();
        Self {
            status: Some(status),
            kind: ErrorKind::Other,
            message: format!("the answer has status {status} and is none of kontena's: `{first}`"),
            hint: Some("is this the address of a kontena daemon?".to_owned()),
        }
    }

    pub(super) fn unconnected(target: &Target, problem: &io::Error) -> Self {
        Self::local(
            ErrorKind::Unreachable,
            format!("failed to connect to {target}: {problem}"),
            Some(hint_for(target, problem.kind())),
        )
    }

    pub(super) fn silent(target: &Target, limit: Duration) -> Self {
        Self::local(
            ErrorKind::Busy,
            format!("{target} did not answer within {} s", limit.as_secs()),
            None,
        )
    }

    pub(super) fn broken(target: &Target, problem: &dyn Error) -> Self {
        Self::local(
            ErrorKind::Other,
            format!("the connection to {target} broke: {problem}"),
            Some("a change may have been made: look before repeating it"),
        )
    }

    pub(super) fn unreadable(problem: &serde_json::Error) -> Self {
        Self::local(
            ErrorKind::Other,
            format!("the answer cannot be read: {problem}"),
            Some("is the daemon of another version? compare `kontena --version` on both"),
        )
    }

    pub(super) fn malformed(path: &str, problem: &dyn fmt::Display) -> Self {
        Self::local(
            ErrorKind::Invalid,
            format!("`{path}` is not a path that can be asked for: {problem}"),
            None,
        )
    }

    pub(super) fn too_large(limit: usize) -> Self {
        Self::local(
            ErrorKind::Invalid,
            format!("the request is larger than {} MiB", limit >> 20),
            None,
        )
    }

    pub(super) fn token_form() -> Self {
        Self::local(
            ErrorKind::Unauthorized,
            "the administrator's token has characters that no token has".to_owned(),
            Some("use the token as `kontena init` printed it, without line breaks"),
        )
    }
}

fn hint_for(target: &Target, kind: io::ErrorKind) -> &'static str {
    match (target, kind) {
        (Target::Socket(_), io::ErrorKind::PermissionDenied) => {
            "the socket belongs to root and the group `kontena`: use sudo, or join that group"
        }
        (Target::Socket(_), _) => {
            "is the daemon running? start it: `systemctl start kontena`, or `kontena daemon`"
        }
        (Target::Tcp { .. }, _) => {
            "is the daemon running there with `--api-listen`, and is the port reachable?"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_and_an_unopened_connection_say_that_nothing_was_done() {
        let target = Target::Socket("/nonexistent".into());
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        for unsure in [
            ApiError::broken(&target, &reset),
            ApiError::silent(&target, Duration::from_secs(1)),
            ApiError::answered(504, b"{}"),
        ] {
            assert!(unsure.may_be_done(), "{unsure:?}");
        }
        for sure in [
            ApiError::unconnected(&target, &refused),
            ApiError::answered(409, b"{}"),
            ApiError::too_large(1 << 20),
        ] {
            assert!(!sure.may_be_done(), "{sure:?}");
        }
    }
}
