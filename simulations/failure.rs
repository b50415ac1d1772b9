//! How a subcommand ends when it does not end well: what is said, and the exit code.

use std::fmt;
use std::process::ExitCode;

/// Why a subcommand did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It was tried: exit code 1.
    Failed(Complaint),
    /// It was asked for in the wrong way: exit code 2.
    Usage(Complaint),
    /// A file is wrong, and its problems are written as they are to be shown: exit code 1.
    Problems(String),
}

/// One error as a person reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    pub message: String,
    pub hint: Option<String>,
}

impl Failure {
    pub fn failed(message: impl fmt::Display) -> Self {
        Self::Failed(Complaint::new(message))
    }

    pub fn usage(message: impl fmt::Display) -> Self {
        Self::Usage(Complaint::new(message))
    }

    /// Adds what to do about it.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        let hinted = |complaint: Complaint| Complaint {
            hint: Some(hint.into()),
            ..complaint
        };
        match self {
            Self::Failed(complaint) => Self::Failed(hinted(complaint)),
            Self::Usage(complaint) => Self::Usage(hinted(complaint)),
            Self::Problems(problems) => Self::Problems(problems),
        }
    }

    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Failed(_) | Self::Problems(_) => ExitCode::from(1),
            Self::Usage(_) => ExitCode::from(2),
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

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Problems(problems) => f.write_str(problems),
            Self::Failed(complaint) | Self::Usage(complaint) => {
                write!(f, "error: {}", complaint.message)?;
                match &complaint.hint {
                    Some(hint) => write!(f, "\nhint: {hint}"),
                    None => Ok(()),
                }
            }
        }
    }
}
