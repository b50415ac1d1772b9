//! What a singleton with a lease is granted it by.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::NodeName;

/// What grants a singleton its lease: the names of the witnesses, as written; three or five, none twice.
///
/// An odd number, because a fourth tolerates no more absent ones than three do, and needs one more to agree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<NodeName>", into = "Vec<NodeName>")]
pub struct Witnesses(Vec<NodeName>);

/// What keeps a singleton one: `deploy.singleton`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Singleton {
    /// It runs only while a majority of its witnesses lets it.
    Lease,
}

/// Not `lease`.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("has to be `lease`, this is `{0}`")]
pub struct InvalidSingleton(String);

impl fmt::Display for Singleton {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Lease => "lease",
        })
    }
}

impl FromStr for Singleton {
    type Err = InvalidSingleton;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "lease" => Ok(Self::Lease),
            _ => Err(InvalidSingleton(text.to_owned())),
        }
    }
}

/// Why names are no witnesses.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidWitnesses {
    #[error("{0} witnesses, a lease is granted by three or five")]
    Count(usize),
    #[error("the witness `{0}` is given twice")]
    Twice(NodeName),
}

impl Witnesses {
    /// # Errors
    /// Neither three nor five, or one of them twice.
    pub fn new(names: Vec<NodeName>) -> Result<Self, InvalidWitnesses> {
        let twice = (1..names.len()).find(|at| names[..*at].contains(&names[*at]));
        if let Some(at) = twice {
            return Err(InvalidWitnesses::Twice(names[at].clone()));
        }
        match names.len() {
            3 | 5 => Ok(Self(names)),
            count => Err(InvalidWitnesses::Count(count)),
        }
    }

    pub fn names(&self) -> &[NodeName] {
        &self.0
    }
}

impl fmt::Display for Witnesses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(NodeName::as_str).collect();
        f.pad(&names.join(", "))
    }
}

impl TryFrom<Vec<NodeName>> for Witnesses {
    type Error = InvalidWitnesses;

    fn try_from(names: Vec<NodeName>) -> Result<Self, InvalidWitnesses> {
        Self::new(names)
    }
}

impl From<Witnesses> for Vec<NodeName> {
    fn from(witnesses: Witnesses) -> Self {
        witnesses.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn witnesses(names: &[&str]) -> Result<Witnesses, InvalidWitnesses> {
        Witnesses::new(names.iter().map(|name| name.parse().unwrap()).collect())
    }

    #[test]
    fn witnesses_are_read_as_they_are_written() {
        let written = r#"["c","a","b"]"#;
        let read: Witnesses = serde_json::from_str(written).unwrap();
        assert_eq!(read.to_string(), "c, a, b");
        assert_eq!(serde_json::to_string(&read).unwrap(), written);
    }

    #[test]
    fn an_even_number_too_few_too_many_or_one_twice_is_refused() {
        for names in [&[][..], &["a"], &["a", "b"], &["a", "b", "c", "d"]] {
            assert_eq!(witnesses(names), Err(InvalidWitnesses::Count(names.len())));
        }
        assert!(witnesses(&["a", "b", "c", "d", "e"]).is_ok());
        let twice = witnesses(&["a", "b", "a"]).unwrap_err();
        assert_eq!(twice.to_string(), "the witness `a` is given twice");
        assert!(serde_json::from_str::<Witnesses>(r#"["a","b","b"]"#).is_err());
        assert!(serde_json::from_str::<Witnesses>(r#"["a","b"]"#).is_err());
    }
}
