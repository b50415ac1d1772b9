//! Containers that run under a lease: made so that the fence finds all their processes, and started only while it does
//! its work and there is time left.
//!
//! By the parent of its control group, because everything is in there from its first instruction on, and nobody but the
//! engine is asked for it.

use bollard::models::{ContainerInspectResponse, SystemInfoCgroupDriverEnum};
use bollard::query_parameters::{KillContainerOptions, StartContainerOptions};
use kontena_core::lease::Fenced;
use kontena_core::reconcile::action::{ContainerId, ContainerSpec, Failure};
use tokio::task::spawn_blocking;

use super::trouble::{CONFLICT, NOT_FOUND, Trouble};
use super::{CHANGE_LIMIT, Docker, READ_LIMIT};
use crate::fence::{Tag, is_carried};

/// How an engine makes control groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grouping {
    /// As folders.
    Folders,
    /// By systemd, as slices.
    Slices,
    /// Not at all, so that nothing can be fenced.
    Nothing,
}

/// Why a container was not started.
pub(super) enum Unstarted {
    /// It was not tried.
    Unfenced(String),
    /// It was too late, and what ran for a moment was killed.
    Killed(String),
    Engine(Trouble),
}

impl From<Trouble> for Unstarted {
    fn from(trouble: Trouble) -> Self {
        Self::Engine(trouble)
    }
}

impl From<Unstarted> for Failure {
    fn from(unstarted: Unstarted) -> Self {
        match unstarted {
            Unstarted::Unfenced(problem) | Unstarted::Killed(problem) => unfenced(problem),
            Unstarted::Engine(trouble) => trouble.into(),
        }
    }
}

/// Nothing is concluded from it: neither the service nor its image has to do with it, and it is tried again.
fn unfenced(problem: String) -> Failure {
    Failure::Unfenced { problem }
}

/// What everything of the container carries.
pub(super) fn tag_of(spec: &ContainerSpec) -> Option<Tag> {
    spec.fence.map(|Fenced { tag, .. }| tag.into())
}

impl Grouping {
    fn parent(self, tag: &Tag) -> Option<String> {
        match self {
            Self::Folders => Some(format!("/{}", tag.group())),
            Self::Slices => Some(tag.slice()),
            Self::Nothing => None,
        }
    }
}

impl From<Option<SystemInfoCgroupDriverEnum>> for Grouping {
    fn from(driver: Option<SystemInfoCgroupDriverEnum>) -> Self {
        use SystemInfoCgroupDriverEnum as Driver;
        match driver {
            Some(Driver::CGROUPFS) => Self::Folders,
            Some(Driver::SYSTEMD) => Self::Slices,
            Some(Driver::NONE | Driver::EMPTY) | None => Self::Nothing,
        }
    }
}

/// What a container that exists carries.
fn carried(inspected: &ContainerInspectResponse) -> Option<Tag> {
    let parent = parent(inspected)?;
    parent.rsplit('/').next().and_then(Tag::of_group)
}

fn parent(inspected: &ContainerInspectResponse) -> Option<&str> {
    let host_config = inspected.host_config.as_ref()?;
    host_config.cgroup_parent.as_deref()
}

/// Whether a container that exists is fenced as one would be that is made now, in that control group.
pub(super) fn is_fenced_alike(inspected: &ContainerInspectResponse, group: Option<&str>) -> bool {
    match group {
        Some(group) => parent(inspected) == Some(group),
        None => carried(inspected).is_none(),
    }
}

impl Docker {
    /// The control group in which a container of `spec` is to be made; `None` where it is no matter.
    pub(super) async fn group_of(&self, spec: &ContainerSpec) -> Result<Option<String>, Failure> {
        let Some(tag) = tag_of(spec) else {
            return Ok(None);
        };
        let parent = self.grouping().await?.parent(&tag);
        let none = || unfenced("its engine has no control groups to fence it by".to_owned());
        parent.map(Some).ok_or_else(none)
    }

    /// Asked once of each engine that is connected to.
    async fn grouping(&self) -> Result<Grouping, Trouble> {
        if let Some(known) = *self.known_grouping() {
            return Ok(known);
        }
        let info = self
            .call(READ_LIMIT, |client| async move { client.info().await })
            .await?;
        let grouping = Grouping::from(info.cgroup_driver);
        *self.known_grouping() = Some(grouping);
        Ok(grouping)
    }

    /// Refuses before anything is made that could not be started.
    pub(super) async fn check_may_start(&self, spec: &ContainerSpec) -> Result<(), Failure> {
        match tag_of(spec) {
            Some(tag) => self.fences.may_start(&tag).await.map_err(unfenced),
            None => Ok(()),
        }
    }

    /// Starts a container, one that is fenced only if it may be.
    pub(super) async fn start_call(
        &self,
        id: &ContainerId,
        fence: Option<&Tag>,
    ) -> Result<(), Unstarted> {
        let Some(tag) = fence else {
            return Ok(self.start_unfenced(id).await?);
        };
        let may = self.fences.may_start(tag).await;
        may.map_err(Unstarted::Unfenced)?;
        self.start_unfenced(id).await?;
        self.check_is_fenced(id, tag).await
    }

    /// What [`Self::start_call`] is for a container that is paused.
    pub(super) async fn unpause_call(
        &self,
        id: &ContainerId,
        fence: Option<&Tag>,
    ) -> Result<(), Unstarted> {
        if let Some(tag) = fence {
            let may = self.fences.may_start(tag).await;
            may.map_err(Unstarted::Unfenced)?;
        }
        Ok(self.unpause(id).await?)
    }

    async fn start_unfenced(&self, id: &ContainerId) -> Result<(), Trouble> {
        let name = id.0.clone();
        self.call(CHANGE_LIMIT, |client| async move {
            client
                .start_container(&name, None::<StartContainerOptions>)
                .await
        })
        .await
    }

    /// What a container that exists carries.
    pub(super) async fn carried_by(&self, id: &ContainerId) -> Result<Option<Tag>, Trouble> {
        Ok(carried(&self.inspect(&id.0).await?))
    }

    /// Kills at once what was started too late, or where the fence cannot see it.
    pub(super) async fn check_is_fenced(
        &self,
        id: &ContainerId,
        tag: &Tag,
    ) -> Result<(), Unstarted> {
        let problem = match self.fences.may_run(tag) {
            Err(problem) => problem,
            Ok(()) => match self.is_seen(id, tag).await {
                Ok(true) => return Ok(()),
                Ok(false) => {
                    "the fence does not see its processes: do engine and node share a host?"
                        .to_owned()
                }
                Err(trouble) => trouble.problem().to_owned(),
            },
        };
        self.kill(id).await?;
        Err(Unstarted::Killed(problem))
    }

    /// Whether its processes are to be found here: the engine may be another host's, or make other control groups than it
    /// says. One that has ended has none.
    async fn is_seen(&self, id: &ContainerId, tag: &Tag) -> Result<bool, Trouble> {
        if is_carried_here(tag).await {
            return Ok(true);
        }
        let state = self.inspect(&id.0).await?.state;
        let runs = state.and_then(|state| state.running);
        Ok(runs != Some(true) || is_carried_here(tag).await)
    }

    async fn kill(&self, id: &ContainerId) -> Result<(), Trouble> {
        let name = id.0.clone();
        let options = KillContainerOptions {
            signal: "SIGKILL".to_owned(),
        };
        let killed = self
            .call(CHANGE_LIMIT, |client| async move {
                client.kill_container(&name, Some(options)).await
            })
            .await;
        match killed {
            // It does not run any more.
            Err(trouble) if trouble.is_status(CONFLICT) || trouble.is_status(NOT_FOUND) => Ok(()),
            killed => killed,
        }
    }
}

async fn is_carried_here(tag: &Tag) -> bool {
    let tag = tag.clone();
    let looked = spawn_blocking(move || is_carried(&tag)).await;
    looked.is_ok_and(|is_carried| is_carried.unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use bollard::models::HostConfig;

    use super::*;

    const DIGITS: &str = "0123456789abcdef0123456789abcdef";

    fn with_parent(parent: Option<&str>) -> ContainerInspectResponse {
        ContainerInspectResponse {
            host_config: Some(HostConfig {
                cgroup_parent: parent.map(str::to_owned),
                ..HostConfig::default()
            }),
            ..ContainerInspectResponse::default()
        }
    }

    #[test]
    fn the_group_is_spelt_as_the_engine_makes_it_and_known_again() {
        use SystemInfoCgroupDriverEnum as Driver;
        let tag = Tag::read(DIGITS).unwrap();
        for (driver, expected) in [
            (Some(Driver::CGROUPFS), Some(format!("/kontena-{DIGITS}"))),
            (
                Some(Driver::SYSTEMD),
                Some(format!("kontena-{DIGITS}.slice")),
            ),
            (Some(Driver::NONE), None),
            (None, None),
        ] {
            let parent = Grouping::from(driver).parent(&tag);
            assert_eq!(parent, expected);
            if parent.is_some() {
                assert_eq!(
                    carried(&with_parent(parent.as_deref())).as_ref(),
                    Some(&tag)
                );
            }
        }
        assert_eq!(carried(&with_parent(Some("/docker"))), None);
        assert_eq!(carried(&ContainerInspectResponse::default()), None);
    }

    #[test]
    fn a_container_is_fenced_alike_in_the_very_group_alone() {
        let group = format!("/kontena-{DIGITS}");
        let slice = format!("kontena-{DIGITS}.slice");
        let is_alike = |parent, group| is_fenced_alike(&with_parent(parent), group);
        assert!(is_alike(Some(&group), Some(&group)));
        assert!(!is_alike(Some(&slice), Some(&group)), "of another driver");
        assert!(!is_alike(Some(""), Some(&group)));
        assert!(!is_alike(None, Some(&group)));
        assert!(is_alike(None, None));
        assert!(is_alike(Some("/docker"), None));
        assert!(!is_alike(Some(&group), None), "fenced, where none is to be");
    }
}
