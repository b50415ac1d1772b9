//! Over what instances are spread: labels of nodes, the widest first.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The labels over whose values the instances of a service are spread, the widest first: first as evenly as can be
/// over the values of the first label, among those over the values of the second, and so on; then over nodes. Empty
/// is Kontena's own, the label `az`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Vec<SpreadLabel>", into = "Vec<SpreadLabel>")]
pub struct Spread(Vec<SpreadLabel>);

/// One label, by its key; written `label=KEY`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SpreadLabel(String);

#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidSpread {
    #[error("`{0}` is nothing to spread over: expected `label=KEY`, as `label=rack`")]
    Form(String),
    #[error("{0} labels to spread over, {most} are possible", most = Spread::MAX_LABELS)]
    TooMany(usize),
    #[error("`{0}` is given twice")]
    Twice(SpreadLabel),
}

impl Spread {
    /// Region, zone and rack: placement compares as many counts for each candidate.
    pub const MAX_LABELS: usize = 3;

    /// # Errors
    /// Too many labels, or one of them twice.
    pub fn new(labels: Vec<SpreadLabel>) -> Result<Self, InvalidSpread> {
        if labels.len() > Self::MAX_LABELS {
            return Err(InvalidSpread::TooMany(labels.len()));
        }
        let twice = (1..labels.len()).find(|at| labels[..*at].contains(&labels[*at]));
        match twice {
            Some(at) => Err(InvalidSpread::Twice(labels[at].clone())),
            None => Ok(Self(labels)),
        }
    }

    pub fn labels(&self) -> &[SpreadLabel] {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl SpreadLabel {
    pub fn key(&self) -> &str {
        &self.0
    }
}

impl FromStr for SpreadLabel {
    type Err = InvalidSpread;

    fn from_str(text: &str) -> Result<Self, InvalidSpread> {
        let unfit = |c: char| c == '=' || c.is_whitespace() || c.is_control();
        let key = text.strip_prefix("label=");
        key.filter(|key| !key.is_empty() && !key.contains(unfit))
            .map(|key| Self(key.to_owned()))
            .ok_or_else(|| InvalidSpread::Form(text.to_owned()))
    }
}

impl fmt::Display for SpreadLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "label={}", self.0)
    }
}

impl TryFrom<String> for SpreadLabel {
    type Error = InvalidSpread;

    fn try_from(text: String) -> Result<Self, InvalidSpread> {
        text.parse()
    }
}

impl From<SpreadLabel> for String {
    fn from(label: SpreadLabel) -> Self {
        label.to_string()
    }
}

impl TryFrom<Vec<SpreadLabel>> for Spread {
    type Error = InvalidSpread;

    fn try_from(labels: Vec<SpreadLabel>) -> Result<Self, InvalidSpread> {
        Self::new(labels)
    }
}

impl From<Spread> for Vec<SpreadLabel> {
    fn from(spread: Spread) -> Self {
        spread.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(labels: &[&str]) -> Result<Spread, InvalidSpread> {
        let labels = labels.iter().map(|label| label.parse());
        Spread::new(labels.collect::<Result<_, _>>()?)
    }

    #[test]
    fn what_is_spread_over_is_read_as_it_is_written() {
        let written = r#"["label=region","label=rack"]"#;
        let read: Spread = serde_json::from_str(written).unwrap();
        assert_eq!(read.labels()[1].key(), "rack");
        assert_eq!(serde_json::to_string(&read).unwrap(), written);
    }

    #[test]
    fn what_is_no_label_too_much_or_twice_is_refused() {
        for text in [
            "rack",
            "label=",
            "label=a=b",
            "label==a",
            "label=a b",
            "node=a",
        ] {
            assert_eq!(spread(&[text]), Err(InvalidSpread::Form(text.to_owned())));
        }
        assert_eq!(
            spread(&["label=a", "label=b", "label=c", "label=d"]),
            Err(InvalidSpread::TooMany(4))
        );
        let twice = spread(&["label=a", "label=b", "label=a"]).unwrap_err();
        assert_eq!(twice.to_string(), "`label=a` is given twice");
        assert!(serde_json::from_str::<Spread>(r#"["label=a","label=a"]"#).is_err());
    }
}
