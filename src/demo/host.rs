//! One host of a lab: PID, mount, UTS and IPC namespaces of its own in its own network namespace, with a
//! disk (a directory) that outlives them.
//!
//! A [`Host`] is only a name; whether it is up is read from `/proc` each time. To kill it is to send
//! SIGKILL to its first process: engine, containers and daemon die in the same instant, the disk stays.
//! The machine's kernel then closes the host's connections, which a real power cut does not do: cut the
//! cable first where silence matters.
//!
//! Not here: the engine that runs on it (`engine`), the wires (`network`).

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use tokio::process::Child;

use super::network::{self, Network};
use super::processes::{self, LAB_VARIABLE};
use super::program::{Program, quote};
use super::wait;

/// Booting is a dozen mounts: 50 ms on an idle machine.
const BOOT_DEADLINE: Duration = Duration::from_secs(20);
const DEATH_DEADLINE: Duration = Duration::from_secs(15);
/// Where a host keeps what must not survive a reboot: process ids and the sign that it is up.
pub(crate) const VOLATILE: &str = "/run/demo";

/// The name of one host.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    lab: String,
    number: u8,
    disk: PathBuf,
    network: Network,
}

impl Host {
    pub(super) fn new(lab: &str, directory: &Path, number: u8) -> Self {
        Self {
            lab: lab.to_owned(),
            number,
            disk: directory.join(format!("node-{number}")),
            network: Network::new(lab),
        }
    }

    pub(crate) fn number(&self) -> u8 {
        self.number
    }

    pub(super) fn lab(&self) -> &str {
        &self.lab
    }

    /// Its host name.
    pub(crate) fn name(&self) -> String {
        format!("node-{}", self.number)
    }

    pub(crate) fn address(&self) -> Ipv4Addr {
        network::address(self.number)
    }

    /// What `ip netns` calls its network.
    pub(super) fn namespace(&self) -> String {
        self.network.host(self.number)
    }

    /// The directory that is its disk; the same path inside the host and outside.
    pub(crate) fn disk(&self) -> &Path {
        &self.disk
    }

    /// Where kontena keeps its data on this host.
    pub(crate) fn kontena_data(&self) -> PathBuf {
        self.disk.join("kontena")
    }

    /// The socket of kontena's daemon, reachable from outside.
    pub(crate) fn kontena_socket(&self) -> PathBuf {
        self.disk.join("kontena.sock")
    }

    /// What the process `name` has printed since the host was made.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.disk.join("log").join(format!("{name}.log"))
    }

    pub(crate) fn is_up(&self) -> bool {
        self.first_process().is_some()
    }

    fn first_process(&self) -> Option<i32> {
        processes::first_of(&network::namespace(&self.namespace()))
    }

    /// Powers the host on, with the disk that it had before, and starts its engine.
    pub(crate) async fn start(&self) -> Result<()> {
        if self.is_up() {
            bail!("{} is up already", self.name());
        }
        self.prepare_disk().await?;
        self.network.plug(self.number).await?;
        self.boot().await?;
        self.start_engine().await
    }

    /// Cuts the power. Every process of the host is gone when this returns.
    pub(crate) async fn kill(&self) -> Result<()> {
        let namespace = network::namespace(&self.namespace());
        if let Some(first) = self.first_process() {
            processes::kill_all(&self.name(), || {
                processes::first_of(&namespace).into_iter().collect()
            })
            .await?;
            wait::until(
                DEATH_DEADLINE,
                "the host's last process to go",
                async || Ok((!processes::exists(first)).then_some(())),
            )
            .await?;
        }
        processes::kill_all(&self.name(), || processes::in_network(&namespace)).await
    }

    async fn prepare_disk(&self) -> Result<()> {
        let etc = self.disk.join("etc");
        if !etc.exists() {
            std::fs::create_dir_all(self.disk.join("log"))
                .with_context(|| format!("failed to create `{}`", self.disk.display()))?;
            Program::new("cp")
                .args(["-a", "/etc"])
                .arg(&etc)
                .run()
                .await?;
            self.personalise(&etc)
                .with_context(|| format!("failed to write to `{}`", etc.display()))?;
        }
        Ok(())
    }

    /// What must not be the machine's own.
    fn personalise(&self, etc: &Path) -> std::io::Result<()> {
        let (name, address) = (self.name(), self.address());
        // The machine's engine has its identity here, and a resolver may be a link to somewhere.
        for path in ["docker", "resolv.conf"] {
            remove(&etc.join(path))?;
        }
        std::fs::create_dir(etc.join("docker"))?;
        std::fs::write(etc.join("docker/daemon.json"), self.engine_settings())?;
        std::fs::write(etc.join("hostname"), format!("{name}\n"))?;
        std::fs::write(
            etc.join("hosts"),
            format!("127.0.0.1 localhost\n{address} {name}\n"),
        )?;
        std::fs::write(
            etc.join("machine-id"),
            format!("{:032x}\n", u32::from(address)),
        )?;
        // Its own address, where nobody answers: a look-up is refused at once instead of after 20 s.
        let resolver = format!("nameserver {address}\noptions timeout:1 attempts:1\n");
        std::fs::write(etc.join("resolv.conf"), resolver)
    }

    async fn boot(&self) -> Result<()> {
        let mut child = self.spawn_first_process()?;
        let waited = wait::until(BOOT_DEADLINE, "its first process", async || {
            if let Some(status) = child.try_wait()? {
                return Ok(Some(Err(anyhow!("its first process ended ({status})"))));
            }
            Ok(self.is_booted().then_some(Ok(())))
        })
        .await;
        // The host outlives this process, but while this process lives it must collect the dead host.
        tokio::spawn(async move { child.wait().await });
        waited.and_then(|booted| booted).with_context(|| {
            format!(
                "{} did not boot{}",
                self.name(),
                last_words(&self.log("boot"))
            )
        })
    }

    fn spawn_first_process(&self) -> Result<Child> {
        let log = self.open_log("boot")?;
        let namespace = network::namespace(&self.namespace());
        // `--kill-child`: whoever kills `unshare` kills the host, and leaves no orphan without a name.
        let mut command = Program::new("setsid")
            .args(["nsenter", &format!("--net={}", namespace.display())])
            .args(["unshare", "--fork", "--kill-child", "--pid", "--mount-proc"])
            .args([
                "--mount",
                "--uts",
                "--ipc",
                "bash",
                "-c",
                include_str!("boot.sh"),
                "boot",
            ])
            .arg(&self.disk)
            .arg(self.name())
            .env(LAB_VARIABLE, &self.lab)
            .into_command();
        command
            .kill_on_drop(false)
            .stdin(Stdio::null())
            .stdout(
                log.try_clone()
                    .context("failed to open the boot log twice")?,
            )
            .stderr(log)
            .spawn()
            .context("failed to run `setsid nsenter … unshare …`")
    }

    fn is_booted(&self) -> bool {
        self.first_process()
            .is_some_and(|pid| Path::new(&format!("/proc/{pid}/root{VOLATILE}/ready")).exists())
    }

    fn open_log(&self, name: &str) -> Result<File> {
        let path = self.log(name);
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("failed to open `{}`", path.display()))
    }

    /// A program that will run inside the host.
    pub(crate) fn program(&self, program: impl AsRef<OsStr>) -> Result<Program> {
        let Some(first) = self.first_process() else {
            bail!("{} is down", self.name());
        };
        let shown = format!("{} on {}", program.as_ref().to_string_lossy(), self.name());
        Ok(Program::new("nsenter")
            .args(["--target", &first.to_string()])
            .args(["--mount", "--uts", "--ipc", "--net", "--pid", "--"])
            .arg(program)
            .env(LAB_VARIABLE, &self.lab)
            .shown_as(shown))
    }

    /// Starts a program inside the host that goes on after this call; `name` is how to find it again.
    pub(crate) async fn spawn<A: AsRef<OsStr>>(
        &self,
        name: &str,
        command: impl IntoIterator<Item = A>,
    ) -> Result<()> {
        let script =
            format!("setsid \"$@\" >>\"$0\" 2>&1 </dev/null &\n echo $! >{VOLATILE}/{name}.pid");
        self.program("sh")?
            .args(["-c", &script])
            .arg(self.log(name))
            .args(command)
            .run()
            .await
            .with_context(|| format!("failed to start {name}"))?;
        Ok(())
    }

    /// Whether what was started as `name` still runs.
    pub(crate) async fn is_running(&self, name: &str) -> Result<bool> {
        let script = format!("kill -0 $(cat {VOLATILE}/{name}.pid)");
        let finished = self.program("sh")?.args(["-c", &script]).finish().await?;
        Ok(finished.status.success())
    }
}

fn remove(path: &Path) -> std::io::Result<()> {
    let removed = match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) => Err(error),
    };
    removed.or_else(|error| match error.kind() == std::io::ErrorKind::NotFound {
        true => Ok(()),
        false => Err(error),
    })
}

/// The end of a log, ready to follow an error message.
pub(super) fn last_words(log: &Path) -> String {
    let Ok(text) = std::fs::read(log) else {
        return String::new();
    };
    let quoted = quote(&String::from_utf8_lossy(&text));
    if quoted.is_empty() {
        quoted
    } else {
        format!("; the last lines of its log{quoted}")
    }
}
