//! What the API asks of this node's engine about images.

use futures::FutureExt;
use futures::future::BoxFuture;
use kontena_core::stack::FrozenImage;

use crate::api::backend::Images;
use crate::docker::Docker;

pub(super) struct EngineImages(pub(super) Docker);

impl Images for EngineImages {
    fn meaning(&self, image: String) -> BoxFuture<'_, Option<FrozenImage>> {
        async move { self.0.meaning(&image).await }.boxed()
    }
}
