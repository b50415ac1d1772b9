//! Kontena on a host of a lab: its daemon, and its commands as somebody logged in there would type them.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::UnixStream;

use super::host::{Host, last_words};
use super::program::Program;
use super::wait;

/// A daemon opens its socket before it does anything that can take long.
const START_DEADLINE: Duration = Duration::from_secs(20);
/// A deploy of a stack that waits for health is the longest command.
const COMMAND_DEADLINE: Duration = Duration::from_secs(120);
/// What the daemon is started as; its log is called after it.
pub(crate) const DAEMON: &str = "kontena";

impl Host {
    /// Starts `kontena daemon` and returns when its socket accepts connections.
    pub(crate) async fn start_daemon(&self, kontena: &Path) -> Result<()> {
        let (kontena, data, socket) = (kontena, self.kontena_data(), self.kontena_socket());
        let command = [
            kontena.as_os_str(),
            "daemon".as_ref(),
            "--data-dir".as_ref(),
            data.as_os_str(),
            "--socket".as_ref(),
            socket.as_os_str(),
            "--docker".as_ref(),
            "unix:///var/run/docker.sock".as_ref(),
        ];
        self.spawn(DAEMON, command).await?;
        wait::until(START_DEADLINE, "its socket", async || {
            if UnixStream::connect(&socket).await.is_ok() {
                return Ok(Some(true));
            }
            Ok((!self.is_running(DAEMON).await?).then_some(false))
        })
        .await
        .and_then(|up| up.then_some(()).context("it ended"))
        .with_context(|| {
            format!(
                "no `kontena daemon` on {}{}",
                self.name(),
                last_words(&self.log(DAEMON))
            )
        })
    }

    /// `kontena` with these arguments, typed on this host.
    pub(crate) fn kontena(&self, kontena: &Path, arguments: &[&str]) -> Result<Program> {
        let shown = format!("kontena {} on {}", arguments.join(" "), self.name());
        Ok(self
            .program(kontena)?
            .args(arguments)
            .env("KONTENA_SOCKET", self.kontena_socket())
            .within(COMMAND_DEADLINE)
            .shown_as(shown))
    }
}
