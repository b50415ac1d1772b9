//! `user/stack[:version]`.

use std::fmt;
use std::str::FromStr;

/// The longest part of a name that is asked for, in bytes.
const MAX_PART: usize = 128;

/// A stack of a registry. Its parts go into addresses as they are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reference {
    pub(crate) user: String,
    pub(crate) stack: String,
    /// `None` is the newest one.
    pub(crate) version: Option<String>,
}

/// A text that is no [`Reference`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no stack of a registry: USER/STACK or USER/STACK:VERSION does")]
pub(crate) struct InvalidReference(String);

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let (name, version) = match text.split_once(':') {
            Some((name, version)) => (name, Some(version)),
            None => (text, None),
        };
        let parts = name.split_once('/');
        let parts = parts.filter(|(user, stack)| {
            is_part(user, "_.-")
                && is_part(stack, "_.-")
                && version.is_none_or(|version| is_part(version, "_.-+"))
        });
        let (user, stack) = parts.ok_or_else(|| InvalidReference(text.to_owned()))?;
        Ok(Self {
            user: user.to_owned(),
            stack: stack.to_owned(),
            version: version.map(str::to_owned),
        })
    }
}

/// Nothing that means another thing in an address, `..` included.
fn is_part(text: &str, also: &str) -> bool {
    let valid = |c: char| c.is_ascii_alphanumeric() || also.contains(c);
    text.len() <= MAX_PART && text.chars().all(valid) && text.chars().any(|c| c != '.')
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.user, self.stack)?;
        match &self.version {
            Some(version) => write!(f, ":{version}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_what_it_prints() {
        for text in [
            "kontena/redis",
            "kontena/redis:1.0.0-rc.1+b",
            "a.b/c_d:latest",
        ] {
            let parsed: Reference = text.parse().unwrap();
            assert_eq!(parsed.to_string(), text);
        }
    }

    #[test]
    fn nothing_else_gets_into_an_address() {
        for text in [
            "redis",
            "a/b/c",
            "../b",
            "a/..",
            "a/b:",
            "a/b:..",
            "a/b:1/2",
            "a/b:1?x=2",
            "a b/c",
            "a/b:1%2f",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
        assert!(
            format!("a/{}", "b".repeat(129))
                .parse::<Reference>()
                .is_err()
        );
    }
}
