//! The revisions of a stack: what each install, upgrade and rollback recorded.
//!
//! A number counts along the history; two sides of a split may give one number twice. A hash, that of the
//! change, names one revision for ever.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::StackRecord;
use crate::id::{EnvelopeHash, NodeId, RevisionHash, ServiceName};
use crate::stack::Service;

/// Hexadecimal digits of a hash that people are shown at least, and have to give at least.
const MIN_DIGITS: usize = 4;
/// Digits of a whole hash: 32 bytes.
const MAX_DIGITS: usize = 64;

/// One revision of a stack. It never changes.
#[derive(Clone, Debug, PartialEq)]
pub struct StackRevision {
    /// The change that recorded it.
    pub hash: EnvelopeHash,
    /// The node that took the command.
    pub author: NodeId,
    /// Its number is `record.revision`, its wall time `record.updated`.
    pub record: Arc<StackRecord>,
    /// The definitions of `record.definitions`. `Err` says why one cannot be read here.
    pub services: BTreeMap<ServiceName, Result<Arc<Service>, String>>,
}

/// The revisions of one stack since it was installed, the oldest first; the last one is in force.
///
/// At most [`History::MAX`], the newest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    pub revisions: Vec<StackRevision>,
}

/// How people name a revision: `7`, `7~ab12`, or the first digits of its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevisionName {
    /// All digits are decimal: a number, or a hash that begins like this where no revision has the number.
    Number(u64),
    /// `number` where it was given too.
    Hash { number: Option<u64>, digits: String },
}

/// Text that names no revision.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a revision: `7`, `7~ab12`, or at least 4 digits of its hash")]
pub struct InvalidRevisionName(pub String);

/// Why a name leads to no revision.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum UnknownRevision {
    #[error("there is no revision `{0}`")]
    Missing(RevisionName),
    #[error("there is more than one revision `{name}`: {}", .candidates.join(", "))]
    Ambiguous {
        name: RevisionName,
        candidates: Vec<String>,
    },
}

impl History {
    /// More than a year of upgrades on each working day would be 250; a view holds them all in memory.
    pub const MAX: usize = 100;

    pub fn current(&self) -> Option<&StackRevision> {
        self.revisions.last()
    }

    /// The one before the newest: what a rollback goes back to unless it is told.
    pub fn previous(&self) -> Option<&StackRevision> {
        self.revisions.iter().rev().nth(1)
    }

    /// The number that the next revision gets: above all that are known.
    pub fn next_number(&self) -> u64 {
        let numbers = self.revisions.iter().map(StackRevision::number);
        numbers.max().unwrap_or(0).saturating_add(1)
    }

    /// How a revision is shown: `7`, and `7~ab12` where another has its number.
    pub fn label(&self, revision: &StackRevision) -> String {
        let number = revision.number();
        let rivals: Vec<String> = self
            .revisions
            .iter()
            .filter(|other| other.number() == number && other.hash != revision.hash)
            .map(|other| other.hash.to_string())
            .collect();
        if rivals.is_empty() {
            return number.to_string();
        }
        let hash = revision.hash.to_string();
        let is_alone = |digits: &usize| {
            !rivals
                .iter()
                .any(|rival| rival.starts_with(&hash[..*digits]))
        };
        let digits = (MIN_DIGITS..MAX_DIGITS)
            .find(is_alone)
            .unwrap_or(MAX_DIGITS);
        format!("{number}~{}", &hash[..digits])
    }

    /// The one revision that a name leads to.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub fn find(&self, name: &RevisionName) -> Result<&StackRevision, UnknownRevision> {
        let mut found = self.matching(|revision| name.is_of(revision));
        if let (RevisionName::Number(_), true) = (name, found.is_empty()) {
            let digits = name.to_string();
            if digits.len() >= MIN_DIGITS {
                found = self.matching(|revision| revision.hash.to_string().starts_with(&digits));
            }
        }
        match found.as_slice() {
            [] => Err(UnknownRevision::Missing(name.clone())),
            [one] => Ok(one),
            several => Err(UnknownRevision::Ambiguous {
                name: name.clone(),
                candidates: several.iter().map(|one| self.label(one)).collect(),
            }),
        }
    }

    fn matching(&self, is_wanted: impl Fn(&StackRevision) -> bool) -> Vec<&StackRevision> {
        let revisions = self.revisions.iter();
        revisions.filter(|revision| is_wanted(revision)).collect()
    }
}

impl StackRevision {
    pub fn number(&self) -> u64 {
        self.record.revision
    }

    /// The definition's hash and the instances that the file asked for.
    pub fn definition(&self, service: &ServiceName) -> Option<&Definition> {
        self.record.definitions.get(service)
    }
}

/// A service as one revision of its stack has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Definition {
    pub hash: RevisionHash,
    /// `None` where the file is silent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<u32>,
}

impl RevisionName {
    fn is_of(&self, revision: &StackRevision) -> bool {
        match self {
            Self::Number(number) => revision.number() == *number,
            Self::Hash { number, digits } => {
                number.is_none_or(|number| revision.number() == number)
                    && revision.hash.to_string().starts_with(digits)
            }
        }
    }
}

impl FromStr for RevisionName {
    type Err = InvalidRevisionName;

    fn from_str(text: &str) -> Result<Self, InvalidRevisionName> {
        let invalid = || InvalidRevisionName(text.to_owned());
        let parse = |digits: &str| {
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| digits.parse::<u64>().ok()).flatten()
        };
        if let Some(number) = parse(text).filter(|number| number.to_string() == text) {
            return Ok(Self::Number(number));
        }
        let (number, digits) = match text.split_once('~') {
            Some((number, digits)) => (Some(parse(number).ok_or_else(invalid)?), digits),
            None => (None, text),
        };
        let is_hash = digits
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_hash || !(MIN_DIGITS..=MAX_DIGITS).contains(&digits.len()) {
            return Err(invalid());
        }
        Ok(Self::Hash {
            number,
            digits: digits.to_owned(),
        })
    }
}

impl fmt::Display for RevisionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Hash {
                number: Some(number),
                digits,
            } => write!(f, "{number}~{digits}"),
            Self::Hash {
                number: None,
                digits,
            } => f.write_str(digits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A revision of a number, whose hash begins with these bytes.
    fn revision(number: u64, first: [u8; 3]) -> StackRevision {
        let mut hash = [0; 32];
        hash[..3].copy_from_slice(&first);
        let record = format!(r#"{{"stack":"shop","version":"1","revision":{number}}}"#);
        StackRevision {
            hash: EnvelopeHash(hash),
            author: NodeId([1; 32]),
            record: Arc::new(serde_json::from_str(&record).unwrap()),
            services: BTreeMap::new(),
        }
    }

    fn history() -> History {
        History {
            revisions: vec![
                revision(1, [0x00, 0x01, 0]),
                revision(2, [0xab, 0x12, 1]),
                revision(2, [0xab, 0x12, 2]),
                revision(3, [0x56, 0x78, 0]),
            ],
        }
    }

    #[track_caller]
    fn found(name: &str) -> Result<String, String> {
        let history = history();
        let found = history.find(&name.parse().unwrap());
        found
            .map(|one| history.label(one))
            .map_err(|problem| problem.to_string())
    }

    #[test]
    fn a_number_that_two_sides_gave_shows_with_the_digits_that_tell_them_apart() {
        let history = history();
        let labels: Vec<String> = history
            .revisions
            .iter()
            .map(|one| history.label(one))
            .collect();
        assert_eq!(labels, ["1", "2~ab1201", "2~ab1202", "3"]);
        assert_eq!(history.next_number(), 4);
        assert_eq!(history.previous().unwrap().hash.0[2], 2);
    }

    #[test]
    fn a_revision_is_found_by_number_and_by_hash() {
        assert_eq!(found("1"), Ok("1".to_owned()));
        assert_eq!(found("2~ab1202"), Ok("2~ab1202".to_owned()));
        assert_eq!(found("ab1201"), Ok("2~ab1201".to_owned()));
        assert_eq!(found("5678"), Ok("3".to_owned()));
        assert_eq!(found("0001"), Ok("1".to_owned()));
    }

    #[test]
    fn what_leads_nowhere_or_to_two_is_said() {
        assert_eq!(found("7"), Err("there is no revision `7`".to_owned()));
        assert_eq!(
            found("3~ab1201"),
            Err("there is no revision `3~ab1201`".to_owned())
        );
        assert_eq!(
            found("2"),
            Err("there is more than one revision `2`: 2~ab1201, 2~ab1202".to_owned())
        );
    }

    #[test]
    fn a_name_is_a_number_or_a_hash_and_prints_as_it_was_given() {
        for text in ["7", "7~ab12", "ab12", "0012", "18446744073709551616"] {
            let name: RevisionName = text.parse().unwrap();
            assert_eq!(name.to_string(), text);
        }
        for text in [
            "",
            "ab1",
            "7~",
            "~ab12",
            "AB12",
            "x.yml",
            "+7",
            "7~ab12~cd34",
        ] {
            assert!(text.parse::<RevisionName>().is_err(), "{text}");
        }
    }
}
