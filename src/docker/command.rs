//! A command in a container that runs, and how it ended.

use std::collections::VecDeque;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecResults};
use futures::StreamExt;
use kontena_core::reconcile::action::{ContainerId, Failure};
use tokio::time::Instant;

use super::exec::ExecId;
use super::trouble::{CONFLICT, Trouble};
use super::{Docker, READ_LIMIT};

/// So many of the last lines are kept of what a command writes.
pub(super) const LINES: usize = 10;
/// And so much of each.
const MAX_LINE_BYTES: usize = 200;

/// How often, and after what pause, it is asked how a command ended whose output has.
const LOOKS: u32 = 100;
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// A command that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ran {
    pub(super) code: i64,
    /// The last [`LINES`] that it wrote, without those that are empty.
    pub(super) output: VecDeque<String>,
}

impl Docker {
    /// Runs `command` by `/bin/sh -c` in a container, for `limit` at most. One that takes longer is ended: it is
    /// [`Failure::NotReady`], and so is one that cannot be started.
    pub(super) async fn command(
        &self,
        container: &ContainerId,
        command: &str,
        limit: Duration,
    ) -> Result<Ran, Failure> {
        let for_ever = std::future::pending();
        self.command_unless(container, command, limit, for_ever)
            .await
    }

    /// [`Self::command`], which is also ended once `nobody_waits`.
    pub(super) async fn command_unless(
        &self,
        container: &ContainerId,
        command: &str,
        limit: Duration,
        nobody_waits: impl Future<Output = ()>,
    ) -> Result<Ran, Failure> {
        let id = self.create_command(container, command).await?;
        let deadline = Instant::now() + limit;
        let mut tail = Tail::default();
        let ended = tokio::select! {
            ended = tokio::time::timeout_at(deadline, self.follow_command(&id, &mut tail)) => ended.ok(),
            () = nobody_waits => None,
        };
        match ended {
            Some(ended) => ended?,
            None => {
                self.end_exec(container, &ExecId::from(id)).await;
                return Err(too_slow(limit, &tail));
            }
        }
        let code = self.exit_code(&id).await?;
        let output = tail.finish();
        Ok(Ran { code, output })
    }

    async fn create_command(
        &self,
        container: &ContainerId,
        command: &str,
    ) -> Result<String, Failure> {
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(["/bin/sh", "-c", command].map(str::to_owned).to_vec()),
            ..CreateExecOptions::default()
        };
        let name = container.0.clone();
        let created = self
            .call(READ_LIMIT, |client| async move {
                client.create_exec(&name, options).await
            })
            .await;
        match created {
            Ok(created) => Ok(created.id),
            // It has just stopped, or is paused: nobody can say what the command would have.
            Err(Trouble::Refused {
                status: CONFLICT, ..
            }) => Err(Failure::Gone),
            Err(trouble) => Err(trouble.into()),
        }
    }

    async fn follow_command(&self, id: &str, tail: &mut Tail) -> Result<(), Failure> {
        let client = self.client().await?;
        let started = client.start_exec(id, None).await.map_err(Trouble::from)?;
        let StartExecResults::Attached { mut output, .. } = started else {
            return Ok(());
        };
        while let Some(piece) = output.next().await {
            match piece.map_err(Trouble::from)? {
                LogOutput::StdOut { message }
                | LogOutput::StdErr { message }
                | LogOutput::Console { message }
                | LogOutput::StdIn { message } => tail.add(&message),
            }
        }
        Ok(())
    }

    /// Its output may end a moment before it does.
    async fn exit_code(&self, id: &str) -> Result<i64, Failure> {
        for _ in 0..LOOKS {
            let name = id.to_owned();
            let inspected = self
                .call(READ_LIMIT, |client| async move {
                    client.inspect_exec(&name).await
                })
                .await?;
            if let Some(code) = inspected
                .exit_code
                .filter(|_| inspected.running != Some(true))
            {
                return Ok(code);
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
        let problem = "the engine does not say how a command ended".to_owned();
        Err(Failure::Unreachable { problem })
    }
}

fn too_slow(limit: Duration, tail: &Tail) -> Failure {
    let mut problem = format!("the command did not end in {} s", limit.as_secs());
    if let Some(last) = tail.lines.back() {
        problem = format!("{problem}; it said last: {last}");
    }
    Failure::NotReady { problem }
}

/// The end of what something writes.
#[derive(Clone, Debug, Default)]
pub(super) struct Tail {
    lines: VecDeque<String>,
    /// A line that has no end yet.
    part: Vec<u8>,
}

impl Tail {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = MAX_LINE_BYTES.saturating_sub(self.part.len());
            self.part.extend(piece.iter().take(room));
            if piece.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    pub(super) fn finish(mut self) -> VecDeque<String> {
        self.end_line();
        self.lines
    }

    fn end_line(&mut self) {
        let part = std::mem::take(&mut self.part);
        let text = String::from_utf8_lossy(&part).trim_end().to_owned();
        if text.is_empty() {
            return;
        }
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_none_is_long() {
        let mut tail = Tail::default();
        for number in 0..12 {
            tail.add(format!("line {number}\n\n").as_bytes());
        }
        tail.add(&[b'x'; 2_000]);
        tail.add(b"y\nno");
        tail.add(b" end");
        let lines = tail.finish();
        assert_eq!(lines.len(), LINES);
        assert_eq!(lines[0], "line 4");
        assert_eq!(lines[8].len(), MAX_LINE_BYTES);
        assert_eq!(lines[9], "no end");
    }
}
