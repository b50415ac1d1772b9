//! A command that runs for somebody who waits: in a container that is there anyway, or as the program of its own.

use std::time::Duration;

use kontena_core::reconcile::action::ContainerId;
use tokio::io::{ReadHalf, WriteHalf, split};
use tokio_util::codec::FramedRead;

use super::Docker;
use super::exec::{ExecId, Hijacked, Pieces};
use super::one_off::OneOff;

/// What is read at once.
const BUFFER: usize = 64 * 1024;

/// What the engine knows it by.
pub(crate) enum Process {
    Exec { container: ContainerId, id: ExecId },
    OneOff(OneOff),
}

/// A command that runs.
pub(crate) struct Running {
    pub(crate) process: Process,
    pub(crate) output: FramedRead<ReadHalf<Hijacked>, Pieces>,
    /// Shut down, it is the end of the command's input.
    pub(crate) input: WriteHalf<Hijacked>,
}

impl Running {
    pub(super) fn of(process: Process, connection: Hijacked, tty: bool) -> Self {
        let (output, input) = split(connection);
        Self {
            process,
            output: FramedRead::with_capacity(output, Pieces::of(tty), BUFFER),
            input,
        }
    }
}

impl Docker {
    /// Says how large the terminal is that shows it. What has ended already needs no size.
    pub(crate) async fn resize(&self, process: &Process, width: u16, height: u16) {
        let resized = match process {
            Process::Exec { id, .. } => self.resize_exec(id, width, height).await,
            Process::OneOff(one_off) => self.resize_one_off(one_off, width, height).await,
        };
        if let Err(trouble) = resized {
            tracing::debug!(problem = trouble.problem(), "A terminal was not resized");
        }
    }

    /// Waits for its end, and answers its exit code.
    ///
    /// # Errors
    /// The engine does not know it any more, or does not answer.
    pub(crate) async fn ended(&self, process: &Process) -> Result<i64, String> {
        match process {
            Process::Exec { id, .. } => self.exec_ended(id).await,
            Process::OneOff(one_off) => self.one_off_ended(one_off).await,
        }
    }

    /// Ends it before its time; one that takes longer than `patience` for its last deeds is killed.
    pub(crate) async fn end(&self, process: &Process, patience: Duration) {
        match process {
            Process::Exec { container, id } => self.end_exec(container, id).await,
            Process::OneOff(one_off) => self.end_one_off(one_off, patience).await,
        }
    }

    /// Takes away what is left of it once it has ended.
    pub(crate) async fn clear(&self, process: &Process) {
        match process {
            Process::Exec { .. } => {}
            Process::OneOff(one_off) => self.remove_one_off(one_off).await,
        }
    }
}
