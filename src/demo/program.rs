//! Running other programs: one place that sets a deadline, collects the output and words the error.
//!
//! In: a program, its arguments, perhaps its input. Out: what it printed, or an error that names the
//! command and quotes its last words. A program that is no longer waited for is killed.

use std::ffi::OsStr;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Enough for any single step of the demo on a busy machine; longer ones say so.
const DEADLINE: Duration = Duration::from_secs(20);
/// How much of a failed program's output an error quotes.
const QUOTED_LINES: usize = 12;

/// The only environment that the demo's programs see: what a caller has set (a proxy, `DOCKER_HOST`,
/// a context of kontena's) must not change what happens on a host.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program about to run.
pub(crate) struct Program {
    command: Command,
    shown: String,
    deadline: Duration,
    input: Option<Vec<u8>>,
}

/// A program that ended by itself, whatever it says.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Program {
    /// The program runs in `/`, with a fresh environment.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program.as_ref());
        command
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", "/root")
            .env("LC_ALL", "C.UTF-8")
            .current_dir("/")
            .kill_on_drop(true);
        Self {
            command,
            shown: program.as_ref().to_string_lossy().into_owned(),
            deadline: DEADLINE,
            input: None,
        }
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.shown.push(' ');
        self.shown.push_str(&argument.as_ref().to_string_lossy());
        self.command.arg(argument);
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(self, arguments: impl IntoIterator<Item = A>) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn current_dir(mut self, directory: &std::path::Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// How long it may take before it is killed.
    pub(crate) fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// What it reads from standard input; nothing otherwise.
    pub(crate) fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = Some(input.into());
        self
    }

    /// What errors call it instead of the full command line.
    pub(super) fn shown_as(mut self, shown: String) -> Self {
        self.shown = shown;
        self
    }

    /// Runs it to its end and returns what it printed; a failure of its own is an error.
    pub(crate) async fn run(self) -> Result<String> {
        let shown = self.shown.clone();
        let finished = self.finish().await?;
        if finished.status.success() {
            return Ok(finished.stdout);
        }
        bail!(
            "`{shown}` failed ({}){}",
            finished.status,
            finished.quoted()
        )
    }

    /// Runs it to its end; that it failed is for the caller to judge.
    pub(crate) async fn finish(self) -> Result<Finished> {
        let Self {
            shown, deadline, ..
        } = &self;
        let (shown, deadline) = (shown.clone(), *deadline);
        tokio::time::timeout(deadline, self.finish_in_time())
            .await
            .with_context(|| format!("`{shown}` did not finish within {} s", deadline.as_secs()))?
            .with_context(|| format!("failed to run `{shown}`"))
    }

    async fn finish_in_time(mut self) -> Result<Finished> {
        let input = self.input.take();
        self.command
            .stdin(if input.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = self.command.spawn()?;
        let stdin = child.stdin.take();
        let feed = async move {
            if let (Some(mut stdin), Some(input)) = (stdin, input) {
                // A program that does not read all of its input says why by its exit status.
                let _ = stdin.write_all(&input).await;
            }
        };
        let (output, ()) = tokio::join!(child.wait_with_output(), feed);
        let output = output?;
        Ok(Finished {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// The command itself, for a program that goes on running; see `host.rs`.
    pub(super) fn into_command(self) -> Command {
        self.command
    }
}

impl Finished {
    /// Its last words, ready to follow an error message.
    pub(crate) fn quoted(&self) -> String {
        let words = if self.stderr.trim().is_empty() {
            &self.stdout
        } else {
            &self.stderr
        };
        quote(words)
    }
}

/// The last lines of `text`, ready to follow an error message; nothing if there are none.
pub(super) fn quote(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let last = &lines[lines.len().saturating_sub(QUOTED_LINES)..];
    if last.is_empty() {
        return String::new();
    }
    format!(":\n  {}", last.join("\n  "))
}
