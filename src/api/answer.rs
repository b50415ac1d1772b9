//! Refusals as HTTP: one shape for every answer that is not 2xx.

mod keys;

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kontena_core::command::{Accepted, Refusal};
use kontena_core::id::ServiceKey;
use kontena_core::placement::NoBerth;
use kontena_core::view::UnknownRevision;

use super::types::Saved;
use super::types::error::{ErrorBody, ErrorDetail, ErrorKind};
use super::types::exec::Failed;

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) detail: ErrorDetail,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = ErrorBody { error: self.detail };
        (self.status, Json(body)).into_response()
    }
}

impl Refused {
    fn new(status: StatusCode, kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            status,
            detail: ErrorDetail {
                message: message.into(),
                hint: None,
                kind,
            },
        }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.detail.hint = Some(hint.into());
        self
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            ErrorKind::Invalid,
            message,
        )
    }

    pub(super) fn not_found(what: &str, name: &str) -> Self {
        let message = format!("{what} `{name}` does not exist");
        Self::new(StatusCode::NOT_FOUND, ErrorKind::NotFound, message)
    }

    pub(super) fn no_instance(key: &ServiceKey, number: u32) -> Self {
        let message = format!("instance {number} of `{key}` does not exist");
        Self::new(StatusCode::NOT_FOUND, ErrorKind::NotFound, message)
            .hint(format!("`kontena service show {key}` lists its instances"))
    }

    pub(super) fn no_copy(name: &str) -> Self {
        Self::not_found("copy of a volume", name)
            .hint("`kontena volume ls --copies` lists them, with their nodes")
    }

    /// A name of several copies of volumes, of which two are told.
    pub(super) fn several_copies(name: &str, two: &[String; 2]) -> Self {
        let problem = format!("`{name}` means more than one copy: {}", two.join(", "));
        Self::invalid(problem).hint("name the copy as Docker calls it, and its node with `--node`")
    }

    /// A volume that is known, of which nobody has a copy that could be moved.
    pub(super) fn no_bound_user(name: &str) -> Self {
        let message = format!(
            "no instance that is bound to a node mounts the volume `{name}`: only those of stateful services are"
        );
        Self::new(StatusCode::CONFLICT, ErrorKind::Invalid, message)
    }

    /// A container that is known, and in which nothing can be done now.
    pub(super) fn not_running(name: &str, state: &str) -> Self {
        let message = format!("container `{name}` does not run: it is {state}");
        Self::new(StatusCode::CONFLICT, ErrorKind::Invalid, message)
    }

    /// A command in a container that did not come to its end.
    pub(super) fn command_failed(failed: Failed, problem: String) -> Self {
        let (status, kind) = match failed {
            Failed::Lost => (StatusCode::BAD_GATEWAY, ErrorKind::Unreachable),
            Failed::Wrong => (StatusCode::UNPROCESSABLE_ENTITY, ErrorKind::Invalid),
            Failed::NotNow => (StatusCode::CONFLICT, ErrorKind::Invalid),
            Failed::Busy => (StatusCode::SERVICE_UNAVAILABLE, ErrorKind::Busy),
        };
        Self::new(status, kind, problem)
    }

    /// No node is to run a one-off container.
    pub(super) fn no_berth(problem: &NoBerth) -> Self {
        let message = problem.to_string();
        let refused = |hint: String| Self::conflict(&message).hint(hint);
        match problem {
            NoBerth::NoInstance { key, number } => Self::no_instance(key, *number),
            NoBerth::NeverDeployed(key) => {
                refused(format!("`kontena service deploy {key}` deploys it"))
            }
            NoBerth::NoData(instance) => refused(format!(
                "`kontena why {}` tells where its instances are",
                instance.service
            )),
            NoBerth::Elsewhere { .. } => refused("leave `--node` out".to_owned()),
            NoBerth::Unreadable { .. } | NoBerth::Rejected { .. } | NoBerth::NoneFits(_) => {
                Self::conflict(&message)
            }
        }
    }

    fn conflict(message: &str) -> Self {
        Self::new(StatusCode::CONFLICT, ErrorKind::Invalid, message)
    }

    pub(super) fn no_route(method: &str, path: &str) -> Self {
        let message = format!("`{method} {path}` is not part of this version's API");
        Self::new(StatusCode::NOT_FOUND, ErrorKind::NotSupported, message)
    }

    /// A service that is there, and none of whose instances can be reached now.
    pub(super) fn no_address(key: &ServiceKey) -> Self {
        let message = format!("no instance of `{key}` has an address");
        Self::new(StatusCode::CONFLICT, ErrorKind::Unreachable, message)
    }

    pub(super) fn unknown_revision(problem: &UnknownRevision) -> Self {
        let (status, kind) = match problem {
            UnknownRevision::Missing(_) => (StatusCode::NOT_FOUND, ErrorKind::NotFound),
            UnknownRevision::Ambiguous { .. } => (StatusCode::CONFLICT, ErrorKind::Invalid),
        };
        Self::new(status, kind, problem.to_string())
    }

    pub(super) fn wrong_method(method: &str, path: &str) -> Self {
        Self {
            status: StatusCode::METHOD_NOT_ALLOWED,
            ..Self::no_route(method, path)
        }
    }

    pub(super) fn body_late(limit: Duration) -> Self {
        let message = format!("the body did not arrive within {} s", limit.as_secs());
        Self::new(StatusCode::REQUEST_TIMEOUT, ErrorKind::Invalid, message)
    }

    /// The path is one for connections that are handed over to something else than HTTP.
    pub(super) fn no_upgrade(protocols: &[&str]) -> Self {
        let named: Vec<String> = protocols
            .iter()
            .map(|protocol| format!("`Upgrade: {protocol}`"))
            .collect();
        let message = format!("this path takes {}", named.join(" or "));
        Self::new(StatusCode::UPGRADE_REQUIRED, ErrorKind::Invalid, message)
    }

    pub(super) fn too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            ErrorKind::Invalid,
            format!("the body is larger than {} MiB", limit >> 20),
        )
    }

    pub(super) fn unauthorized(problem: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, ErrorKind::Unauthorized, problem).hint(
            "give the administrator's token that `kontena init` printed: KONTENA_TOKEN or `--token`",
        )
    }

    /// Something behind this node does not answer.
    pub(super) fn unreachable(problem: &str) -> Self {
        let message = format!("failed to connect to {problem}");
        Self::new(StatusCode::BAD_GATEWAY, ErrorKind::Unreachable, message)
    }

    pub(super) fn too_many_of_one_host(limit: usize) -> Self {
        let message =
            format!("this host has {limit} connections already, and no more are answered");
        Self::full(&message).hint("close some of them, or try again in a moment")
    }

    pub(super) fn too_many_handed_over(limit: usize) -> Self {
        let message = format!("this node carries {limit} connections already, and takes no more");
        Self::full(&message).hint("try again in a moment, or ask another node")
    }

    fn full(message: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorKind::Busy, message)
    }

    pub(super) fn unknown_parameter(name: &str) -> Self {
        Self::invalid(format!(
            "`{name}` is not a known parameter: this takes none"
        ))
    }

    pub(super) fn busy() -> Self {
        Refusal::Busy.into()
    }

    pub(super) fn stopping() -> Self {
        Refusal::Stopping.into()
    }

    pub(super) fn late(limit: Duration) -> Self {
        let message = format!("this node did not answer within {} s", limit.as_secs());
        Self::new(StatusCode::GATEWAY_TIMEOUT, ErrorKind::Busy, message)
            .hint("the change may still be made: look before repeating it")
    }

    pub(super) fn node_silent(name: &str, problem: &str) -> Self {
        let message = format!("node `{name}` cannot be asked: {problem}");
        Self::new(StatusCode::BAD_GATEWAY, ErrorKind::Busy, message).hint(format!(
            "`kontena node show {name}` says whether it is online"
        ))
    }

    pub(super) fn unseen() -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            ErrorKind::Busy,
            "the change is saved, and this node does not show it yet",
        )
        .hint("look again in a moment: it need not be repeated")
    }

    /// A mistake of ours or of the host.
    pub(super) fn internal(problem: &str) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorKind::Other, problem)
    }

    pub(super) fn no_entropy(problem: &std::io::Error) -> Self {
        Self::internal(&format!("failed to read random bytes: {problem}"))
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let (status, kind) = class(&refusal);
        let refused = Self::new(status, kind, refusal.to_string());
        match hint(&refusal) {
            Some(hint) => refused.hint(hint),
            None => refused,
        }
    }
}

fn class(refusal: &Refusal) -> (StatusCode, ErrorKind) {
    match refusal {
        Refusal::NotFound { .. } => (StatusCode::NOT_FOUND, ErrorKind::NotFound),
        Refusal::Exists { .. } | Refusal::NameTaken { .. } | Refusal::AlreadyInGrid { .. } => {
            (StatusCode::CONFLICT, ErrorKind::Exists)
        }
        Refusal::NoGrid => (StatusCode::CONFLICT, ErrorKind::NoGrid),
        Refusal::Removed | Refusal::Cloned => (StatusCode::CONFLICT, ErrorKind::Excluded),
        Refusal::Token => (StatusCode::FORBIDDEN, ErrorKind::Unauthorized),
        Refusal::TokenForm { .. } => (StatusCode::UNPROCESSABLE_ENTITY, ErrorKind::Invalid),
        // What a request says was checked before: it is the grid that is not as the command needs it.
        Refusal::Invalid(_) | Refusal::NoVolume { .. } | Refusal::NoWitness { .. } => {
            (StatusCode::CONFLICT, ErrorKind::Invalid)
        }
        Refusal::NeedsForce { .. } | Refusal::LosesData { .. } => {
            (StatusCode::CONFLICT, ErrorKind::NeedsForce)
        }
        Refusal::Unreachable { .. } => (StatusCode::BAD_GATEWAY, ErrorKind::Unreachable),
        Refusal::Overlap { .. } => (StatusCode::CONFLICT, ErrorKind::Invalid),
        Refusal::Disk { .. } => (StatusCode::INSUFFICIENT_STORAGE, ErrorKind::Disk),
        Refusal::Busy | Refusal::Stopping => (StatusCode::SERVICE_UNAVAILABLE, ErrorKind::Busy),
        Refusal::Unconfirmed => (StatusCode::GATEWAY_TIMEOUT, ErrorKind::Busy),
    }
}

fn hint(refusal: &Refusal) -> Option<String> {
    let text = match refusal {
        Refusal::NameTaken { suggestion, .. } => {
            return Some(format!("use `--name {suggestion}`"));
        }
        Refusal::NoGrid => {
            "make it the first of a grid with `kontena init`, or join one with `kontena join ADDRESS --token TOKEN`"
        }
        Refusal::AlreadyInGrid { .. } => "leave that grid first: `kontena leave`",
        Refusal::Removed => "its identity never comes back: `kontena leave` makes it a new node",
        Refusal::Cloned => "give one of the two a new identity: `kontena leave` on it",
        Refusal::Token => {
            "make a new one on a member of the grid, and look at the whole of it: it is one line"
        }
        Refusal::TokenForm { .. } => "use the token as `kontena init` printed it",
        Refusal::NeedsForce { .. } => "use `--force` to do it all the same",
        Refusal::LosesData { .. } => "use `--data-loss` to do it all the same",
        Refusal::Unreachable { .. } => {
            "is the daemon running there, and does a firewall let its port through?"
        }
        Refusal::Overlap {
            free: Some(free), ..
        } => return Some(format!("choose another range: `--supernet {free}`")),
        Refusal::Overlap { free: None, .. } => {
            "remove that route, or start the daemon with `--overlay off`: it takes no part in the network then"
        }
        Refusal::Disk { .. } => "make room on the disk of this node's data directory",
        Refusal::Busy => "try again in a moment",
        Refusal::Unconfirmed => "look once the daemon runs again, before repeating it",
        Refusal::NoVolume { volume, .. } => {
            return Some(format!(
                "`kontena volume create --scope instance {volume}` makes it"
            ));
        }
        Refusal::NoWitness { .. } => "`kontena node ls` lists the nodes of this grid",
        Refusal::Exists {
            what: "service",
            name,
        } => return Some(format!("`kontena service update {name}` changes it")),
        Refusal::NotFound { .. }
        | Refusal::Exists { .. }
        | Refusal::Invalid(_)
        | Refusal::Stopping => return None,
    };
    Some(text.to_owned())
}

impl From<Accepted> for Saved {
    fn from(accepted: Accepted) -> Self {
        Self {
            saved_on: accepted.saved_on.iter().map(ToString::to_string).collect(),
            has_others: accepted.has_others,
            unfrozen: Vec::new(),
        }
    }
}
