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
    /// The node, or the way to it, went away before its answer was here.
    pub(super) lost: bool,
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

    /// Whether another node may answer the same.
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    fn local(kind: ErrorKind, message: String, hint: Option<&str>) -> Self {
        Self {
            status: None,
            kind,
            message,
            hint: hint.map(str::to_owned),
            lost: false,
        }
    }

    /// Nobody answered.
    fn lost(kind: ErrorKind, message: String, hint: Option<&str>) -> Self {
        Self {
            lost: true,
            ..Self::local(kind, message, hint)
        }
    }

    /// Of a write: what was sent may have been done though nobody said so.
    pub(super) fn of_a_write(self) -> Self {
        if !self.lost || !self.may_be_done() {
            return self;
        }
        Self {
            message: format!("the answer is lost: {}", self.message),
            hint: Some("the change may have been made: look before repeating it".to_owned()),
            ..self
        }
    }

    /// Of a read: so many nodes were asked.
    pub(super) fn of_all(self, count: usize) -> Self {
        Self {
            message: format!(
                "none of {count} nodes answers; the last one: {}",
                self.message
            ),
            ..self
        }
    }

    /// In the middle of an answer that goes on.
    pub(super) fn broken_off(message: String) -> Self {
        Self::lost(ErrorKind::Other, message, None)
    }

    pub(super) fn answered(status: u16, body: &[u8]) -> Self {
        match serde_json::from_slice::<ErrorBody>(body) {
            Ok(ErrorBody { error }) => Self {
                status: Some(status),
                kind: error.kind,
                message: error.message,
                hint: error.hint,
                lost: false,
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
            lost: false,
        }
    }

    pub(super) fn unconnected(target: &Target, problem: &io::Error) -> Self {
        Self::lost(
            ErrorKind::Unreachable,
            format!("failed to connect to {target}: {problem}"),
            Some(hint_for(target, problem.kind())),
        )
    }

    pub(super) fn unopened(target: &Target, limit: Duration) -> Self {
        Self::lost(
            ErrorKind::Unreachable,
            format!("failed to connect to {target} within {} s", limit.as_secs()),
            Some(hint_for(target, io::ErrorKind::TimedOut)),
        )
    }

    pub(super) fn silent(target: &Target, limit: Duration) -> Self {
        Self::lost(
            ErrorKind::Busy,
            format!("{target} did not answer within {} s", limit.as_secs()),
            None,
        )
    }

    pub(super) fn broken(target: &Target, problem: &dyn Error) -> Self {
        Self::lost(
            ErrorKind::Other,
            format!("the connection to {target} broke: {problem}"),
            None,
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

    pub(super) fn too_long_a_line(limit: usize) -> Self {
        let message = format!("a line of the answer is longer than {} MiB", limit >> 20);
        Self::local(ErrorKind::Other, message, None)
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

    #[test]
    fn of_a_write_whose_answer_is_lost_it_is_told_that_it_may_have_been_made() {
        let target = Target::Socket("/nonexistent".into());
        let limit = Duration::from_secs(1);
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        for lost in [
            ApiError::broken(&target, &reset),
            ApiError::silent(&target, limit),
        ] {
            let told = lost.clone().of_a_write();
            assert!(told.message.starts_with("the answer is lost: "), "{told}");
            assert!(told.hint.unwrap().contains("may have been made"));
            assert_eq!(lost.hint, None, "a read changes nothing");
        }
        for sure in [
            ApiError::unopened(&target, limit),
            ApiError::answered(504, b"{}"),
            ApiError::too_large(1 << 20),
        ] {
            assert_eq!(sure.clone().of_a_write(), sure);
        }
    }
}
