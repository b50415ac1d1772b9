//! What becomes of a service's instances while their node is away, and when it is back.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// `deploy.offline` of a stack file. The defaults are what holds where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offline {
    /// Milliseconds for which its node has to be absent before an instance is started elsewhere. Absent is who was
    /// silent for longer than its grace (7 s and more): this comes on top, for nodes that are often away for a while.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub replace_after_millis: u64,
    #[serde(default, skip_serializing_if = "Takeover::is_default")]
    pub takeover: Takeover,
    #[serde(default, skip_serializing_if = "OnReturn::is_default")]
    pub on_return: OnReturn,
    /// Fields of a newer version.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, serde_json::Value>,
}

/// Who may start an instance whose node is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Takeover {
    /// A side that sees at least half of the nodes that may run it: after a split it runs on both sides only
    /// where they are equal.
    #[default]
    Half,
    /// Every side, however small: it may run on all of them.
    Always,
    /// Nobody, until a person says that the node is dead or removes it.
    Never,
}

/// Who keeps an instance when its node is back and another runs it by then. Whoever runs it, healthy and at the
/// wanted revision, comes before who does not, whatever this says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnReturn {
    /// Who had it before.
    #[default]
    KeepOriginal,
    /// Who took it over.
    KeepReplacement,
    /// Whose container has been up for longer, in steps of doubled minutes; between equals who had it before.
    LongestRunning,
}

/// A word that is none of those that are possible.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("has to be {0}")]
pub struct NotOneOf(String);

impl Offline {
    /// Absent for longer is gone, and no longer counts among the nodes whose half must be seen.
    pub const LONGEST: Duration = Duration::from_secs(24 * 3_600);

    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    pub fn replace_after(&self) -> Duration {
        Duration::from_millis(self.replace_after_millis)
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference to what it may skip"
)]
fn is_zero(millis: &u64) -> bool {
    *millis == 0
}

/// The names of an enum that users write, both ways.
macro_rules! named {
    ($type:ident { $($variant:ident = $name:literal),+ }) => {
        impl $type {
            pub const NAMES: &[&str] = &[$($name),+];

            fn is_default(&self) -> bool {
                *self == Self::default()
            }
        }

        impl FromStr for $type {
            type Err = NotOneOf;

            fn from_str(text: &str) -> Result<Self, NotOneOf> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(NotOneOf(Self::NAMES.join(", "))),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self {
                    $(Self::$variant => $name),+
                })
            }
        }
    };
}

named!(Takeover { Half = "half", Always = "always", Never = "never" });
named!(OnReturn {
    KeepOriginal = "keep_original",
    KeepReplacement = "keep_replacement",
    LongestRunning = "longest_running"
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_not_written() {
        assert_eq!(serde_json::to_string(&Offline::default()).unwrap(), "{}");
        let said = Offline {
            replace_after_millis: 120_000,
            takeover: Takeover::Never,
            on_return: OnReturn::LongestRunning,
            ..Offline::default()
        };
        let text = serde_json::to_string(&said).unwrap();
        assert_eq!(
            text,
            r#"{"replace_after_millis":120000,"takeover":"never","on_return":"longest_running"}"#
        );
        assert_eq!(serde_json::from_str::<Offline>(&text).unwrap(), said);
    }

    #[test]
    fn the_words_of_files_are_those_of_documents() {
        for name in OnReturn::NAMES {
            let read: OnReturn = name.parse().unwrap();
            assert_eq!(read.to_string(), *name);
            assert_eq!(serde_json::to_value(read).unwrap(), *name);
        }
        for name in Takeover::NAMES {
            let read: Takeover = name.parse().unwrap();
            assert_eq!(read.to_string(), *name);
            assert_eq!(serde_json::to_value(read).unwrap(), *name);
        }
        let wrong = "some".parse::<Takeover>().unwrap_err();
        assert_eq!(wrong.to_string(), "has to be half, always, never");
    }
}
