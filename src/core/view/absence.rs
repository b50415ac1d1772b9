//! What is known of a node's absence beside that it is absent.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The newest sign of life that was known of a node when a person said that it is dead: its boot, that boot's nonce
/// and its counter. A newer one shows that it is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LastSign {
    pub boot: u64,
    pub nonce: u64,
    pub counter: u64,
}

impl LastSign {
    /// A counter rises once or twice in a second or two. What is on its way when somebody says it is dead, and what another
    /// node heard of it a moment later, are no sign of life.
    const ON_ITS_WAY: u64 = 10;

    /// Whether a sign is so much newer that whoever gave it was alive after this one.
    pub fn is_outlived_by(self, sign: Self) -> bool {
        let last = Self {
            counter: self.counter.saturating_add(Self::ON_ITS_WAY),
            ..self
        };
        sign > last
    }
}

/// For how long a node is absent, and whether a person has said that it is dead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Absence {
    /// The longest `replace_after` of any service that has passed since it is absent.
    pub passed: Duration,
    /// In force until a newer sign of life is known.
    pub assumed_dead: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_of_life_ends_what_was_assumed_and_one_that_was_on_its_way_does_not() {
        let said = LastSign {
            boot: 3,
            nonce: 7,
            counter: 100,
        };
        let sign = |boot, nonce, counter| LastSign {
            boot,
            nonce,
            counter,
        };
        assert!(!said.is_outlived_by(sign(3, 7, 110)));
        assert!(said.is_outlived_by(sign(3, 7, 111)));
        assert!(said.is_outlived_by(sign(4, 1, 0)));
        assert!(!said.is_outlived_by(sign(2, 9, 9_999)));
    }
}
