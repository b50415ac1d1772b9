//! A Docker engine for one test: its own namespaces, folders and control groups; nothing stays.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::docker::Docker;

/// A shell, `sleep` and `cat`, with the libraries that they need from this machine.
pub(crate) const IMAGE: &str = "shell:1";

/// Longer than the slowest start seen on a machine at load 20.
const START_LIMIT: Duration = Duration::from_secs(60);

static COUNT: AtomicU32 = AtomicU32::new(0);

pub(crate) struct TestEngine {
    pub(crate) docker: Docker,
    folder: tempfile::TempDir,
    control_group: String,
    process: Option<Child>,
}

impl TestEngine {
    /// `None`, after saying so, where there can be no engine.
    pub(crate) async fn start() -> Option<Self> {
        if !rustix::process::geteuid().is_root() || !works("dockerd --version && unshare --version")
        {
            say_skipped();
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let socket = folder.path().join("docker.sock");
        let mut engine = Self {
            docker: Docker::connect(socket.to_str(), "kontena").unwrap(),
            folder,
            control_group: format!("kontena-test-{}-{number}", std::process::id()),
            process: None,
        };
        engine.start_again().await;
        engine.import_image();
        Some(engine)
    }

    /// Starts it with what it had when it was killed.
    pub(crate) async fn start_again(&mut self) {
        let log = File::create(self.path("log")).unwrap();
        std::fs::write(self.path("daemon.json"), "{}").unwrap();
        // A power cut leaves the numbers of processes that other processes have now, containerd's
        // among them; on a real host they are on a file system in memory.
        drop(std::fs::remove_file(self.path("pid")));
        drop(std::fs::remove_dir_all(self.path("exec")));
        let process = Command::new("unshare")
            .args(["--net", "--mount", "--pid", "--fork", "--kill-child"])
            .args(["--mount-proc", "--propagation", "private", "dockerd"])
            .arg("--data-root")
            .arg(self.path("data"))
            .arg("--exec-root")
            .arg(self.path("exec"))
            .arg("--pidfile")
            .arg(self.path("pid"))
            .arg("--config-file")
            .arg(self.path("daemon.json"))
            .arg("--cgroup-parent")
            .arg(format!("/{}", self.control_group))
            .arg("--host")
            .arg(format!("unix://{}", self.path("docker.sock").display()))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(process);
        let ready = async {
            while self.docker.client().await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let started = tokio::time::timeout(START_LIMIT, ready).await;
        let log = std::fs::read_to_string(self.path("log")).unwrap();
        assert!(started.is_ok(), "dockerd did not start: {log}");
    }

    /// As if the power failed: the engine and all containers at once.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// What Docker's own command line prints, checked to succeed.
    pub(crate) fn cli(&self, arguments: &[&str]) -> String {
        let output = Command::new("docker")
            .arg("--host")
            .arg(self.docker.address())
            .args(arguments)
            .output()
            .unwrap();
        let problem = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {problem}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn import_image(&self) {
        let tar = self.path("image.tar");
        let script = r#"set -e
            mkdir "$1" && cd "$1"
            mkdir bin tmp
            for file in /bin/sh /bin/sleep /bin/cat; do
                cp -L $file bin/
                for library in $(ldd $file | grep -o '/[^ ]*'); do
                    cp -L --parents $library .
                done
            done
            tar -cf "$2" ."#;
        let made = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(self.path("image"))
            .arg(&tar)
            .status();
        assert!(made.unwrap().success());
        self.cli(&["import", tar.to_str().unwrap(), IMAGE]);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for TestEngine {
    fn drop(&mut self) {
        self.kill();
        // The kernel takes a moment to end everything in the namespaces.
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.remove_control_groups() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl TestEngine {
    /// Whether none is left, in any of the kernel's hierarchies.
    fn remove_control_groups(&self) -> bool {
        let root = Path::new("/sys/fs/cgroup");
        let hierarchies = std::fs::read_dir(root).into_iter().flatten().flatten();
        let mut folders: Vec<PathBuf> = hierarchies.map(|entry| entry.path()).collect();
        folders.push(root.to_owned());
        for folder in &mut folders {
            folder.push(&self.control_group);
            remove_control_groups(folder);
        }
        !folders.iter().any(|folder| folder.exists())
    }
}

/// Deepest first; the kernel removes the files in them. What cannot be removed yet is tried again.
fn remove_control_groups(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_control_groups(&entry.path());
        }
    }
    drop(std::fs::remove_dir(folder));
}

fn works(script: &str) -> bool {
    let tried = Command::new("sh")
        .args(["-c", script])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|status| status.success())
}

#[expect(clippy::print_stderr, reason = "a test that was skipped says so")]
fn say_skipped() {
    eprintln!("skipped: needs root, `dockerd` and `unshare`");
}
