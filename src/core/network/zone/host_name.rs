//! Names below the grids' domain.

use std::fmt;
use std::sync::Arc;

use super::DOMAIN;

/// A whole host name below `kontena.local`, in lower case, without a dot at its end. It is made of names
/// that are labels by their types, and so never longer than DNS allows.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostName(Arc<str>);

/// The longest label of DNS, in bytes.
const MAX_LABEL: usize = 63;

impl HostName {
    /// `LABEL.….kontena.local`. The labels are valid by their types.
    pub(super) fn of(labels: &[&str]) -> Self {
        let mut name = String::with_capacity(64);
        for label in labels {
            name.push_str(label);
            name.push('.');
        }
        name.push_str(DOMAIN);
        Self(name.into())
    }

    /// The same with `-N` behind its first label; `None` if that gets too long.
    pub(super) fn numbered(&self, number: u32) -> Option<Self> {
        let (label, rest) = self.0.split_once('.')?;
        let digits = number.checked_ilog10().unwrap_or(0) as usize + 1;
        (label.len() + 1 + digits <= MAX_LABEL)
            .then(|| Self(format!("{label}-{number}.{rest}").into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// So that a zone can be asked with text.
impl std::borrow::Borrow<str> for HostName {
    fn borrow(&self) -> &str {
        &self.0
    }
}
