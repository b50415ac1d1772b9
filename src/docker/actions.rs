//! Carrying out one [`Action`]. Each may be repeated: doing it twice is the same as once.
//!
//! The happy path of [`Action::Run`] is create, start and one inspect (which knows the address):
//! one cheap call more than the engine's own create and start.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::models::{ContainerCreateBody, ContainerInspectResponse};
use bollard::query_parameters::{
    CreateContainerOptions, CreateImageOptions, InspectContainerOptions, RemoveContainerOptions,
    RenameContainerOptions, StopContainerOptions,
};
use futures::StreamExt;
use kontena_core::reconcile::action::{
    Action, Container, ContainerId, ContainerSpec, ContainerState, Failure, Outcome, Success,
};
use kontena_core::stack::FrozenImage;
use kontena_core::volume::Mounted;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::container::container;
use super::fencing::{Unstarted, is_fenced_alike, tag_of};
use super::pull::Pull;
use super::spec::{create_body, whole_seconds};
use super::trouble::{CONFLICT, NOT_FOUND, Trouble};
use super::{CHANGE_LIMIT, Docker, READ_LIMIT};

/// How much longer than its grace a stop may take: SIGKILL, unmounting, a busy engine.
const STOP_MARGIN: Duration = Duration::from_secs(30);

/// Until a registry has named the image's layers. Docker itself gives up on a name server that is
/// silent after 20 s; a host without a way out shall not wait longer than that.
const REGISTRY_LIMIT: Duration = Duration::from_secs(20);

/// A pull that shows no progress for so long is given up, and asked for again later.
const PROGRESS_LIMIT: Duration = Duration::from_secs(60);

/// Between two attempts to connect: a fraction of the time in which a server starts.
const PROBE_PAUSE: Duration = Duration::from_millis(50);

/// For one attempt to connect, to a host that swallows packets.
const PROBE_ATTEMPT: Duration = Duration::from_secs(1);

/// Hears how far a pull has come.
type Tell<'a> = dyn Fn(u8) + Send + Sync + 'a;

impl Docker {
    /// [`Self::carry_out_telling`] to nobody.
    #[cfg(test)]
    pub(crate) async fn carry_out(&self, action: Action) -> Outcome {
        self.carry_out_telling(action, &|_| ()).await
    }

    /// Does what the action says, and says what became of it; of a pull `tell` hears how many hundredths are here. May be
    /// dropped at any time: what was half done is seen by [`Docker::watch`], and the same action completes it.
    pub(crate) async fn carry_out_telling(&self, action: Action, tell: &Tell<'_>) -> Outcome {
        match action {
            Action::Fetch { image, frozen } => self.fetch(&image, frozen.as_ref(), tell).await,
            Action::Run(spec) => self.run(&spec).await,
            Action::RemoveVolume { name, copy } => self.remove_volume(&name, &copy).await,
            // Between nodes: whoever connects the edges carries it out.
            Action::Move(_) => Err(Failure::Refused {
                problem: "a move takes more than an engine".to_owned(),
            }),
            Action::Start { container } => self.start(&container).await,
            Action::Stop { container, grace } => self.stop(&container, grace).await,
            Action::Remove { container } => self.remove(&container).await,
            Action::Rename { container, name } => self.rename(&container, &name).await,
            Action::Probe {
                address,
                port,
                limit,
            } => probe(address, port, limit).await,
            Action::Check { target, limit } => self.check(target, limit).await,
            Action::Hook {
                spec,
                hook,
                command,
                limit,
            } => self.hook(&spec, hook, command, limit).await,
            Action::LastLines { container } => {
                let lines = self.last_lines(&container).await;
                Ok(Success::Lines(lines.into()))
            }
            Action::Command {
                container,
                hook,
                command,
                limit,
            } => self.hook_inside(&container, hook, &command, limit).await,
        }
    }

    async fn fetch(&self, image: &str, frozen: Option<&FrozenImage>, tell: &Tell<'_>) -> Outcome {
        if let Some(id) = frozen.and_then(FrozenImage::id)
            && let Some(pinned) = self.image_id(id).await?
        {
            return Ok(Success::Image { pinned });
        }
        let reference = frozen.and_then(|frozen| frozen.reference(image));
        self.fetch_named(reference.as_deref().unwrap_or(image), tell)
            .await
    }

    async fn fetch_named(&self, image: &str, tell: &Tell<'_>) -> Outcome {
        if let Some(pinned) = self.image_id(image).await? {
            return Ok(Success::Image { pinned });
        }
        let missing = |problem: String| Failure::NoImage {
            image: image.to_owned(),
            problem,
        };
        if image.starts_with("sha256:") {
            return Err(missing("no image with this id is on this node".to_owned()));
        }
        // Whoever cannot say who it is may be given a public image all the same.
        let (credentials, lacks) = match self.credentials(image) {
            Ok(credentials) => (credentials, None),
            Err(problem) => (None, Some(problem)),
        };
        let pulled = self.pull(image, credentials, tell).await;
        pulled.map_err(|trouble| match trouble {
            Trouble::Refused { message, .. } => missing(match lacks {
                Some(problem) => format!("{message} ({problem})"),
                None => message,
            }),
            Trouble::Unreachable(problem) => Failure::Unreachable { problem },
        })?;
        match self.image_id(image).await? {
            Some(pinned) => Ok(Success::Image { pinned }),
            None => Err(missing("it was pulled, and is not there".to_owned())),
        }
    }

    /// The engine's id of an image, which is exact and needs no registry.
    async fn image_id(&self, image: &str) -> Result<Option<String>, Failure> {
        let inspected = self
            .call(READ_LIMIT, |client| {
                let image = image.to_owned();
                async move { client.inspect_image(&image).await }
            })
            .await;
        match inspected {
            Ok(found) => Ok(found.id),
            Err(trouble) if trouble.is_status(NOT_FOUND) => Ok(None),
            Err(trouble) => Err(trouble.into()),
        }
    }

    /// Pulls with a limit on silence, not on the whole: a large image over a thin line takes hours.
    async fn pull(
        &self,
        image: &str,
        credentials: Option<DockerCredentials>,
        tell: &Tell<'_>,
    ) -> Result<(), Trouble> {
        let client = self.client().await?;
        let options = CreateImageOptions {
            from_image: Some(image.to_owned()),
            ..CreateImageOptions::default()
        };
        let mut progress = Box::pin(client.create_image(Some(options), None, credentials));
        let mut limit = REGISTRY_LIMIT;
        let mut pull = Pull::default();
        loop {
            let Ok(next) = tokio::time::timeout(limit, progress.next()).await else {
                return Err(silent_registry(limit));
            };
            match next {
                None => return Ok(()),
                Some(Err(error)) => return Err(error.into()),
                Some(Ok(told)) => {
                    limit = PROGRESS_LIMIT;
                    pull.note(&told).into_iter().for_each(tell);
                }
            }
        }
    }

    async fn run(&self, spec: &ContainerSpec) -> Outcome {
        self.check_may_start(spec).await?;
        let _mounting = self.mounting.read().await;
        let made = self.make_volumes(spec).await?;
        let ran = self.run_with_volumes(spec, &made).await;
        if let Err(failure) = &ran
            && !matches!(failure, Failure::Unreachable { .. })
        {
            self.unmake_volumes(&made).await;
        }
        ran
    }

    async fn run_with_volumes(&self, spec: &ContainerSpec, made: &[&Mounted]) -> Outcome {
        let group = self.group_of(spec).await?;
        match self.create(spec, group.clone()).await {
            Ok(id) => self.start_new(&id, spec, made).await,
            Err(trouble) if trouble.is_status(CONFLICT) => self.adopt(spec, group.as_deref()).await,
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

    async fn create(
        &self,
        spec: &ContainerSpec,
        group: Option<String>,
    ) -> Result<ContainerId, Trouble> {
        let body = create_body(spec, &self.network, group);
        self.create_from(&spec.name, body).await
    }

    pub(super) async fn create_from(
        &self,
        name: &str,
        body: ContainerCreateBody,
    ) -> Result<ContainerId, Trouble> {
        let options = CreateContainerOptions {
            name: Some(name.to_owned()),
            ..CreateContainerOptions::default()
        };
        let created = self
            .call(CHANGE_LIMIT, |client| async move {
                client.create_container(Some(options), body).await
            })
            .await?;
        for warning in &created.warnings {
            tracing::warn!(container = %name, %warning, "The engine warns");
        }
        Ok(ContainerId(created.id))
    }

    /// Starts what was just created, with the volumes that were made for it; where that is refused, nothing stays behind.
    async fn start_new(
        &self,
        id: &ContainerId,
        spec: &ContainerSpec,
        made: &[&Mounted],
    ) -> Outcome {
        match self.start_call(id, tag_of(spec).as_ref()).await {
            Ok(()) => self.running(id).await,
            Err(Unstarted::Engine(trouble @ Trouble::Refused { .. })) => {
                self.discard(id).await;
                Err(start_failure(trouble, spec))
            }
            Err(unfenced @ Unstarted::Unfenced(_)) => {
                self.discard(id).await;
                self.unmake_volumes(made).await;
                Err(unfenced.into())
            }
            Err(unknown @ (Unstarted::Engine(Trouble::Unreachable(_)) | Unstarted::Killed(_))) => {
                Err(unknown.into())
            }
        }
    }

    /// Removes a container that never ran, with the volumes that were made for it alone.
    async fn discard(&self, id: &ContainerId) {
        let removed = self.remove_call(id, true).await;
        if let Err(trouble) = removed {
            let problem = trouble.problem();
            tracing::warn!(container = %id.0, problem, "A container that cannot start is left over");
        }
    }

    /// Another container has the name: ours of the same make is adopted, any other stays untouched, as does one that the
    /// fence would not find.
    async fn adopt(&self, spec: &ContainerSpec, group: Option<&str>) -> Outcome {
        let occupied = || Failure::Occupied {
            name: spec.name.clone(),
        };
        let found = match self.inspect(&spec.name).await {
            Ok(inspected) if !is_fenced_alike(&inspected, group) => return Err(occupied()),
            Ok(inspected) => container(inspected, &self.network),
            // It went away between the two calls: the next attempt finds the name free.
            Err(trouble) if trouble.is_status(NOT_FOUND) => return Err(occupied()),
            Err(trouble) => return Err(trouble.into()),
        };
        let Some(found) = found.filter(|found| found.owner == spec.labels) else {
            return Err(occupied());
        };
        match found.state {
            ContainerState::Running { .. } | ContainerState::Restarting => {
                if let Some(tag) = tag_of(spec) {
                    self.check_is_fenced(&found.id, &tag).await?;
                }
                Ok(Success::Running(Box::new(found)))
            }
            ContainerState::Created | ContainerState::Exited { .. } => {
                self.start_call(&found.id, tag_of(spec).as_ref()).await?;
                self.running(&found.id).await
            }
            ContainerState::Paused => {
                self.unpause_call(&found.id, tag_of(spec).as_ref()).await?;
                self.running(&found.id).await
            }
            ContainerState::Dead => Err(occupied()),
        }
    }

    async fn running(&self, id: &ContainerId) -> Outcome {
        let inspected = self.inspect(&id.0).await?;
        let found: Option<Container> = container(inspected, &self.network);
        found
            .map(|container| Success::Running(Box::new(container)))
            .ok_or_else(|| Failure::Refused {
                problem: format!("container `{}` lost its labels", id.0),
            })
    }

    async fn start(&self, id: &ContainerId) -> Outcome {
        let _mounting = self.mounting.read().await;
        let carried = self.carried_by(id).await?;
        self.start_call(id, carried.as_ref()).await?;
        Ok(Success::Done)
    }

    pub(super) async fn stop(&self, id: &ContainerId, grace: Duration) -> Outcome {
        let options = StopContainerOptions {
            signal: None,
            t: Some(whole_seconds(grace)),
        };
        let limit = grace.saturating_add(STOP_MARGIN);
        let name = id.0.clone();
        let stopped = self
            .call(limit, |client| async move {
                client.stop_container(&name, Some(options)).await
            })
            .await;
        done_unless_there(stopped)
    }

    async fn remove(&self, id: &ContainerId) -> Outcome {
        match self.remove_call(id, false).await {
            Err(Trouble::Refused {
                status: CONFLICT,
                message,
            }) if message.contains("already in progress") => Ok(Success::Done),
            removed => done_unless_there(removed),
        }
    }

    async fn rename(&self, id: &ContainerId, name: &str) -> Outcome {
        let options = RenameContainerOptions {
            name: name.to_owned(),
        };
        let container = id.0.clone();
        let renamed = self
            .call(CHANGE_LIMIT, |client| async move {
                client.rename_container(&container, options).await
            })
            .await;
        match renamed {
            // Its own name is in its way as well.
            Err(Trouble::Refused { .. }) if self.has_name(id, name).await? => Ok(Success::Done),
            Err(trouble) if trouble.is_status(NOT_FOUND) => Err(Failure::Gone),
            Err(trouble) if trouble.is_status(CONFLICT) => Err(Failure::Occupied {
                name: name.to_owned(),
            }),
            renamed => done_unless_there(renamed),
        }
    }

    async fn has_name(&self, id: &ContainerId, name: &str) -> Result<bool, Failure> {
        match self.inspect(&id.0).await {
            Ok(inspected) => {
                let found = inspected.name.unwrap_or_default();
                Ok(found.trim_start_matches('/') == name)
            }
            Err(trouble) if trouble.is_status(NOT_FOUND) => Ok(false),
            Err(trouble) => Err(trouble.into()),
        }
    }

    pub(super) async fn unpause(&self, id: &ContainerId) -> Result<(), Trouble> {
        let name = id.0.clone();
        self.call(CHANGE_LIMIT, |client| async move {
            client.unpause_container(&name).await
        })
        .await
    }

    async fn remove_call(&self, id: &ContainerId, with_volumes: bool) -> Result<(), Trouble> {
        let options = RemoveContainerOptions {
            v: with_volumes,
            force: false,
            link: false,
        };
        let name = id.0.clone();
        self.call(CHANGE_LIMIT, |client| async move {
            client.remove_container(&name, Some(options)).await
        })
        .await
    }

    /// Whether it runs or not, and whether it is there or not.
    pub(super) async fn remove_running(
        &self,
        name: &str,
        with_volumes: bool,
    ) -> Result<(), Trouble> {
        let options = RemoveContainerOptions {
            v: with_volumes,
            force: true,
            link: false,
        };
        let name = name.to_owned();
        let removed = self
            .call(CHANGE_LIMIT, |client| async move {
                client.remove_container(&name, Some(options)).await
            })
            .await;
        match removed {
            Err(trouble) if trouble.is_status(NOT_FOUND) => Ok(()),
            removed => removed,
        }
    }

    pub(super) async fn inspect(&self, name: &str) -> Result<ContainerInspectResponse, Trouble> {
        let name = name.to_owned();
        self.call(READ_LIMIT, |client| async move {
            client
                .inspect_container(&name, None::<InspectContainerOptions>)
                .await
        })
        .await
    }
}

/// Of a container that did not start: something may have its address. A taken port is told in the same words,
/// but for the call that found it.
fn start_failure(trouble: Trouble, spec: &ContainerSpec) -> Failure {
    let said = trouble.problem().to_ascii_lowercase();
    let is_taken = said.contains("address already in use") && !said.contains("bind");
    match (Failure::from(trouble), spec.network.address()) {
        (Failure::Refused { .. }, Some(address)) if is_taken => Failure::AddressTaken { address },
        (failure, _) => failure,
    }
}

/// A container that is gone is as stopped and as removed as can be.
fn done_unless_there(result: Result<(), Trouble>) -> Outcome {
    match result {
        Ok(()) => Ok(Success::Done),
        Err(trouble) if trouble.is_status(NOT_FOUND) => Ok(Success::Done),
        Err(trouble) => Err(trouble.into()),
    }
}

/// The engine works (it was asked for the image just before), so it is the registry that is silent.
fn silent_registry(limit: Duration) -> Trouble {
    Trouble::Refused {
        status: 504,
        message: format!("the registry was silent for {} s", limit.as_secs()),
    }
}

async fn probe(address: IpAddr, port: u16, limit: Duration) -> Outcome {
    let deadline = Instant::now() + limit.min(Duration::from_secs(24 * 60 * 60));
    let target = SocketAddr::new(address, port);
    loop {
        let attempt_ends = deadline.min(Instant::now() + PROBE_ATTEMPT);
        let problem = match tokio::time::timeout_at(attempt_ends, TcpStream::connect(target)).await
        {
            Ok(Ok(_)) => return Ok(Success::Done),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        if Instant::now() + PROBE_PAUSE >= deadline {
            return Err(Failure::NotReady {
                problem: format!("{target}: {problem}"),
            });
        }
        tokio::time::sleep(PROBE_PAUSE).await;
    }
}
