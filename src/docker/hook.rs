//! Hooks: a command in a container of its own, and one in an instance's container.
//!
//! The container of a hook is no instance: it carries the label of the grid's hooks, and not that of the grid. One that
//! an earlier life of the daemon left behind is removed when the engine is first looked at, because nobody waits for its
//! end any more.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{ListContainersOptions, LogsOptions, WaitContainerOptions};
use futures::StreamExt;
use kontena_core::reconcile::action::{ContainerId, ContainerSpec, Failure, Outcome, Success};
use kontena_core::stack::Hook;

use super::command::{LINES, Ran, Tail};
use super::labels::GRID;
use super::spec::create_body;
use super::trouble::{NOT_FOUND, Trouble};
use super::{Docker, READ_LIMIT};

/// The grid whose hook runs in the container.
const HOOK_OF: &str = "io.kontena.hook.grid";

impl Docker {
    /// Runs a hook in a container of its own.
    pub(super) async fn hook(
        &self,
        spec: &ContainerSpec,
        hook: String,
        command: String,
        limit: Duration,
    ) -> Outcome {
        self.remove_left_over(&spec.name).await?;
        let group = self.group_of(spec).await?;
        let body = hook_body(create_body(spec, &self.network, group), command);
        let id = self.create_throw_away(spec, body).await?;
        let ran = self.run_hook(&id, spec, limit).await;
        // Whatever became of it. What cannot be removed now is removed before it is run again.
        if let Err(trouble) = self.remove_throw_away(&id.0).await {
            let problem = trouble.problem();
            tracing::warn!(container = %id.0, problem, "The container of a hook is left over");
        }
        outcome(hook, ran?, limit)
    }

    /// Runs a hook in the container of its instance.
    pub(super) async fn hook_inside(
        &self,
        container: &ContainerId,
        hook: String,
        command: &str,
        limit: Duration,
    ) -> Outcome {
        ran_inside(hook, self.command(container, command, limit).await, limit)
    }

    /// Runs a hook of a backup in the container of an instance, for an hour at most: it may write a dump. It is ended once
    /// `nobody_waits`.
    ///
    /// # Errors
    /// How it failed.
    pub(crate) async fn hook_of_backup(
        &self,
        container: &ContainerId,
        hook: &Hook,
        nobody_waits: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        const LIMIT: Duration = Duration::from_secs(3600);
        let ran = self.command_unless(container, &hook.command, LIMIT, nobody_waits);
        ran_inside(hook.name.clone(), ran.await, LIMIT)?;
        Ok(())
    }

    /// How it ended and what it wrote last; `None` if it did not end in time.
    async fn run_hook(
        &self,
        id: &ContainerId,
        spec: &ContainerSpec,
        limit: Duration,
    ) -> Result<Option<(i64, VecDeque<String>)>, Failure> {
        self.start_throw_away(id, spec).await?;
        let code = match tokio::time::timeout(limit, self.end_of(id)).await {
            Ok(code) => code?,
            Err(_) => return Ok(None),
        };
        Ok(Some((code, self.last_lines(id).await)))
    }

    pub(super) async fn end_of(&self, id: &ContainerId) -> Result<i64, Failure> {
        let client = self.client().await?;
        let mut ends = client.wait_container(&id.0, None::<WaitContainerOptions>);
        match ends.next().await {
            Some(Ok(end)) => Ok(end.status_code),
            // Bollard's word for an end with another code than 0.
            Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(error)) => Err(Trouble::from(error).into()),
            None => {
                let problem = "the engine does not say how a container ended".to_owned();
                Err(Failure::Unreachable { problem })
            }
        }
    }

    /// The end of what a container wrote; nothing where it cannot be read: that it failed is told without.
    pub(super) async fn last_lines(&self, id: &ContainerId) -> VecDeque<String> {
        let mut tail = Tail::default();
        let options = LogsOptions {
            stdout: true,
            stderr: true,
            tail: LINES.to_string(),
            ..LogsOptions::default()
        };
        let read = async {
            let Ok(client) = self.client().await else {
                return;
            };
            let mut pieces = client.logs(&id.0, Some(options));
            while let Some(Ok(piece)) = pieces.next().await {
                match piece {
                    LogOutput::StdOut { message }
                    | LogOutput::StdErr { message }
                    | LogOutput::Console { message }
                    | LogOutput::StdIn { message } => tail.add(&message),
                }
            }
        };
        // What was read by then is enough.
        drop(tokio::time::timeout(READ_LIMIT, read).await);
        tail.finish()
    }

    /// One of this name that was left over, if it is a hook's; any other stays.
    async fn remove_left_over(&self, name: &str) -> Result<(), Failure> {
        let found = match self.inspect(name).await {
            Ok(found) => found,
            Err(trouble) if trouble.is_status(NOT_FOUND) => return Ok(()),
            Err(trouble) => return Err(trouble.into()),
        };
        let labels = found.config.and_then(|config| config.labels);
        if labels.is_some_and(|labels| labels.contains_key(HOOK_OF)) {
            return Ok(self.remove_throw_away(name).await?);
        }
        Ok(())
    }

    /// Removes the hooks of `grid` that an earlier life of the daemon left behind.
    pub(super) async fn remove_old_hooks(&self, grid: &str) -> Result<(), Trouble> {
        let label = format!("{HOOK_OF}={grid}");
        let options = ListContainersOptions {
            all: true,
            filters: Some(HashMap::from([("label".to_owned(), vec![label])])),
            ..ListContainersOptions::default()
        };
        let found = self
            .call(READ_LIMIT, |client| async move {
                client.list_containers(Some(options)).await
            })
            .await?;
        for id in found.into_iter().filter_map(|summary| summary.id) {
            tracing::info!(container = %id, "Removing a hook that nobody waits for any more");
            self.remove_throw_away(&id).await?;
        }
        Ok(())
    }
}

/// It runs the command in place of the image's program, and is not listed among the instances.
fn hook_body(body: ContainerCreateBody, command: String) -> ContainerCreateBody {
    let mut labels = body.labels.unwrap_or_default();
    if let Some(grid) = labels.remove(GRID) {
        labels.insert(HOOK_OF.to_owned(), grid);
    }
    ContainerCreateBody {
        entrypoint: Some(vec!["/bin/sh".to_owned(), "-c".to_owned()]),
        cmd: Some(vec![command]),
        labels: Some(labels),
        ..body
    }
}

fn ran_inside(hook: String, ran: Result<Ran, Failure>, limit: Duration) -> Outcome {
    match ran {
        Ok(Ran { code, output }) => outcome(hook, Some((code, output)), limit),
        Err(Failure::NotReady { problem } | Failure::Refused { problem }) => {
            let problem = format!("failed: {problem}");
            Err(Failure::HookFailed { hook, problem })
        }
        Err(failure) => Err(failure),
    }
}

fn outcome(hook: String, ran: Option<(i64, VecDeque<String>)>, limit: Duration) -> Outcome {
    let problem = match ran {
        Some((0, _)) => return Ok(Success::Done),
        Some((code, output)) if output.is_empty() => format!("ended with {code}"),
        Some((code, output)) => {
            let lines: Vec<String> = output.into();
            format!("ended with {code}:\n{}", lines.join("\n"))
        }
        None => format!("did not end in {} s", limit.as_secs()),
    };
    Err(Failure::HookFailed { hook, problem })
}
