//! Affinity rules: where an instance must, must not, or would rather run.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One affinity rule, e.g. `label==az=a`, `node!=/^db-/`, `service!=~web`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Affinity {
    pub key: AffinityKey,
    /// `==` if true, `!=` if not.
    pub equal: bool,
    /// `~`: ignored where no node satisfies it.
    pub soft: bool,
    pub value: AffinityValue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AffinityKey {
    Node,
    Label,
    Service,
    Container,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AffinityValue {
    /// Compared as a whole; `%s` stands for the instance number.
    Exact(String),
    /// The text between slashes: an unanchored regular expression.
    Pattern(String),
}

#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidAffinity {
    #[error(
        "`{0}` is not an affinity: expected `node==NAME`, `label!=LABEL`, `service==NAME`, … (`~` after the operator makes it soft)"
    )]
    Form(String),
    #[error("unknown affinity `{key}` in `{text}`: use node, label, service or container")]
    Key { key: String, text: String },
    #[error("the regular expression in `{text}` is not valid: {problem}")]
    Pattern { text: String, problem: String },
}

impl std::str::FromStr for Affinity {
    type Err = InvalidAffinity;

    fn from_str(text: &str) -> Result<Self, InvalidAffinity> {
        let form = || InvalidAffinity::Form(text.to_owned());
        let at = text
            .find("==")
            .into_iter()
            .chain(text.find("!="))
            .min()
            .ok_or_else(form)?;
        let equal = text[at..].starts_with("==");
        let rest = &text[at + 2..];
        let (soft, value) = match rest.strip_prefix('~') {
            Some(value) => (true, value),
            None => (false, rest),
        };
        if value.is_empty() {
            return Err(form());
        }
        Ok(Self {
            key: affinity_key(&text[..at], text)?,
            equal,
            soft,
            value: affinity_value(value, text)?,
        })
    }
}

fn affinity_key(key: &str, text: &str) -> Result<AffinityKey, InvalidAffinity> {
    match key {
        "node" => Ok(AffinityKey::Node),
        "label" => Ok(AffinityKey::Label),
        "service" => Ok(AffinityKey::Service),
        "container" => Ok(AffinityKey::Container),
        other => Err(InvalidAffinity::Key {
            key: other.to_owned(),
            text: text.to_owned(),
        }),
    }
}

fn affinity_value(value: &str, text: &str) -> Result<AffinityValue, InvalidAffinity> {
    let pattern = value
        .strip_prefix('/')
        .and_then(|rest| rest.strip_suffix('/'));
    let Some(pattern) = pattern else {
        return Ok(AffinityValue::Exact(value.to_owned()));
    };
    regex_lite::Regex::new(pattern).map_err(|problem| InvalidAffinity::Pattern {
        text: text.to_owned(),
        problem: problem.to_string(),
    })?;
    Ok(AffinityValue::Pattern(pattern.to_owned()))
}

impl TryFrom<String> for Affinity {
    type Error = InvalidAffinity;

    fn try_from(text: String) -> Result<Self, InvalidAffinity> {
        text.parse()
    }
}

impl From<Affinity> for String {
    fn from(affinity: Affinity) -> Self {
        affinity.to_string()
    }
}

impl fmt::Display for Affinity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = match self.key {
            AffinityKey::Node => "node",
            AffinityKey::Label => "label",
            AffinityKey::Service => "service",
            AffinityKey::Container => "container",
        };
        let operator = if self.equal { "==" } else { "!=" };
        let soft = if self.soft { "~" } else { "" };
        match &self.value {
            AffinityValue::Exact(value) => write!(f, "{key}{operator}{soft}{value}"),
            AffinityValue::Pattern(pattern) => write!(f, "{key}{operator}{soft}/{pattern}/"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_affinity_is_read_as_it_is_written() {
        for text in [
            "node==db-1",
            "label!=az=a",
            "service==~shop/web",
            "node!=/^node-(2|3)$/",
            "container==web-%s",
        ] {
            assert_eq!(text.parse::<Affinity>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_wrong_affinity_says_what_is_wrong() {
        assert!(matches!(
            "web".parse::<Affinity>(),
            Err(InvalidAffinity::Form(_))
        ));
        assert!(matches!(
            "zone==a".parse::<Affinity>(),
            Err(InvalidAffinity::Key { .. })
        ));
        assert!(matches!(
            "node==/(/".parse::<Affinity>(),
            Err(InvalidAffinity::Pattern { .. })
        ));
    }
}
