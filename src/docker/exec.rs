//! A command in a container, with its input and output, and a terminal where one is wanted.
//!
//! The connection to the command is made here and not by bollard, whose reader takes what a terminal shows for the head
//! of a frame where it begins with a byte below 3. Not here: who may ask, and what is said to him.

mod ending;
mod hijack;
mod pieces;

use std::time::Duration;

use bollard::exec::{CreateExecOptions, ResizeExecOptions};
use kontena_core::reconcile::action::ContainerId;
use serde_json::Value;

pub(super) use hijack::Hijacked;
pub(crate) use pieces::Piece;
pub(super) use pieces::Pieces;

use super::labels::GRID;
use super::process::{Process, Running};
use super::trouble::{CONFLICT, NOT_FOUND, Trouble};
use super::{Docker, READ_LIMIT};

/// How often it is asked how a command ended whose output has; ever more seldom.
const FIRST_LOOK: Duration = Duration::from_millis(10);
const LAST_LOOK: Duration = Duration::from_secs(1);

/// The command that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExecOptions {
    pub(crate) command: Vec<String>,
    /// `NAME=VALUE`, beside that of the container.
    pub(crate) environment: Vec<String>,
    pub(crate) tty: bool,
    pub(crate) stdin: bool,
    /// Width and height of the terminal, in characters.
    pub(crate) size: Option<(u16, u16)>,
}

/// Why a command was not started, in words for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotStarted {
    /// The container is not there, or does not run.
    Container(String),
    /// The engine does not take the command.
    Command(String),
    /// The container's program is not there, or is none: its exit code.
    Program { code: i64, problem: String },
    /// The engine does not answer, or is broken.
    Engine(String),
}

/// The engine's name of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExecId(String);

impl From<String> for ExecId {
    fn from(id: String) -> Self {
        Self(id)
    }
}

impl Docker {
    /// Starts a command in a container of the grid. Any other container is not there.
    ///
    /// # Errors
    /// What the engine says against it, for people.
    pub(crate) async fn exec(
        &self,
        container: &ContainerId,
        grid: &str,
        options: &ExecOptions,
    ) -> Result<Running, NotStarted> {
        self.check_ours(container, grid).await?;
        let created = self.create_exec(container, options).await;
        let id = created.map_err(|trouble| not_started(&trouble))?;
        let hijacked = self.start_exec(&id, options).await;
        let hijacked = hijacked.map_err(|trouble| not_started(&trouble))?;
        let process = Process::Exec {
            container: container.clone(),
            id,
        };
        Ok(Running::of(process, hijacked, options.tty))
    }

    async fn check_ours(&self, container: &ContainerId, grid: &str) -> Result<(), NotStarted> {
        let inspected = self.inspect(&container.0).await;
        let inspected = inspected.map_err(|trouble| not_started(&trouble))?;
        let labels = inspected.config.and_then(|config| config.labels);
        let of_grid = labels.and_then(|mut labels| labels.remove(GRID));
        match of_grid.as_deref() == Some(grid) {
            true => Ok(()),
            false => Err(NotStarted::Container(
                "it is no container of this grid".to_owned(),
            )),
        }
    }

    async fn create_exec(
        &self,
        container: &ContainerId,
        options: &ExecOptions,
    ) -> Result<ExecId, Trouble> {
        let name = container.0.clone();
        let wanted = CreateExecOptions {
            attach_stdin: Some(options.stdin),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(options.tty),
            cmd: Some(options.command.clone()),
            env: Some(options.environment.clone()),
            ..CreateExecOptions::default()
        };
        let created = self
            .call(READ_LIMIT, |client| async move {
                client.create_exec(&name, wanted).await
            })
            .await?;
        Ok(ExecId(created.id))
    }

    pub(super) async fn resize_exec(
        &self,
        id: &ExecId,
        width: u16,
        height: u16,
    ) -> Result<(), Trouble> {
        let name = id.0.clone();
        let options = ResizeExecOptions { height, width };
        self.call(READ_LIMIT, |client| async move {
            client.resize_exec(&name, options).await
        })
        .await
    }

    pub(super) async fn exec_ended(&self, id: &ExecId) -> Result<i64, String> {
        let mut pause = FIRST_LOOK;
        loop {
            let inspected = self.inspect_exec(id).await;
            let inspected = inspected.map_err(|trouble| refused(&trouble))?;
            if let (Some(code), false) = (inspected.exit_code, inspected.running == Some(true)) {
                return Ok(code);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_LOOK);
        }
    }

    async fn inspect_exec(
        &self,
        id: &ExecId,
    ) -> Result<bollard::models::ExecInspectResponse, Trouble> {
        let name = id.0.clone();
        self.call(READ_LIMIT, |client| async move {
            client.inspect_exec(&name).await
        })
        .await
    }

    /// What the engine says of a container of the grid, as it says it.
    ///
    /// # Errors
    /// What the engine says against it, for people.
    pub(crate) async fn inspect_whole(
        &self,
        container: &ContainerId,
        grid: &str,
    ) -> Result<Value, String> {
        let path = format!("/containers/{}/json", container.0);
        let told = self.read(&path).await;
        let told = told.map_err(|trouble| refused(&trouble))?;
        let of_grid = told.pointer("/Config/Labels").and_then(|it| it.get(GRID));
        match of_grid.and_then(Value::as_str) == Some(grid) {
            true => Ok(told),
            false => Err("it is no container of this grid".to_owned()),
        }
    }
}

fn not_started(trouble: &Trouble) -> NotStarted {
    let problem = refused(trouble);
    match trouble {
        Trouble::Refused {
            status: NOT_FOUND | CONFLICT,
            ..
        } => NotStarted::Container(problem),
        Trouble::Refused {
            status: 400..500, ..
        } => NotStarted::Command(problem),
        Trouble::Refused { .. } | Trouble::Unreachable(_) => NotStarted::Engine(problem),
    }
}

/// In words for people, who know the container by its name.
fn refused(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Refused {
            status: NOT_FOUND, ..
        } => "its container is not there any more".to_owned(),
        Trouble::Refused {
            status: CONFLICT, ..
        } => "its container does not run".to_owned(),
        Trouble::Refused { message, .. } => message.clone(),
        Trouble::Unreachable(problem) => format!("the Docker engine does not answer: {problem}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16) -> NotStarted {
        let message = "it says so".to_owned();
        not_started(&Trouble::Refused { status, message })
    }

    #[test]
    fn what_an_engine_says_against_a_command_is_told_from_what_is_wrong_with_it() {
        let gone = "its container is not there any more".to_owned();
        assert_eq!(answered(404), NotStarted::Container(gone));
        let stopped = "its container does not run".to_owned();
        assert_eq!(answered(409), NotStarted::Container(stopped));
        let said = || "it says so".to_owned();
        assert_eq!(answered(400), NotStarted::Command(said()));
        assert_eq!(answered(500), NotStarted::Engine(said()));
        let silent = not_started(&Trouble::Unreachable(said()));
        assert!(matches!(silent, NotStarted::Engine(_)));
    }
}
