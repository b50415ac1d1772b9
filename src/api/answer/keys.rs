//! Why a key was not written, as an answer.

use axum::http::StatusCode;
use kontena_core::keys::KeyRefusal;

use super::Refused;
use crate::api::types::error::ErrorKind;

impl From<KeyRefusal> for Refused {
    fn from(refusal: KeyRefusal) -> Self {
        let (status, kind) = class(&refusal);
        let refused = Self::new(status, kind, refusal.to_string());
        match hint(&refusal) {
            Some(hint) => refused.hint(hint),
            None => refused,
        }
    }
}

fn class(refusal: &KeyRefusal) -> (StatusCode, ErrorKind) {
    match refusal {
        KeyRefusal::NotFound { .. } => (StatusCode::NOT_FOUND, ErrorKind::NotFound),
        KeyRefusal::Exists { .. } => (StatusCode::CONFLICT, ErrorKind::Exists),
        KeyRefusal::IsDirectory { .. }
        | KeyRefusal::IsValue { .. }
        | KeyRefusal::NotEmpty { .. }
        | KeyRefusal::Differs { .. }
        | KeyRefusal::Full { .. } => (StatusCode::CONFLICT, ErrorKind::Invalid),
        KeyRefusal::Root | KeyRefusal::Key(_) | KeyRefusal::TooLong(_) | KeyRefusal::Ttl => {
            (StatusCode::UNPROCESSABLE_ENTITY, ErrorKind::Invalid)
        }
        KeyRefusal::NoGrid => (StatusCode::CONFLICT, ErrorKind::NoGrid),
        KeyRefusal::Overtaken => (StatusCode::CONFLICT, ErrorKind::Excluded),
        KeyRefusal::Disk { .. } => (StatusCode::INSUFFICIENT_STORAGE, ErrorKind::Disk),
        KeyRefusal::Busy | KeyRefusal::Stopping => {
            (StatusCode::SERVICE_UNAVAILABLE, ErrorKind::Busy)
        }
        KeyRefusal::Unconfirmed => (StatusCode::GATEWAY_TIMEOUT, ErrorKind::Busy),
    }
}

fn hint(refusal: &KeyRefusal) -> Option<&'static str> {
    match refusal {
        KeyRefusal::IsDirectory { .. } => {
            Some("`kontena etcd ls` shows what is in it, `kontena etcd rm --recursive` removes it")
        }
        KeyRefusal::IsValue { .. } => Some("remove the value first: a key is one or the other"),
        KeyRefusal::Full { .. } => {
            Some("remove keys that nobody reads; large things belong into a volume")
        }
        KeyRefusal::Disk { .. } => Some("make room on the disk of this node's data directory"),
        KeyRefusal::Busy => Some("try again in a moment"),
        KeyRefusal::Unconfirmed => Some("look once the daemon runs again, before repeating it"),
        KeyRefusal::NotFound { .. }
        | KeyRefusal::Exists { .. }
        | KeyRefusal::NotEmpty { .. }
        | KeyRefusal::Differs { .. }
        | KeyRefusal::Root
        | KeyRefusal::Key(_)
        | KeyRefusal::TooLong(_)
        | KeyRefusal::Ttl
        | KeyRefusal::NoGrid
        | KeyRefusal::Overtaken
        | KeyRefusal::Stopping => None,
    }
}
