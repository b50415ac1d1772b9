//! What is under a key.

use serde::{Deserialize, Serialize};

use crate::time::Instant;

use super::Dot;

/// A value, or a directory that somebody made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    Value(Box<str>),
    Directory,
}

impl Content {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Value(text) => text.len(),
            Self::Directory => 0,
        }
    }
}

/// One key's content, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub content: Content,
    /// This node's index when the key came to be, and when it got this content.
    pub created: u64,
    pub modified: u64,
    /// When it ends, by the clock of the node that has it. A node that is off does not count.
    pub until: Option<Instant>,
    pub(super) stamp: u64,
    pub(super) dot: Dot,
}

impl Entry {
    /// Which of two that did not know each other stays, on every node alike.
    pub(super) fn rank(&self) -> (u64, &Dot) {
        (self.stamp, &self.dot)
    }
}
