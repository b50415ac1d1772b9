//! Why something is not answered, with etcd's codes and in its form.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kontena_core::keys::{Cleared, InvalidKey, Key, KeyRefusal};
use serde::Serialize;

use super::MAX_BODY;
use crate::api::answer::Refused;
use crate::api::backend::KeyFailure;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Fault {
    #[serde(skip)]
    status: StatusCode,
    error_code: u16,
    message: &'static str,
    cause: String,
    index: u64,
}

impl Fault {
    fn new(
        status: StatusCode,
        error_code: u16,
        message: &'static str,
        cause: impl Into<String>,
    ) -> Self {
        Self {
            status,
            error_code,
            message,
            cause: cause.into(),
            index: 0,
        }
    }

    /// With the store's index at the time.
    pub(super) fn at(self, index: u64) -> Self {
        Self { index, ..self }
    }

    pub(super) fn not_found(key: &Key) -> Self {
        Self::new(StatusCode::NOT_FOUND, 100, "Key not found", key.as_str())
    }

    pub(super) fn field(cause: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, 209, "Invalid field", cause)
    }

    pub(super) fn index(cause: &str) -> Self {
        let message = "The given index in POST form is not a number";
        Self::new(StatusCode::BAD_REQUEST, 203, message, cause)
    }

    pub(super) fn ttl(cause: &str) -> Self {
        let message = "The given TTL in POST form is not a number";
        Self::new(StatusCode::BAD_REQUEST, 202, message, cause)
    }

    pub(super) fn no_previous_value() -> Self {
        let message = "PrevValue is Required in POST form";
        Self::new(StatusCode::BAD_REQUEST, 201, message, "")
    }

    pub(super) fn value_on_refresh() -> Self {
        let message = "Value provided on refresh";
        Self::new(StatusCode::BAD_REQUEST, 211, message, "")
    }

    pub(super) fn no_ttl_on_refresh() -> Self {
        let message = "A TTL must be provided on refresh";
        Self::new(StatusCode::BAD_REQUEST, 212, message, "")
    }

    pub(super) fn key(problem: &InvalidKey) -> Self {
        Self::field(&problem.to_string())
    }

    /// What was to be read is no form, too large, or does not come.
    pub(super) fn body(refused: Refused) -> Self {
        let (status, cause) = match refused.status {
            StatusCode::PAYLOAD_TOO_LARGE => {
                (refused.status, format!("more than {} KiB", MAX_BODY / 1024))
            }
            StatusCode::REQUEST_TIMEOUT => (refused.status, refused.detail.message),
            _ => (StatusCode::BAD_REQUEST, refused.detail.message),
        };
        Self::new(status, 210, "Invalid POST form", cause)
    }

    pub(super) fn cleared(Cleared { oldest, asked }: Cleared) -> Self {
        let cause = format!("the requested history has been cleared [{oldest}/{asked}]");
        let message = "The event in requested index is outdated and cleared";
        Self::new(StatusCode::BAD_REQUEST, 401, message, cause)
    }

    pub(super) fn stopping() -> Self {
        Self::of(KeyRefusal::Stopping.into())
    }

    pub(super) fn too_many_waits(limit: usize) -> Self {
        let cause = format!("{limit} already wait for keys of this node: try again in a moment");
        Self::node(StatusCode::SERVICE_UNAVAILABLE, cause)
    }

    pub(super) fn too_many_of_one_host(limit: usize) -> Self {
        let refused = Refused::too_many_of_one_host(limit);
        Self::node(refused.status, refused.detail.message)
    }

    pub(super) fn of(failure: KeyFailure) -> Self {
        let cause = failure.to_string();
        match failure {
            KeyFailure::Late(_) => Self::node(StatusCode::GATEWAY_TIMEOUT, cause),
            KeyFailure::Refused(refusal) => Self::of_refusal(refusal, cause),
        }
    }

    fn of_refusal(refusal: KeyRefusal, cause: String) -> Self {
        use StatusCode as Http;
        match refusal {
            KeyRefusal::NotFound { key } => Self::not_found(&key),
            KeyRefusal::Exists { key } => {
                Self::new(Http::PRECONDITION_FAILED, 105, "Key already exists", key)
            }
            KeyRefusal::IsDirectory { key } => Self::new(Http::FORBIDDEN, 102, "Not a file", key),
            KeyRefusal::IsValue { key } => {
                Self::new(Http::BAD_REQUEST, 104, "Not a directory", key)
            }
            KeyRefusal::NotEmpty { key } => {
                Self::new(Http::FORBIDDEN, 108, "Directory not empty", key)
            }
            KeyRefusal::Root => Self::new(Http::FORBIDDEN, 107, "Root is read only", "/"),
            KeyRefusal::Differs { cause, .. } => {
                Self::new(Http::PRECONDITION_FAILED, 101, "Compare failed", cause)
            }
            KeyRefusal::Key(problem) => Self::key(&problem),
            KeyRefusal::TooLong(_) => {
                Self::new(Http::PAYLOAD_TOO_LARGE, 210, "Invalid POST form", cause)
            }
            KeyRefusal::Ttl => Self::ttl(&cause),
            KeyRefusal::Full { .. } | KeyRefusal::Disk { .. } => {
                Self::node(Http::INSUFFICIENT_STORAGE, cause)
            }
            KeyRefusal::Overtaken
            | KeyRefusal::NoGrid
            | KeyRefusal::Busy
            | KeyRefusal::Stopping => Self::node(Http::SERVICE_UNAVAILABLE, cause),
            KeyRefusal::Unconfirmed => Self::node(Http::GATEWAY_TIMEOUT, cause),
        }
    }

    /// The node cannot do it: etcd's word for that.
    fn node(status: StatusCode, cause: String) -> Self {
        Self::new(status, 300, "Raft Internal Error", cause)
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        (self.status, Json(self)).into_response()
    }
}
