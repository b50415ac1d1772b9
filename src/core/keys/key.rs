//! Keys: paths of the store.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A path: `/`, or segments that follow a `/` each.
///
/// At most [`Key::MAX`] bytes of UTF-8 without control characters. Empty segments are left out as etcd does
/// (`a//b/` is `/a/b`); `.` and `..` are refused.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(Arc<str>);

/// Why text is no key.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidKey {
    #[error("a key of {0} bytes is too long: {max} are allowed", max = Key::MAX)]
    TooLong(usize),
    #[error("`{0}` is not a key: `.` and `..` lead nowhere")]
    Relative(String),
    #[error("`{0}` is not a key: it has control characters")]
    Control(String),
}

impl Key {
    /// The longest, in bytes.
    pub const MAX: usize = 512;

    pub fn root() -> Self {
        Self("/".into())
    }

    /// # Errors
    /// If it is too long, relative, or not printable.
    pub fn new(raw: &str) -> Result<Self, InvalidKey> {
        if raw.chars().any(char::is_control) {
            return Err(InvalidKey::Control(raw.escape_debug().to_string()));
        }
        let mut path = String::new();
        for segment in raw.split('/').filter(|segment| !segment.is_empty()) {
            if matches!(segment, "." | "..") {
                return Err(InvalidKey::Relative(raw.to_owned()));
            }
            path.push('/');
            path.push_str(segment);
        }
        match path.len() {
            0 => Ok(Self::root()),
            length if length > Self::MAX => Err(InvalidKey::TooLong(length)),
            _ => Ok(Self(path.into())),
        }
    }

    /// The key of that name in this directory.
    ///
    /// # Errors
    /// If it is too long.
    pub fn child(&self, name: &str) -> Result<Self, InvalidKey> {
        Self::new(&format!("{}/{name}", self.0))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_root(&self) -> bool {
        &*self.0 == "/"
    }

    /// The directories that it is in, the nearest first; the root is none of them.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> {
        let ends = self.0.char_indices().rev();
        let ends = ends.filter(|(at, letter)| *letter == '/' && *at > 0);
        ends.map(|(at, _)| Self(self.0.split_at(at).0.into()))
    }

    /// Whether `other` is somewhere below this key.
    pub fn contains(&self, other: &Self) -> bool {
        other.0.len() > self.prefix().len() && other.0.starts_with(&*self.prefix())
    }

    /// What all keys below it begin with.
    pub(super) fn prefix(&self) -> Arc<str> {
        if self.is_root() {
            Arc::clone(&self.0)
        } else {
            format!("{}/", self.0).into()
        }
    }

    /// The first key that may be below it, and one that no key below it reaches: `0` follows `/`.
    pub(super) fn bounds(&self) -> (Self, Self) {
        let end = if self.is_root() {
            "0".into()
        } else {
            format!("{}0", self.0).into()
        };
        (Self(self.prefix()), Self(end))
    }

    /// Of a key below this one: the part of its path that is in this directory itself.
    pub(super) fn child_towards(&self, below: &Self) -> Option<Self> {
        let prefix = self.prefix();
        let rest = below.0.strip_prefix(&*prefix)?;
        let name = rest.split('/').next().filter(|name| !name.is_empty())?;
        Some(Self(format!("{prefix}{name}").into()))
    }

    /// Whether its last segment begins with `_`, which listings leave out, as etcd's.
    pub fn is_hidden(&self) -> bool {
        let name = self.0.rsplit('/').next();
        name.is_some_and(|name| name.starts_with('_'))
    }
}

impl TryFrom<String> for Key {
    type Error = InvalidKey;

    fn try_from(raw: String) -> Result<Self, InvalidKey> {
        Self::new(&raw)
    }
}

impl std::str::FromStr for Key {
    type Err = InvalidKey;

    fn from_str(raw: &str) -> Result<Self, InvalidKey> {
        Self::new(raw)
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.as_str().to_owned()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(raw: &str) -> Key {
        Key::new(raw).unwrap()
    }

    #[test]
    fn a_key_has_one_spelling() {
        for raw in ["a/b", "/a/b", "//a///b/", "/a/b/"] {
            assert_eq!(key(raw).as_str(), "/a/b", "{raw}");
        }
        for raw in ["", "/", "///"] {
            assert!(key(raw).is_root(), "{raw}");
        }
    }

    #[test]
    fn what_leads_elsewhere_or_is_not_printable_or_too_long_is_refused() {
        assert!(matches!(Key::new("/a/../b"), Err(InvalidKey::Relative(_))));
        assert!(matches!(Key::new("./a"), Err(InvalidKey::Relative(_))));
        assert!(matches!(Key::new("/a\nb"), Err(InvalidKey::Control(_))));
        let long = "a".repeat(Key::MAX);
        assert_eq!(Key::new(&long), Err(InvalidKey::TooLong(Key::MAX + 1)));
        assert!(Key::new(&long[1..]).is_ok());
    }

    #[test]
    fn a_directory_contains_what_is_below_it_and_not_what_only_begins_alike() {
        let directory = key("/a");
        for below in ["/a/b", "/a/b/c", "/a/ä"] {
            assert!(directory.contains(&key(below)), "{below}");
            let (first, end) = directory.bounds();
            assert!((first..end).contains(&key(below)), "{below}");
        }
        for beside in ["/a", "/a-b", "/ab", "/b/a"] {
            assert!(!directory.contains(&key(beside)), "{beside}");
            let (first, end) = directory.bounds();
            assert!(!(first..end).contains(&key(beside)), "{beside}");
        }
        assert!(Key::root().contains(&directory) && !Key::root().contains(&Key::root()));
    }

    #[test]
    fn ancestors_are_all_but_the_root() {
        let ancestors: Vec<String> = key("/a/b/c").ancestors().map(String::from).collect();
        assert_eq!(ancestors, ["/a/b", "/a"]);
        assert_eq!(key("/a").ancestors().count(), 0);
        assert_eq!(key("/a").child_towards(&key("/a/b/c")), Some(key("/a/b")));
        assert_eq!(Key::root().child_towards(&key("/a/b/c")), Some(key("/a")));
        assert_eq!(key("/a").child_towards(&key("/b")), None);
    }
}
