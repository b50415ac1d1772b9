//! What can go wrong with a call, sorted by what it means: the engine said no, or nobody knows.

use bollard::errors::Error;
use kontena_core::reconcile::action::Failure;

/// Why a call did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The engine answered, and refused.
    Refused { status: u16, message: String },
    /// No answer, or half of one: the call may have had its effect.
    Unreachable(String),
}

/// The engine's status for "there is no such thing".
pub(super) const NOT_FOUND: u16 = 404;
/// The engine's status for "not in this state", a name that is taken among them.
pub(super) const CONFLICT: u16 = 409;
/// The engine's status for "not with this one".
pub(super) const FORBIDDEN: u16 = 403;

impl Trouble {
    pub(super) fn is_status(&self, wanted: u16) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == wanted)
    }

    pub(super) fn problem(&self) -> &str {
        match self {
            Self::Refused { message, .. } => message,
            Self::Unreachable(problem) => problem,
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "bollard's enum: the rest is one thing, the connection or the request broke"
        )]
        match error {
            Error::DockerResponseServerError {
                status_code,
                message,
            } => Self::Refused {
                status: status_code,
                message,
            },
            Error::DockerStreamError { error } => Self::Refused {
                status: 500,
                message: error,
            },
            Error::JsonDataError { message, .. } => Self::Refused {
                status: 500,
                message: format!("the engine's answer cannot be read: {message}"),
            },
            other => Self::Unreachable(chain(&other)),
        }
    }
}

/// Hyper says only "client error (Connect)" at the top; the reason is below.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// A failed call that concerns an existing container.
impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Unreachable(problem) => Self::Unreachable { problem },
            Trouble::Refused {
                status: NOT_FOUND, ..
            } => Self::Gone,
            Trouble::Refused { message, .. } => match taken_port(&message) {
                Some(port) => Self::PortTaken { port },
                None => Self::Refused { problem: message },
            },
        }
    }
}

/// The host port in Docker's words for "somebody else listens there"; each version has its own.
fn taken_port(message: &str) -> Option<u16> {
    const SIGNS: [&str; 2] = ["port is already allocated", "address already in use"];
    const BEFORE: [&str; 8] = [
        "Bind for ",
        "host port for ",
        "host port ",
        "listen tcp4 ",
        "listen tcp6 ",
        "listen tcp ",
        "listen udp ",
        "listen udp4 ",
    ];
    if !SIGNS.iter().any(|sign| message.contains(sign)) {
        return None;
    }
    BEFORE.iter().find_map(|before| {
        let (_, rest) = message.split_once(before)?;
        port_of(rest.split_whitespace().next()?)
    })
}

/// The port in `0.0.0.0:80`, `:::80`, `[::]:80:`, `0.0.0.0:80/tcp` or `0.0.0.0:80:172.17.0.2:8080/tcp`.
fn port_of(socket: &str) -> Option<u16> {
    let socket = socket.trim_end_matches([':', ',']);
    let socket = socket.split('/').next()?;
    let parts: Vec<&str> = socket.split(':').collect();
    match parts.as_slice() {
        [_, port, container, _] if container.contains('.') => port.parse().ok(),
        [.., port] => port.parse().ok(),
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_recognised_in_the_words_of_every_docker() {
        for text in [
            "driver failed programming external connectivity on endpoint a (0f): Bind for 0.0.0.0:8080 failed: port is already allocated",
            "driver failed programming external connectivity on endpoint a (0f): Bind for :::8080 failed: port is already allocated",
            "driver failed programming external connectivity on endpoint a (0f): Error starting userland proxy: listen tcp4 0.0.0.0:8080: bind: address already in use",
            "failed to set up container networking: driver failed programming external connectivity on endpoint a (0f): failed to bind host port for 0.0.0.0:8080:172.17.0.2:80/tcp: address already in use",
            "failed to bind host port 0.0.0.0:8080/tcp: address already in use",
            "Error starting userland proxy: listen tcp6 [::]:8080: bind: address already in use",
        ] {
            let trouble = Trouble::Refused {
                status: 500,
                message: text.to_owned(),
            };
            assert_eq!(
                Failure::from(trouble),
                Failure::PortTaken { port: 8080 },
                "{text}"
            );
        }
    }

    #[test]
    fn another_refusal_keeps_the_engine_s_words() {
        let trouble = Trouble::Refused {
            status: 500,
            message: "exec: \"nope\": no such file on port 80".to_owned(),
        };
        assert!(matches!(Failure::from(trouble), Failure::Refused { .. }));
    }
}
