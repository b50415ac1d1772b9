//! What the name of an image means, for a deploy that is to run the same everywhere.

use std::time::Duration;

use bollard::models::ImageInspect;
use kontena_core::stack::{FrozenImage, repository};

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
        match (id, digest_here) {
            (Some(id), None) => Some(FrozenImage::Id { id }),
            (id, digest_here) => {
                let digest = self.digest_in_registry(image).await;
                let digest = digest.or_else(|| digest_here.clone())?;
                let id = id.filter(|_| digest_here.as_ref() == Some(&digest));
                Some(FrozenImage::Digest { digest, id })
            }
        }
    }

    async fn inspect_image(&self, image: &str) -> Option<ImageInspect> {
        let name = image.to_owned();
        let call = async move |client: bollard::Docker| client.inspect_image(&name).await;
        self.call(READ_LIMIT, call).await.ok()
    }

    async fn digest_in_registry(&self, image: &str) -> Option<String> {
        let client = self.client().await.ok()?;
        let asked = client.inspect_registry_image(image, None);
        let answer = tokio::time::timeout(REGISTRY_LIMIT, asked).await;
        match answer {
            Ok(Ok(found)) => found.descriptor.digest,
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
    fn the_digest_counts_that_the_image_has_under_its_own_name() {
        let found = known(&["other@sha256:aa", "redis@sha256:bb"]);
        for image in ["redis:7", "docker.io/library/redis:7", "library/redis"] {
            assert_eq!(digest_of(image, &found).as_deref(), Some("sha256:bb"));
        }
        assert_eq!(digest_of("mine:1", &found), None);
        assert_eq!(digest_of("redis:7", &known(&[])), None);
    }
}
