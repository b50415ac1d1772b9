//! The store on its own, and several of them that tell each other.

mod several;
mod writes;

use std::time::Duration;

use crate::id::NodeId;
use crate::time::Instant;

use super::*;

/// A store, and the node that writes to it.
#[derive(Clone, Debug)]
struct One {
    keys: Keys,
    life: Life,
}

impl One {
    fn new(number: u8) -> Self {
        Self {
            keys: Keys::default(),
            life: Life {
                writer: NodeId([number; 32]),
                boot: 1,
                nonce: 7,
            },
        }
    }

    fn write(&mut self, key: &str, change: Change, condition: Condition) -> KeyReply {
        self.write_at(key, change, condition, Instant::ZERO)
    }

    fn write_at(
        &mut self,
        key: &str,
        change: Change,
        condition: Condition,
        now: Instant,
    ) -> KeyReply {
        let write = KeyWrite {
            key: key.parse().unwrap(),
            change,
            condition,
        };
        let written = self.keys.write(&write, self.life, now);
        written.map(|(event, _)| event)
    }

    fn set(&mut self, key: &str, text: &str) -> KeyReply {
        self.write(key, set(text), Condition::default())
    }

    fn remove(&mut self, key: &str) -> KeyReply {
        let change = Change::Remove {
            directory: false,
            recursive: false,
        };
        self.write(key, change, Condition::default())
    }

    /// All values, by key.
    fn values(&self) -> Vec<(String, String)> {
        let entries = self.keys.entries.iter();
        let text = |entry: &Entry| match &entry.content {
            Content::Value(text) => text.to_string(),
            Content::Directory => "/".to_owned(),
        };
        entries
            .map(|(key, entry)| (key.to_string(), text(entry)))
            .collect()
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.keys.find(&key.parse().unwrap())?.value()
    }

    /// Tells another what it lacks, in as many rounds as it takes.
    fn tell(&self, other: &mut Self, limit: usize) {
        for _ in 0..10_000 {
            let held = other.keys.held();
            let Some(news) = self.keys.missing(&held, limit, Instant::ZERO) else {
                return;
            };
            other.keys.merge(&news, Instant::ZERO).unwrap();
        }
        panic!("there is always something that the other lacks");
    }
}

fn set(text: &str) -> Change {
    Change::Set {
        content: Content::Value(text.into()),
        ttl: None,
    }
}

fn lasting(text: &str, seconds: u64) -> Change {
    Change::Set {
        content: Content::Value(text.into()),
        ttl: Some(Duration::from_secs(seconds)),
    }
}

fn directory() -> Change {
    Change::Set {
        content: Content::Directory,
        ttl: None,
    }
}

fn at(seconds: u64) -> Instant {
    Instant::from_millis(seconds * 1000)
}
