//! What programs write to the key-value store in a run.

use std::time::Duration;

use kontena_core::keys::{Change, Condition, Content, Key, KeyWrite};

/// Keys have numbers below this; a few are in a directory.
pub const KEYS: usize = 8;

/// Keys from this number on are written to end by themselves.
pub const LASTING: usize = 6;

/// How long such a key lasts.
const TTL: Duration = Duration::from_secs(20);

/// The write of this value, or the removal of the key.
pub fn key_write(key: usize, value: Option<u64>) -> KeyWrite {
    let path = match key % 2 {
        0 => format!("/k{key}"),
        _ => format!("/d/k{key}"),
    };
    let change = match value {
        Some(value) => Change::Set {
            content: Content::Value(value.to_string().into()),
            ttl: (key >= LASTING).then_some(TTL),
        },
        None => Change::Remove {
            directory: false,
            recursive: false,
        },
    };
    KeyWrite {
        key: Key::new(&path).expect("a short path"),
        change,
        condition: Condition::default(),
    }
}
