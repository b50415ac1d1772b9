//! How a command ends when it does not end well: what is said, and the exit code.

use std::fmt;

use crate::api::client::ApiError;
use crate::api::target::InvalidTarget;
use crate::registry::Refused;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was tried, or refused: exit code 1.
    Failed(Complaint),
    /// It was asked for in the wrong way: exit code 2.
    Usage(Complaint),
    /// As `Failed`, and all that is to be said was said.
    Reported,
    /// As `Usage`, and all that is to be said was said.
    ReportedUsage,
    /// What was run in a container ended with this code, which is not 0, and has said itself what there is to say.
    Ended(u8),
    /// Whoever read standard output wants no more of it. That is a success.
    ReaderGone,
}

/// One error as a person reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn failed(message: impl fmt::Display) -> Self {
        Self::Failed(Complaint::new(message))
    }

    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::Usage(Complaint::new(message))
    }

    /// Adds what to do about it, where nothing better was said.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        let hinted = |complaint: Complaint| Complaint {
            hint: complaint.hint.or_else(|| Some(hint.into())),
            ..complaint
        };
        match self {
            Self::Failed(complaint) => Self::Failed(hinted(complaint)),
            Self::Usage(complaint) => Self::Usage(hinted(complaint)),
            Self::Reported => Self::Reported,
            Self::ReportedUsage => Self::ReportedUsage,
            Self::Ended(code) => Self::Ended(code),
            Self::ReaderGone => Self::ReaderGone,
        }
    }
}

impl Complaint {
    fn new(message: impl fmt::Display) -> Self {
        Self {
            message: message.to_string(),
            hint: None,
        }
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Failed(Complaint {
            message: error.message,
            hint: error.hint,
        })
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Failed(Complaint {
            message: refused.why,
            hint: refused.hint,
        })
    }
}

impl From<InvalidTarget> for Failure {
    fn from(problem: InvalidTarget) -> Self {
        Self::usage(problem)
    }
}

/// For what has no hint of its own: the whole chain of causes in one line.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::failed(format!("{error:#}"))
    }
}
