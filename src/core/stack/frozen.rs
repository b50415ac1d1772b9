//! What an image's name meant when a deploy was accepted.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::image::repository;

/// An image by its content: a tag may be moved while a deploy goes on, and may mean different things on two engines.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FrozenImage {
    /// What a registry knows it by, under the name that the service gives: whoever has not got it can fetch it,
    /// and nothing else is run in its place.
    Digest {
        /// `sha256:…`
        digest: String,
        /// What the engine of the node that took the deploy called it, if it had it: where it was loaded from a file
        /// no digest leads to it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
    },
    /// An engine's id of what no registry gave: built or loaded there. Where that is not known the tag counts.
    Id {
        /// `sha256:…`
        id: String,
    },
}

impl FrozenImage {
    /// The engine's id of it, if it is known.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Digest { id, .. } => id.as_deref(),
            Self::Id { id } => Some(id),
        }
    }

    /// Where `image` is fetched from: its name with the digest, `None` where no registry has it.
    pub fn reference(&self, image: &str) -> Option<String> {
        match self {
            Self::Digest { digest, .. } => Some(format!("{}@{digest}", repository(image))),
            Self::Id { .. } => None,
        }
    }
}

impl fmt::Display for FrozenImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest { digest, .. } => f.pad(digest),
            Self::Id { id } => f.pad(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_fetched_under_the_name_without_its_tag() {
        let frozen = FrozenImage::Digest {
            digest: "sha256:aa".to_owned(),
            id: None,
        };
        for (image, expected) in [
            ("redis:7", "redis@sha256:aa"),
            ("host:5000/a/b:1", "host:5000/a/b@sha256:aa"),
            ("host:5000/a/b", "host:5000/a/b@sha256:aa"),
        ] {
            assert_eq!(frozen.reference(image).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_no_registry_has_is_known_by_its_id_alone() {
        let frozen = FrozenImage::Id {
            id: "sha256:bb".to_owned(),
        };
        assert_eq!(frozen.reference("web:1"), None);
        assert_eq!(frozen.id(), Some("sha256:bb"));
        let text = serde_json::to_string(&frozen).unwrap();
        assert_eq!(text, r#"{"id":{"id":"sha256:bb"}}"#);
    }
}
