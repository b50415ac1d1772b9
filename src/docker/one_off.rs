//! One-off containers: the program of each is a command that somebody waits for, and the container goes with it.
//!
//! It carries the grid's label, as everything of it, and not those of an instance. Who waits for which is known here
//! alone, so what an earlier life of the daemon left is what nobody waits for, as is one whose removal failed: each look
//! at the engine removes those ([`Docker::remove_strays`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::models::{ContainerCreateBody, ContainerSummary, HostConfig};
use bollard::query_parameters::ResizeContainerTTYOptions;
use kontena_core::network::ipam::Subnet;
use kontena_core::reconcile::action::{Attachment, ContainerId, ContainerSpec, Failure};
use kontena_core::report::OneOff as Told;
use kontena_core::stack::NetworkMode;
use kontena_core::time::WallTime;
use tokio::time::timeout;

use super::container::plain_name;
use super::contents::claims::Claim;
use super::exec::{ExecOptions, NotStarted};
use super::fencing::Unstarted;
use super::labels::INSTANCE;
use super::process::{Process, Running};
use super::spec::create_body;
use super::trouble::Trouble;
use super::{Docker, READ_LIMIT};

/// In the place of which instance it stands.
const ONE_OFF: &str = "io.kontena.one_off";

/// Whoever waits for the end is not told later than this because a container takes long to go.
const REMOVAL_LIMIT: Duration = Duration::from_secs(10);

/// The exit codes of a shell, and of `docker run`, for a program that is not there, and for one that is none.
const NOT_THERE: i64 = 127;
const NO_PROGRAM: i64 = 126;

/// A one-off container that was started.
pub(crate) struct OneOff {
    id: ContainerId,
    /// Between the signal to stop and SIGKILL.
    grace: Duration,
    _awaited: Awaited,
}

/// The containers that somebody waits for, by their names.
#[derive(Clone, Debug, Default)]
pub(super) struct AwaitedNames(Arc<Mutex<BTreeSet<String>>>);

/// Somebody waits for a container, until this is dropped.
struct Awaited {
    name: String,
    all: AwaitedNames,
}

impl AwaitedNames {
    /// `None` where somebody waits for it already.
    fn wait_for(&self, name: &str) -> Option<Awaited> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.insert(name.to_owned()).then(|| Awaited {
            name: name.to_owned(),
            all: self.clone(),
        })
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        let names = self.all.0.lock();
        names
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.name);
    }
}

impl Docker {
    /// How a one-off container is attached. Its address is the engine's choice: those of instances are given by others.
    ///
    /// # Errors
    /// The engine does not answer, or the network is not set up yet.
    pub(crate) async fn free_attachment(
        &self,
        mode: NetworkMode,
    ) -> Result<Attachment, NotStarted> {
        match mode {
            NetworkMode::Host => Ok(Attachment::Host),
            NetworkMode::Bridge if self.network.is_empty() => Ok(Attachment::Plain),
            NetworkMode::Bridge => {
                let found = self.network_subnet().await;
                let found =
                    found.map_err(|trouble| NotStarted::Engine(trouble.problem().to_owned()))?;
                let subnet: Option<Subnet> = found.and_then(|subnet| subnet.parse().ok());
                let pending = || "the network of its node is not set up yet".to_owned();
                subnet
                    .map(Attachment::Free)
                    .ok_or_else(|| NotStarted::Container(pending()))
            }
        }
    }

    /// Takes the copies that a one-off container is to mount: nobody reads or replaces them before it runs.
    ///
    /// # Errors
    /// One is taken.
    pub(crate) fn claim_mounts(&self, spec: &ContainerSpec) -> Result<Claim, NotStarted> {
        let mounts = spec.mounts.iter();
        let volumes = mounts.filter_map(|mount| mount.docker_volume.as_ref());
        let volumes = volumes.map(|mounted| mounted.name.clone()).collect();
        let busy = |problem: anyhow::Error| NotStarted::Container(problem.to_string());
        self.claim(volumes).map_err(busy)
    }

    /// Starts a one-off container, whose input and output are the connection's. Its mounts are claimed until it runs.
    ///
    /// # Errors
    /// What the engine says against it; nothing of it stays behind.
    pub(crate) async fn start_one_off(
        &self,
        spec: &ContainerSpec,
        options: &ExecOptions,
        _mounts: Claim,
    ) -> Result<Running, NotStarted> {
        let occupied = || NotStarted::Container(format!("`{}` is there already", spec.name));
        let awaited = self.awaited.wait_for(&spec.name).ok_or_else(occupied)?;
        let group = self.group_of(spec).await.map_err(not_made)?;
        let body = one_off_body(create_body(spec, &self.network, group), options);
        let created = self.create_throw_away(spec, body).await;
        let one_off = OneOff {
            id: created.map_err(not_made)?,
            grace: spec.stop_grace,
            _awaited: awaited,
        };
        match self.attach_and_start(&one_off, spec, options).await {
            Ok(connection) => {
                let process = Process::OneOff(one_off);
                Ok(Running::of(process, connection, options.tty))
            }
            Err(unstarted) => {
                self.remove_one_off(&one_off).await;
                Err(not_begun(unstarted))
            }
        }
    }

    /// Attached before it starts: nothing that it writes is missed.
    async fn attach_and_start(
        &self,
        one_off: &OneOff,
        spec: &ContainerSpec,
        options: &ExecOptions,
    ) -> Result<super::exec::Hijacked, Unstarted> {
        let connection = self.attach_to(&one_off.id, options).await?;
        self.start_throw_away(&one_off.id, spec).await?;
        Ok(connection)
    }

    pub(super) async fn resize_one_off(
        &self,
        one_off: &OneOff,
        width: u16,
        height: u16,
    ) -> Result<(), Trouble> {
        let name = one_off.id.0.clone();
        let options = ResizeContainerTTYOptions {
            h: i32::from(height),
            w: i32::from(width),
        };
        self.call(READ_LIMIT, |client| async move {
            client.resize_container_tty(&name, options).await
        })
        .await
    }

    pub(super) async fn one_off_ended(&self, one_off: &OneOff) -> Result<i64, String> {
        let ended = self.end_of(&one_off.id).await;
        ended.map_err(|failure| failure.to_string())
    }

    pub(super) async fn end_one_off(&self, one_off: &OneOff, patience: Duration) {
        let grace = one_off.grace.min(patience);
        if let Err(failure) = self.stop(&one_off.id, grace).await {
            tracing::warn!(container = one_off.id.0, problem = %failure, "A one-off container was not stopped");
        }
    }

    pub(super) async fn remove_one_off(&self, one_off: &OneOff) {
        let removed = timeout(REMOVAL_LIMIT, self.remove_throw_away(&one_off.id.0)).await;
        let problem = match &removed {
            Ok(Ok(())) => return,
            Ok(Err(trouble)) => trouble.problem(),
            Err(_) => "it takes long",
        };
        tracing::warn!(
            container = one_off.id.0,
            problem,
            "A one-off container is left to the next look"
        );
    }

    /// Removes the one-off containers that nobody waits for.
    pub(super) fn remove_strays(&self, listed: &[ContainerSummary]) {
        for summary in listed {
            let id = summary.id.clone().unwrap_or_default();
            if let Some(awaited) = self.awaited.wait_for(&name_of(summary)) {
                tracing::info!(
                    container = id,
                    "Removing a one-off container that nobody waits for"
                );
                let docker = self.clone();
                tokio::spawn(async move {
                    if let Err(trouble) = docker.remove_throw_away(&id).await {
                        let problem = trouble.problem();
                        tracing::warn!(container = id, problem, "A one-off container is left over");
                    }
                    drop(awaited);
                });
            }
        }
    }
}

fn name_of(summary: &ContainerSummary) -> String {
    let name = summary.names.as_ref().and_then(|names| names.first());
    name.map(|name| plain_name(name)).unwrap_or_default()
}

pub(super) fn is_one_off(summary: &ContainerSummary) -> bool {
    let labels = summary.labels.as_ref();
    labels.is_some_and(|labels| labels.contains_key(ONE_OFF))
}

/// Those that run, for the report.
pub(super) fn told(listed: &[ContainerSummary]) -> BTreeMap<String, Told> {
    listed
        .iter()
        .filter_map(|summary| Some((name_of(summary), told_of(summary)?)))
        .collect()
}

fn told_of(summary: &ContainerSummary) -> Option<Told> {
    let is_running = summary.state.as_ref()?.to_string() == "running";
    let seconds = u64::try_from(summary.created.unwrap_or_default()).unwrap_or_default();
    let instance = summary.labels.as_ref()?.get(ONE_OFF)?.parse().ok()?;
    is_running.then(|| Told {
        instance,
        container: summary.id.clone().unwrap_or_default(),
        since: WallTime(seconds.saturating_mul(1_000)),
    })
}

fn one_off_body(body: ContainerCreateBody, options: &ExecOptions) -> ContainerCreateBody {
    let mut labels = body.labels.unwrap_or_default();
    if let Some(instance) = labels.remove(INSTANCE) {
        labels.insert(ONE_OFF.to_owned(), instance);
    }
    let size = options.size.filter(|_| options.tty);
    let host_config = body.host_config.map(|host_config| HostConfig {
        console_size: size.map(|(width, height)| vec![height.into(), width.into()]),
        ..host_config
    });
    ContainerCreateBody {
        labels: Some(labels),
        host_config,
        tty: Some(options.tty),
        open_stdin: Some(options.stdin),
        stdin_once: Some(options.stdin),
        attach_stdin: Some(options.stdin),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..body
    }
}

fn not_made(failure: Failure) -> NotStarted {
    match failure {
        Failure::Unreachable { .. } => NotStarted::Engine(failure.to_string()),
        Failure::Unfenced { .. }
        | Failure::NoImage { .. }
        | Failure::Occupied { .. }
        | Failure::PortTaken { .. }
        | Failure::AddressTaken { .. }
        | Failure::Gone
        | Failure::Refused { .. }
        | Failure::HookFailed { .. }
        | Failure::NotReady { .. } => NotStarted::Container(failure.to_string()),
    }
}

/// Engines tell in words alone that there is no such program: `docker run` goes by the same.
fn not_begun(unstarted: Unstarted) -> NotStarted {
    let trouble = match unstarted {
        Unstarted::Unfenced(problem) | Unstarted::Killed(problem) => {
            return NotStarted::Container(problem);
        }
        Unstarted::Engine(trouble) => trouble,
    };
    let problem = trouble.problem().to_owned();
    let says = |signs: &[&str]| signs.iter().any(|sign| problem.contains(sign));
    match trouble {
        Trouble::Unreachable(_) => NotStarted::Engine(problem),
        Trouble::Refused { .. } if says(&["executable file not found", "no such file"]) => {
            NotStarted::Program {
                code: NOT_THERE,
                problem,
            }
        }
        Trouble::Refused { .. } if says(&["permission denied", "is a directory"]) => {
            NotStarted::Program {
                code: NO_PROGRAM,
                problem,
            }
        }
        Trouble::Refused { .. } => NotStarted::Container(problem),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use bollard::models::ContainerSummaryStateEnum;

    use super::*;

    #[test]
    fn a_program_that_is_not_there_is_told_from_one_that_is_none_and_from_an_engine_that_fails() {
        let begun = |message: &str| {
            let message = message.to_owned();
            let status = 400;
            match not_begun(Trouble::Refused { status, message }.into()) {
                NotStarted::Program { code, .. } => Some(code),
                NotStarted::Container(_) => None,
                other @ (NotStarted::Command(_) | NotStarted::Engine(_)) => panic!("{other:?}"),
            }
        };
        for (message, code) in [
            (
                "exec: \"nope\": executable file not found in $PATH: unknown",
                Some(127),
            ),
            ("exec /nope: no such file or directory", Some(127)),
            ("exec: \"/etc/passwd\": permission denied", Some(126)),
            ("exec: \"/etc\": is a directory", Some(126)),
            ("no space left on device", None),
        ] {
            assert_eq!(begun(message), code, "{message}");
        }
    }

    #[test]
    fn somebody_waits_for_a_container_until_he_does_no_more_and_then_it_is_a_stray() {
        let names = AwaitedNames::default();
        let awaited = names.wait_for("web-run-a");
        assert!(awaited.is_some());
        assert!(names.wait_for("web-run-a").is_none());
        drop(awaited);
        assert!(names.wait_for("web-run-a").is_some());
    }

    #[test]
    fn only_one_off_containers_that_run_are_told_of() {
        let summary = |label: &str, state| ContainerSummary {
            id: Some("c0de".to_owned()),
            names: Some(vec!["/shop.web-run-a".to_owned()]),
            labels: Some(HashMap::from([(label.to_owned(), "shop/web-1".to_owned())])),
            state: Some(state),
            created: Some(7),
            ..ContainerSummary::default()
        };
        let runs = summary(ONE_OFF, ContainerSummaryStateEnum::RUNNING);
        let made = summary(ONE_OFF, ContainerSummaryStateEnum::CREATED);
        assert!(is_one_off(&made));
        assert!(!is_one_off(&summary(
            INSTANCE,
            ContainerSummaryStateEnum::RUNNING
        )));
        let expected = Told {
            instance: "shop/web-1".parse().unwrap(),
            container: "c0de".to_owned(),
            since: WallTime(7_000),
        };
        let expected = BTreeMap::from([("shop.web-run-a".to_owned(), expected)]);
        assert_eq!(told(&[runs]), expected);
        assert_eq!(told(&[made]), BTreeMap::new());
    }
}
