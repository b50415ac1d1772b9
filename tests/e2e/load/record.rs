//! What a client writes down, line by line, and what a test reads of it.

use std::fmt;
use std::str::FromStr;

/// How a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Resolves the name and connects for each request.
    Each,
    /// Keeps its connection until it is told to close it.
    Kept,
}

/// One request that was not answered, or not in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Milliseconds since 1970, when the request was given up.
    pub(crate) at: u64,
    pub(crate) way: Way,
    /// Whom it was sent to, `-` where the name had no address; and what was wrong. One line.
    pub(crate) reason: String,
}

/// How many requests were answered since the client began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answered {
    /// Milliseconds since 1970.
    pub(crate) at: u64,
    pub(crate) each: u64,
    pub(crate) kept: u64,
    /// How long the slowest took, in milliseconds.
    pub(crate) slowest: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Failed(Failure),
    Answered(Answered),
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Each => "each",
            Self::Kept => "kept",
        })
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(Failure { at, way, reason }) => write!(f, "failed {at} {way} {reason}"),
            Self::Answered(Answered {
                at,
                each,
                kept,
                slowest,
            }) => write!(f, "answered {at} {each} {kept} {slowest}"),
        }
    }
}

impl FromStr for Line {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("no line of a record: `{text}`");
        let (kind, rest) = text.split_once(' ').ok_or_else(unknown)?;
        match kind {
            "failed" => failed(rest).map(Self::Failed),
            "answered" => answered(rest).map(Self::Answered),
            _ => None,
        }
        .ok_or_else(unknown)
    }
}

fn failed(text: &str) -> Option<Failure> {
    let mut words = text.splitn(3, ' ');
    let at = words.next()?.parse().ok()?;
    let way = match words.next()? {
        "each" => Way::Each,
        "kept" => Way::Kept,
        _ => return None,
    };
    let reason = words.next()?.to_owned();
    Some(Failure { at, way, reason })
}

fn answered(text: &str) -> Option<Answered> {
    let numbers: Result<Vec<u64>, _> = text.split(' ').map(str::parse).collect();
    let [at, each, kept, slowest] = numbers.ok()?[..] else {
        return None;
    };
    Some(Answered {
        at,
        each,
        kept,
        slowest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let reason = "10.80.1.7:80 no answer: connection reset".to_owned();
        let (at, way) = (1_764_165_000_123, Way::Kept);
        let lines = [
            Line::Failed(Failure { at, way, reason }),
            Line::Answered(Answered {
                at,
                each: 3,
                kept: 4,
                slowest: 17,
            }),
        ];
        for line in lines {
            assert_eq!(line.to_string().parse(), Ok(line));
        }
        for text in ["", "failed 1", "failed 1 both x", "answered 1 2 3", "x 1 2"] {
            assert!(text.parse::<Line>().is_err(), "{text}");
        }
    }
}
