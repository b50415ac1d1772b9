//! Containers that are made for one command, and removed with it: of hooks, and one-off ones.

use bollard::models::ContainerCreateBody;
use kontena_core::reconcile::action::{ContainerId, ContainerSpec, Failure};

use super::Docker;
use super::fencing::{Unstarted, tag_of};
use super::trouble::{CONFLICT, NOT_FOUND, Trouble};

impl Docker {
    /// Makes one of `spec`, with its volumes, as `body` says, if it may be started. Where it is refused nothing stays behind.
    pub(super) async fn create_throw_away(
        &self,
        spec: &ContainerSpec,
        body: ContainerCreateBody,
    ) -> Result<ContainerId, Failure> {
        self.check_may_start(spec).await?;
        let _mounting = self.mounting.read().await;
        let made = self.make_volumes(spec).await?;
        let created = self.create_from(&spec.name, body).await;
        if let Err(Trouble::Refused { .. }) = &created {
            self.unmake_volumes(&made).await;
        }
        match created {
            Ok(id) => Ok(id),
            Err(trouble) if trouble.is_status(CONFLICT) => Err(Failure::Occupied {
                name: spec.name.clone(),
            }),
            Err(Trouble::Refused {
                status: NOT_FOUND,
                message,
            }) => Err(Failure::NoImage {
                image: spec.image.clone(),
                problem: message,
            }),
            Err(trouble) => Err(trouble.into()),
        }
    }

    /// Starts one. Nobody puts other data in place of what it mounts meanwhile.
    pub(super) async fn start_throw_away(
        &self,
        id: &ContainerId,
        spec: &ContainerSpec,
    ) -> Result<(), Unstarted> {
        let _mounting = self.mounting.read().await;
        self.start_call(id, tag_of(spec).as_ref()).await
    }

    /// Whether it runs or not, with the volumes that were made for it alone. One that is gone is success.
    pub(super) async fn remove_throw_away(&self, name: &str) -> Result<(), Trouble> {
        self.remove_running(name, true).await
    }
}
