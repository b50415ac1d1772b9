//! What an image's name meant when a deploy was accepted.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::image::repository;
use super::platforms::Platforms;

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
        /// What it was built for, as the registry says.
        #[serde(default, skip_serializing_if = "Platforms::is_empty")]
        platforms: Platforms,
        /// A registry said it, and not only the engine of what it had.
        #[serde(default, skip_serializing_if = "super::is_false")]
        said: bool,
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

    /// What it was built for, if a registry said so: of what was built here another engine may have another build.
    pub fn platforms(&self) -> Option<&Platforms> {
        match self {
            Self::Digest { platforms, .. } => Some(platforms),
            Self::Id { .. } => None,
        }
    }

    /// Whether a name that meant this to an engine means something else to it now. A digest counts where a registry says it
    /// now, and for every engine: one that an engine remembers may be older than what was deployed, because owners fetch by
    /// digests and leave the tag where it was. What an engine calls its own says nothing about another's, so that ids are compared
    /// `on_same_node` alone.
    pub fn has_moved(&self, now: &Self, on_same_node: bool) -> bool {
        match (self, now) {
            (
                Self::Digest { digest: before, .. },
                Self::Digest {
                    digest: now, said, ..
                },
            ) => *said && before != now,
            (Self::Id { .. }, _) | (_, Self::Id { .. }) => {
                let ids = self.id().zip(now.id());
                on_same_node && ids.is_some_and(|(before, now)| before != now)
            }
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
            platforms: Platforms::default(),
            said: true,
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
    fn a_tag_that_was_moved_is_seen_where_two_meanings_can_be_compared() {
        let digest = |digest: &str, id: Option<&str>| FrozenImage::Digest {
            digest: digest.to_owned(),
            id: id.map(str::to_owned),
            platforms: Platforms::default(),
            said: true,
        };
        let remembered = FrozenImage::Digest {
            digest: "sha256:d0".to_owned(),
            id: Some("sha256:i0".to_owned()),
            platforms: Platforms::default(),
            said: false,
        };
        let id = |id: &str| FrozenImage::Id { id: id.to_owned() };
        let everywhere = |before: &FrozenImage, now: &FrozenImage| {
            [true, false].map(|on_same_node| before.has_moved(now, on_same_node))
        };
        let (never, always, here) = ([false; 2], [true; 2], [true, false]);
        let one = digest("sha256:d1", Some("sha256:i1"));
        assert_eq!(everywhere(&one, &digest("sha256:d1", None)), never);
        assert_eq!(everywhere(&one, &digest("sha256:d2", None)), always);
        assert_eq!(everywhere(&one, &remembered), never, "no registry says so");
        assert_eq!(everywhere(&remembered, &one), always);
        assert_eq!(everywhere(&id("sha256:i1"), &id("sha256:i1")), never);
        assert_eq!(everywhere(&id("sha256:i1"), &id("sha256:i2")), here);
        assert_eq!(everywhere(&id("sha256:i1"), &one), never, "it was pushed");
        assert_eq!(everywhere(&id("sha256:i2"), &one), here);
        assert_eq!(
            everywhere(&one, &id("sha256:i2")),
            here,
            "built under its name"
        );
        let not_here = digest("sha256:d1", None);
        assert_eq!(everywhere(&not_here, &id("sha256:i2")), never, "not known");
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
