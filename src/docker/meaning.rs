//! What the name of an image means, for a deploy that is to run the same everywhere.

use std::time::Duration;

use bollard::models::{DistributionInspect, ImageInspect};
use kontena_core::stack::{FrozenImage, Platforms, has_digest, repository};

use super::{Docker, READ_LIMIT};

/// A registry that is there answers in a fraction of that; a deploy does not wait for another one.
const REGISTRY_LIMIT: Duration = Duration::from_secs(4);

impl Docker {
    /// What `image` means now: what its registry says, else what the engine has. What was built or loaded here and
    /// never came from a registry is not asked for there. `None` where nobody can tell.
    pub(crate) async fn meaning(&self, image: &str) -> Option<FrozenImage> {
        let here = self.inspect_image(image).await;
        let digest_here = here.as_ref().and_then(|here| digest_of(image, here));
        let id = here.and_then(|here| here.id);
        let asks = id.is_none() || digest_here.is_some() || has_digest(image);
        let elsewhere = match asks {
            true => self.known_to_registry(image).await,
            false => None,
        };
        match image.split_once('@') {
            Some((_, digest)) => named(digest, id, elsewhere),
            None => decide(id, digest_here, elsewhere),
        }
    }

    async fn inspect_image(&self, image: &str) -> Option<ImageInspect> {
        let name = image.to_owned();
        let call = async move |client: bollard::Docker| client.inspect_image(&name).await;
        self.call(READ_LIMIT, call).await.ok()
    }

    async fn known_to_registry(&self, image: &str) -> Option<Listed> {
        let client = self.client().await.ok()?;
        // Without a password that it has not been given yet, a public image is known all the same.
        let credentials = self.credentials(image).unwrap_or_default();
        let asked = client.inspect_registry_image(image, credentials);
        let answer = tokio::time::timeout(REGISTRY_LIMIT, asked).await;
        match answer {
            Ok(Ok(found)) => Listed::of(found),
            Ok(Err(problem)) => {
                tracing::debug!(image, %problem, "No registry says what an image means");
                None
            }
            Err(_) => {
                tracing::debug!(image, "The registry is silent");
                None
            }
        }
    }
}

/// What a registry says of an image.
#[derive(Clone)]
struct Listed {
    digest: String,
    platforms: Platforms,
}

impl Listed {
    fn of(found: DistributionInspect) -> Option<Self> {
        let platforms = found.platforms.iter().map(|platform| {
            let text = |text: &'_ Option<String>| text.clone().unwrap_or_default();
            let variant = platform.variant.as_deref();
            (text(&platform.os), text(&platform.architecture), variant)
        });
        let platforms: Vec<_> = platforms.collect();
        let listed = platforms
            .iter()
            .map(|(system, processor, variant)| (system.as_str(), processor.as_str(), *variant));
        Some(Self {
            digest: found.descriptor.digest?,
            platforms: Platforms::listed(listed),
        })
    }
}

/// A name that says its digest means that, wherever it is: what else there is to know of it is what it was built for.
fn named(digest: &str, id: Option<String>, elsewhere: Option<Listed>) -> Option<FrozenImage> {
    let said = elsewhere.is_some();
    let is_known = said || id.is_some();
    is_known.then(|| FrozenImage::Digest {
        digest: digest.to_owned(),
        id,
        platforms: elsewhere.map(|it| it.platforms).unwrap_or_default(),
        said,
    })
}

/// What is frozen: by the engine's id and the digest that it has, and the digest that the registry says.
///
/// An engine with the containerd store gives every image a digest, which is its id, whether it came from a registry or was
/// built there. So that digest proves nothing, and another one under the name in a registry is somebody else's image,
/// as far as anybody can tell: unless the registry has the very same, the image is taken for one that was built here.
fn decide(
    id: Option<String>,
    here: Option<String>,
    elsewhere: Option<Listed>,
) -> Option<FrozenImage> {
    match (id, here, elsewhere) {
        (Some(id), None, _) => Some(FrozenImage::Id { id }),
        (Some(id), Some(here), elsewhere)
            if id == here && elsewhere.as_ref().is_none_or(|it| it.digest != here) =>
        {
            Some(FrozenImage::Id { id })
        }
        (id, here, elsewhere) => {
            let unlisted = |digest: &String| Listed {
                digest: digest.clone(),
                platforms: Platforms::default(),
            };
            let said = elsewhere.is_some();
            let Listed { digest, platforms } = elsewhere.or_else(|| here.as_ref().map(unlisted))?;
            let id = id.filter(|_| here.as_ref() == Some(&digest));
            Some(FrozenImage::Digest {
                digest,
                id,
                platforms,
                said,
            })
        }
    }
}

/// What a registry knew it by when it was pulled under this name; one of another name does not lead to it.
fn digest_of(image: &str, here: &ImageInspect) -> Option<String> {
    let digests = here.repo_digests.iter().flatten();
    let mut of_it = digests.filter_map(|known| {
        let (name, digest) = known.split_once('@')?;
        (familiar(name) == familiar(repository(image))).then(|| digest.to_owned())
    });
    of_it.next()
}

/// The name without the parts that Docker leaves out.
fn familiar(name: &str) -> &str {
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    name.strip_prefix("library/").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(digests: &[&str]) -> ImageInspect {
        ImageInspect {
            repo_digests: Some(digests.iter().map(ToString::to_string).collect()),
            ..ImageInspect::default()
        }
    }

    #[test]
    fn what_may_have_been_built_here_is_not_taken_from_a_registry() {
        let some = |text: &str| Some(text.to_owned());
        let built = |id: &str| Some(FrozenImage::Id { id: id.to_owned() });
        let told = |digest: &str, id: Option<&str>, said: bool| {
            Some(FrozenImage::Digest {
                digest: digest.to_owned(),
                id: id.map(str::to_owned),
                platforms: Platforms::default(),
                said,
            })
        };
        let from = |digest: &str, id: Option<&str>| told(digest, id, true);
        let listed = |digest: &str| {
            Some(Listed {
                digest: digest.to_owned(),
                platforms: Platforms::default(),
            })
        };
        let (id, digest, moved) = ("sha256:aa", "sha256:bb", "sha256:cc");
        // The older store: only what came from a registry has a digest.
        assert_eq!(decide(some(id), None, None), built(id));
        let remembered = told(digest, Some(id), false);
        assert_eq!(decide(some(id), some(digest), None), remembered);
        assert_eq!(
            decide(some(id), some(digest), listed(digest)),
            from(digest, Some(id))
        );
        assert_eq!(
            decide(some(id), some(digest), listed(moved)),
            from(moved, None)
        );
        // containerd's: what is built has one too.
        assert_eq!(decide(some(digest), some(digest), None), built(digest));
        assert_eq!(
            decide(some(digest), some(digest), listed(moved)),
            built(digest)
        );
        let confirmed = from(digest, Some(digest));
        assert_eq!(
            decide(some(digest), some(digest), listed(digest)),
            confirmed
        );
        // Not here.
        assert_eq!(decide(None, None, listed(moved)), from(moved, None));
        assert_eq!(decide(None, None, None), None);
    }

    #[test]
    fn a_name_with_a_digest_means_that_whatever_store_the_engine_has() {
        let digest = |said: bool| FrozenImage::Digest {
            digest: "sha256:aa".to_owned(),
            id: Some("sha256:aa".to_owned()),
            platforms: Platforms::default(),
            said,
        };
        let id = || Some("sha256:aa".to_owned());
        let listed = Some(Listed {
            digest: "sha256:aa".to_owned(),
            platforms: Platforms::default(),
        });
        assert_eq!(named("sha256:aa", id(), None), Some(digest(false)));
        assert_eq!(named("sha256:aa", id(), listed), Some(digest(true)));
        assert_eq!(named("sha256:aa", None, None), None);
    }

    #[test]
    fn a_registry_says_what_an_image_was_built_for() {
        let answer = serde_json::json!({
            "Descriptor": { "digest": "sha256:aa", "size": 1, "mediaType": "application/vnd.oci.image.index.v1+json" },
            "Platforms": [
                { "architecture": "amd64", "os": "linux" },
                { "architecture": "arm64", "os": "linux", "variant": "v8" },
                { "architecture": "arm", "os": "linux", "variant": "v7" },
                { "architecture": "unknown", "os": "unknown" },
            ],
        });
        let found = Listed::of(serde_json::from_value(answer).unwrap());
        let Some(FrozenImage::Digest { platforms, .. }) = decide(None, None, found) else {
            panic!("a digest");
        };
        assert_eq!(platforms.listing(), "amd64, arm/v7, arm64");
    }

    #[test]
    fn the_digest_counts_that_the_image_has_under_its_own_name() {
        let found = known(&["other@sha256:aa", "redis@sha256:bb"]);
        for image in ["redis:7", "docker.io/library/redis:7", "library/redis"] {
            assert_eq!(digest_of(image, &found).as_deref(), Some("sha256:bb"));
        }
        assert_eq!(digest_of("mine:1", &found), None);
        assert_eq!(digest_of("redis:7", &known(&[])), None);
    }
}
