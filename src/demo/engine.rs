//! The Docker engine of a host: dockerd and the containerd that it starts, with their data on the
//! host's disk, reached from outside by a socket on that disk.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::host::{Host, last_words};
use super::program::Program;
use super::wait;

/// 2.5 s on two idle cores; a machine that starts several at once on a slow disk takes longer.
const START_DEADLINE: Duration = Duration::from_secs(60);
const PING_DEADLINE: Duration = Duration::from_secs(2);
/// A container's stop may take its grace of 10 s, and an image load a busy disk's time.
const COMMAND_DEADLINE: Duration = Duration::from_secs(90);
/// `sockaddr_un` holds 108 bytes, the last one a zero.
const SOCKET_PATH_LIMIT: usize = 107;

impl Host {
    /// The engine's socket, reachable from outside.
    pub(crate) fn engine_socket(&self) -> PathBuf {
        self.disk().join("docker.sock")
    }

    /// What the host's `/etc/docker/daemon.json` says.
    pub(super) fn engine_settings(&self) -> String {
        let number = self.number();
        let settings = serde_json::json!({
            "data-root": self.disk().join("docker"),
            "bip": format!("10.78.{number}.1/24"),
            // Apart from the grid's own default supernet, 10.80.0.0/12.
            "default-address-pools": [{ "base": format!("10.{}.0.0/16", 100 + number), "size": 24 }],
            // No systemd in here; the parent's name is how `down` finds what is left of the groups.
            "exec-opts": ["native.cgroupdriver=cgroupfs"],
            "cgroup-parent": format!("/{}/{}", self.lab(), self.name()),
            "insecure-registries": ["10.77.0.0/24"],
            "log-level": "warn",
        });
        format!("{settings:#}\n")
    }

    /// Starts the engine and returns when it answers.
    pub(crate) async fn start_engine(&self) -> Result<()> {
        let socket = self.engine_socket();
        if socket.as_os_str().as_bytes().len() > SOCKET_PATH_LIMIT {
            bail!(
                "`{}` is too long for the path of a socket",
                socket.display()
            );
        }
        let outside = format!("unix://{}", socket.display());
        let command = [
            "dockerd",
            "-H",
            "unix:///var/run/docker.sock",
            "-H",
            &outside,
        ];
        self.spawn("dockerd", command).await?;
        wait::until(START_DEADLINE, "dockerd to answer", async || {
            if !self.is_running("dockerd").await? {
                return Ok(Some(false));
            }
            Ok(self.engine_answers().await.then_some(true))
        })
        .await
        .and_then(|answers| answers.then_some(()).context("dockerd ended"))
        .with_context(|| {
            format!(
                "no Docker engine on {}{}",
                self.name(),
                last_words(&self.log("dockerd"))
            )
        })
    }

    /// Whether the engine answers a ping within two seconds.
    pub(crate) async fn engine_answers(&self) -> bool {
        let answer = tokio::time::timeout(PING_DEADLINE, self.ping()).await;
        matches!(answer, Ok(Ok(body)) if body == "OK")
    }

    async fn ping(&self) -> Result<String> {
        let mut stream = UnixStream::connect(self.engine_socket()).await?;
        stream
            .write_all(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            .await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        super::http::body(&answer)
    }

    /// `docker` with these arguments against this host's engine; what it printed, without the last line's end.
    pub(crate) async fn docker(&self, arguments: &[&str]) -> Result<String> {
        let output = Program::new("docker")
            .arg("-H")
            .arg(format!("unix://{}", self.engine_socket().display()))
            .args(arguments)
            .within(COMMAND_DEADLINE)
            .run()
            .await
            .with_context(|| format!("on {}", self.name()))?;
        Ok(output.trim_end().to_owned())
    }
}
