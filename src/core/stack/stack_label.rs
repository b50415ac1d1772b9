//! `KEY=VALUE` of a stack: for people, nothing follows from it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

/// As Kontena's: the key is of lower case letters, digits, `.` and `-`; the value may be empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StackLabel(String);

impl StackLabel {
    /// Key, `=` and value, so that a document has room for it in the name of a register.
    pub const MAX_BYTES: usize = 240;

    /// As many as a node may have.
    pub const MAX_OF_A_STACK: usize = 64;

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Of a record that may be of an older version, which took more for labels: the others are left out.
    pub(crate) fn those_that_are_right<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<Self>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        let labels = texts.iter().filter_map(|text| text.parse().ok());
        Ok(labels.collect())
    }
}

#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidStackLabel {
    #[error(
        "`{0}` is not a label: expected `KEY=VALUE`, the key of lower case letters, digits, `.` and `-`"
    )]
    Form(String),
    #[error("a label has at most {most} bytes, this one has {0}", most = StackLabel::MAX_BYTES)]
    Long(usize),
}

impl FromStr for StackLabel {
    type Err = InvalidStackLabel;

    fn from_str(text: &str) -> Result<Self, InvalidStackLabel> {
        if text.len() > Self::MAX_BYTES {
            return Err(InvalidStackLabel::Long(text.len()));
        }
        let is_of_key =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
        let parts = text.split_once('=').filter(|(key, value)| {
            !key.is_empty() && key.chars().all(is_of_key) && !value.chars().any(char::is_control)
        });
        parts
            .map(|_| Self(text.to_owned()))
            .ok_or_else(|| InvalidStackLabel::Form(text.escape_debug().to_string()))
    }
}

impl fmt::Display for StackLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for StackLabel {
    type Error = InvalidStackLabel;

    fn try_from(text: String) -> Result<Self, InvalidStackLabel> {
        text.parse()
    }
}

impl From<StackLabel> for String {
    fn from(label: StackLabel) -> Self {
        label.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_what_kontena_takes_for_one() {
        for text in ["team=a", "a.b-c9=", "x=y=z", "path=a/b c"] {
            assert_eq!(text.parse::<StackLabel>().unwrap().as_str(), text);
        }
        for text in ["team", "=a", "Team=a", "a_b=c", "a b=c", "a=\n", ""] {
            assert!(text.parse::<StackLabel>().is_err(), "{text}");
        }
        let long = format!("a={}", "x".repeat(239));
        assert_eq!(
            long.parse::<StackLabel>(),
            Err(InvalidStackLabel::Long(241))
        );
    }
}
