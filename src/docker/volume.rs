//! Docker volumes that are ours: made before what mounts them, listed, and removed by order.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{Volume, VolumeCreateRequest};
use bollard::query_parameters::{ListVolumesOptions, RemoveVolumeOptions};
use kontena_core::reconcile::action::{ContainerSpec, Failure, Outcome, Success};
use kontena_core::volume::{Copy, Mounted};

use super::labels::GRID;
use super::trouble::{NOT_FOUND, Trouble};
use super::{CHANGE_LIMIT, Docker, READ_LIMIT};

/// Whose data it is, as JSON: what is read back.
const COPY: &str = "io.kontena.volume.copy";
/// The same for people, in Kontena's words.
const NAME: &str = "io.kontena.volume.name";
const INSTANCE: &str = "io.kontena.instance";

impl Docker {
    /// Makes the volumes that a container mounts, and answers which were not there. Where one cannot be made there is
    /// none more than before.
    pub(super) async fn make_volumes<'s>(
        &self,
        spec: &'s ContainerSpec,
    ) -> Result<Vec<&'s Mounted>, Failure> {
        let mut made = Vec::new();
        let ready = self.make_each(spec, &mut made).await;
        if ready.is_err() {
            self.unmake_volumes(&made).await;
        }
        ready.map(|()| made)
    }

    async fn make_each<'s>(
        &self,
        spec: &'s ContainerSpec,
        made: &mut Vec<&'s Mounted>,
    ) -> Result<(), Failure> {
        let mounted = spec.mounts.iter();
        for mounted in mounted.filter_map(|mount| mount.docker_volume.as_ref()) {
            let found = self.find_volume(&mounted.name).await?;
            if let Some(found) = &found {
                check_is_of(found, mounted)?;
            }
            self.make_volume(mounted, &spec.labels.grid).await?;
            if found.is_none() {
                made.push(mounted);
            }
        }
        Ok(())
    }

    /// Removes what was made for a container that never ran: an empty volume would look like data. What others may have begun
    /// to use meanwhile stays.
    pub(super) async fn unmake_volumes(&self, made: &[&Mounted]) {
        for mounted in made.iter().filter(|mounted| mounted.is_of_one_instance()) {
            if let Err(problem) = self.remove_copy(&mounted.name, &mounted.copy).await {
                tracing::warn!(volume = %mounted.name, %problem, "An empty volume is left over");
            }
        }
    }

    pub(super) async fn find_volume(&self, name: &str) -> Result<Option<Volume>, Failure> {
        let found = self
            .call(READ_LIMIT, |client| {
                let name = name.to_owned();
                async move { client.inspect_volume(&name).await }
            })
            .await;
        match found {
            Ok(volume) => Ok(Some(volume)),
            Err(trouble) if trouble.is_status(NOT_FOUND) => Ok(None),
            Err(trouble) => Err(trouble.into()),
        }
    }

    /// Docker takes one that is there as it is, unless another driver keeps it.
    pub(super) async fn make_volume(&self, mounted: &Mounted, grid: &str) -> Result<(), Failure> {
        let request = VolumeCreateRequest {
            name: Some(mounted.name.clone()),
            driver: Some(mounted.definition.driver.clone()),
            driver_opts: Some(mounted.definition.options.clone().into_iter().collect()),
            labels: Some(labels(&mounted.copy, grid)),
            ..VolumeCreateRequest::default()
        };
        let made = self
            .call(CHANGE_LIMIT, |client| async move {
                client.create_volume(request).await
            })
            .await;
        match made {
            Ok(_) => Ok(()),
            Err(Trouble::Refused { message, .. }) => Err(Failure::Refused {
                problem: format!("the volume `{}` cannot be made: {message}", mounted.name),
            }),
            Err(Trouble::Unreachable(problem)) => Err(Failure::Unreachable { problem }),
        }
    }

    /// All copies of the grid, by name.
    pub(super) async fn list_volumes(&self, grid: &str) -> Result<BTreeMap<String, Copy>, Trouble> {
        let label = ("label".to_owned(), vec![format!("{GRID}={grid}")]);
        let options = ListVolumesOptions {
            filters: Some(HashMap::from([label])),
        };
        let listed = self
            .call(READ_LIMIT, |client| async move {
                client.list_volumes(Some(options)).await
            })
            .await?;
        for warning in listed.warnings.into_iter().flatten() {
            tracing::debug!(%warning, "The engine warns of its volumes");
        }
        let volumes = listed.volumes.into_iter().flatten();
        Ok(volumes
            .filter_map(|volume| Some((volume.name.clone(), copy(&volume)?)))
            .collect())
    }

    /// One of this name that is not that copy was made by somebody else since, and stays.
    pub(crate) async fn remove_volume(&self, name: &str, wanted: &Copy) -> Outcome {
        // Between the making of a volume and that of its container nothing but this lock keeps it.
        let Ok(_alone) = self.mounting.try_write() else {
            let problem = "a container is being made".to_owned();
            return Err(Failure::Refused { problem });
        };
        self.remove_copy(name, wanted).await
    }

    async fn remove_copy(&self, name: &str, wanted: &Copy) -> Outcome {
        let found = self.find_volume(name).await?;
        let is_it = |volume: &Volume| copy(volume).as_ref() == Some(wanted);
        if !found.is_some_and(|volume| is_it(&volume)) {
            return Ok(Success::Done);
        }
        let removed = self
            .call(CHANGE_LIMIT, |client| {
                let name = name.to_owned();
                async move {
                    client
                        .remove_volume(&name, None::<RemoveVolumeOptions>)
                        .await
                }
            })
            .await;
        match removed {
            Ok(()) => Ok(Success::Done),
            Err(trouble) if trouble.is_status(NOT_FOUND) => Ok(Success::Done),
            Err(Trouble::Refused { message, .. }) => Err(Failure::Refused { problem: message }),
            Err(Trouble::Unreachable(problem)) => Err(Failure::Unreachable { problem }),
        }
    }
}

/// Parts of names are put together with dots and hyphens: `db.data-1` is what the stack `db` has of `data-1`, and what the first
/// instance of the service `db` has of `data`. Whoever removes the one must not remove the other's data.
fn check_is_of(found: &Volume, mounted: &Mounted) -> Result<(), Failure> {
    let Some(other) = copy(found).filter(|copy| !copy.is_of_the_same(&mounted.copy)) else {
        return Ok(());
    };
    let whose = match other {
        Copy::Volume { volume, .. } => format!("of the volume `{volume}`"),
        Copy::Own { instance, .. } => format!("of `{instance}`"),
    };
    Err(Failure::Refused {
        problem: format!("the Docker volume `{}` has the data {whose}", mounted.name),
    })
}

fn labels(copy: &Copy, grid: &str) -> HashMap<String, String> {
    let text = serde_json::to_string(copy).expect("it holds only text keys and text");
    let (key, name) = match copy {
        Copy::Volume { volume, .. } => (NAME, volume.to_string()),
        Copy::Own { instance, .. } => (INSTANCE, instance.to_string()),
    };
    let labels = [(GRID, grid.to_owned()), (COPY, text), (key, name)];
    HashMap::from(labels.map(|(key, value)| (key.to_owned(), value)))
}

/// `None` for what is not ours, or what a newer version made in words of its own.
pub(super) fn copy(volume: &Volume) -> Option<Copy> {
    serde_json::from_str(volume.labels.get(COPY)?).ok()
}

#[cfg(test)]
mod tests {
    use kontena_core::id::EnvelopeHash;
    use kontena_core::volume::{Definition, Scope};

    use super::*;

    #[test]
    fn a_copy_is_read_from_its_labels_as_it_was_written() {
        let copies = [
            Copy::Volume {
                volume: "data".parse().unwrap(),
                creation: EnvelopeHash([7; 32]),
            },
            Copy::Own {
                instance: "shop/db-2".parse().unwrap(),
                creation: EnvelopeHash([8; 32]),
            },
        ];
        for wanted in copies {
            let volume = Volume {
                labels: labels(&wanted, "grid"),
                ..Volume::default()
            };
            assert_eq!(volume.labels[GRID], "grid");
            assert_eq!(copy(&volume), Some(wanted));
        }
        assert_eq!(copy(&Volume::default()), None);
    }

    #[test]
    fn what_is_labelled_as_another_volumes_is_not_mounted_and_everything_else_is() {
        let of = |volume: &str, creation| Copy::Volume {
            volume: volume.parse().unwrap(),
            creation: EnvelopeHash([creation; 32]),
        };
        let mounted = Mounted {
            name: "db.data-1".to_owned(),
            definition: Definition::local(Scope::Instance),
            copy: of("data", 7),
        };
        let found = |copy: &Copy| Volume {
            labels: labels(copy, "grid"),
            ..Volume::default()
        };
        let refused = check_is_of(&found(&of("data-1", 7)), &mounted).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the Docker volume `db.data-1` has the data of the volume `data-1`"
        );
        for taken in [Volume::default(), found(&of("data", 3))] {
            assert!(check_is_of(&taken, &mounted).is_ok(), "{taken:?}");
        }
    }
}
