//! A container that mounts a volume and is never started: through it the engine reads and writes what is in there.

use std::collections::HashMap;
use std::io;

use anyhow::Context;
use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType};
use bollard::query_parameters::{
    CreateImageOptions, DownloadFromContainerOptions, RemoveImageOptions, UploadToContainerOptions,
};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use kontena_core::reconcile::action::ContainerId;

use super::{LIFE, PASSING, User, name_of, said};
use crate::docker::trouble::{NOT_FOUND, Trouble};
use crate::docker::{CHANGE_LIMIT, Docker};

/// Where it mounts the volume.
pub(super) const PLACE: &str = "/volume";
/// Ids of containers, with commas between them.
pub(super) const HELD: &str = "io.kontena.passing.held";
/// The two empty blocks that a tar ends with: one without anything in it.
const NOTHING: [u8; 1024] = [0; 1024];

/// To be given back to [`Docker::remove_carrier`].
#[derive(Debug)]
pub(crate) struct Carrier {
    pub(super) container: ContainerId,
    pub(super) image: String,
}

impl Docker {
    /// Mounts a volume that is there. `held`: the containers whose hooks hold them still until it is removed, for whoever
    /// finds it after this life of the daemon.
    ///
    /// # Errors
    /// What the engine says against it; nothing stays behind.
    pub(crate) async fn carrier(
        &self,
        volume: &str,
        grid: &str,
        held: &[User],
    ) -> anyhow::Result<Carrier> {
        let image = self.empty_image(grid).await?;
        let name = name_of("carrier")?;
        let mut labels = self.in_passing(grid);
        let held: Vec<&str> = held.iter().map(|user| user.container.0.as_str()).collect();
        labels.insert(HELD.to_owned(), held.join(","));
        match self.create_from(&name, body(&image, volume, labels)).await {
            Ok(container) => Ok(Carrier { container, image }),
            Err(trouble) => {
                // The engine may have made it all the same.
                let container = ContainerId(name);
                self.remove_carrier(Carrier { container, image }).await;
                Err(said("mount the volume", &trouble))
            }
        }
    }

    /// Whatever became of it. What cannot be removed now is removed when the daemon starts.
    pub(crate) async fn remove_carrier(&self, carrier: Carrier) {
        if let Err(trouble) = self.remove_carrying(&carrier.container.0).await {
            let problem = trouble.problem();
            tracing::warn!(container = %carrier.container.0, problem, "A container that mounts a volume is left over");
        }
        self.remove_empty_image(&carrier.image).await;
    }

    /// What is in the volume, in a tar whose names begin with `./`.
    ///
    /// # Errors
    /// The engine does not answer.
    pub(crate) async fn read_contents(
        &self,
        carrier: &Carrier,
    ) -> anyhow::Result<BoxStream<'static, io::Result<Bytes>>> {
        let client = self.client().await;
        let client = client.map_err(|trouble| said("read the volume", &trouble))?;
        let options = DownloadFromContainerOptions {
            path: format!("{PLACE}/."),
        };
        let pieces = client.download_from_container(&carrier.container.0, Some(options));
        Ok(pieces
            .map_err(|problem| io::Error::other(Trouble::from(problem).problem().to_owned()))
            .boxed())
    }

    /// Writes the files of a tar into the volume. One that is broken off leaves a part of them there.
    ///
    /// # Errors
    /// The engine cannot read it, or has no room for it.
    pub(crate) async fn write_contents(
        &self,
        carrier: &Carrier,
        tar: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> anyhow::Result<()> {
        self.write_at(PLACE, carrier, tar).await
    }

    /// The same, from another place of the container on.
    pub(super) async fn write_at(
        &self,
        place: &str,
        carrier: &Carrier,
        tar: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> anyhow::Result<()> {
        let client = self.client().await;
        let client = client.map_err(|trouble| said("write the volume", &trouble))?;
        let options = UploadToContainerOptions {
            path: place.to_owned(),
            ..UploadToContainerOptions::default()
        };
        let tar = bollard::body_try_stream(tar);
        let written = client
            .upload_to_container(&carrier.container.0, Some(options), tar)
            .await;
        written.map_err(|problem| said("write the volume", &Trouble::from(problem)))
    }

    /// An image with nothing in it, under no name: for one carrier.
    async fn empty_image(&self, grid: &str) -> anyhow::Result<String> {
        let client = self.client().await;
        let client = client.map_err(|trouble| said("make an empty image", &trouble))?;
        let options = CreateImageOptions {
            from_src: Some("-".to_owned()),
            changes: vec![format!("LABEL {PASSING}={grid} {LIFE}={}", self.life)],
            ..CreateImageOptions::default()
        };
        let nothing = bollard::body_full(Bytes::from_static(&NOTHING));
        let told = client.create_image(Some(options), Some(nothing), None);
        let told = tokio::time::timeout(CHANGE_LIMIT, told.try_collect::<Vec<_>>()).await;
        let told = told.context("failed to make an empty image: no answer")?;
        let told = told.map_err(|problem| said("make an empty image", &Trouble::from(problem)))?;
        let id = told.into_iter().rev().find_map(|told| told.status);
        id.filter(|id| id.starts_with("sha256:"))
            .context("failed to make an empty image: the engine does not name it")
    }

    pub(super) async fn remove_empty_image(&self, image: &str) {
        let name = image.to_owned();
        let removed = self
            .call(CHANGE_LIMIT, |client| async move {
                client
                    .remove_image(&name, None::<RemoveImageOptions>, None)
                    .await
            })
            .await;
        match removed {
            Err(trouble) if !trouble.is_status(NOT_FOUND) => {
                let problem = trouble.problem();
                tracing::warn!(image, problem, "An empty image is left over");
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// The volume is somebody else's.
    pub(super) async fn remove_carrying(&self, container: &str) -> Result<(), Trouble> {
        self.remove_running(container, false).await
    }
}

/// It is never started: the program is there because the engine asks for one.
fn body(image: &str, volume: &str, labels: HashMap<String, String>) -> ContainerCreateBody {
    let mount = Mount {
        target: Some(PLACE.to_owned()),
        source: Some(volume.to_owned()),
        typ: Some(MountType::VOLUME),
        ..Mount::default()
    };
    ContainerCreateBody {
        image: Some(image.to_owned()),
        cmd: Some(vec!["/nothing".to_owned()]),
        labels: Some(labels),
        host_config: Some(HostConfig {
            mounts: Some(vec![mount]),
            network_mode: Some("none".to_owned()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}
